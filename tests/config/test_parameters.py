"""What a parameter may be is read off its type."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field, PositiveInt

from xaibench.config.parameters import REQUIRED, parameters_of
from xaibench.training.options import TrainingOptions


@dataclass(frozen=True)
class Inner:
    size: int = 3


@dataclass(frozen=True)
class Options:
    needed: str
    steps: Annotated[int, Field(ge=2, le=9)] = 4
    width: PositiveInt = 1
    share: Annotated[float, Field(gt=0, lt=1)] | Literal["all"] = "all"
    mode: Literal["a", "b"] = "a"
    layer: str | None = None
    fill: Annotated[str | float, AfterValidator(lambda value: value)] = "black"
    on: bool = True
    root: Path = Path("x")
    parts: tuple[float, ...] = (0.5,)
    part: float | tuple[float, ...] = 0.5
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("name", "allowed", "default", "takes_list"),
    [
        ("needed", "text", REQUIRED, False),
        ("steps", "integer, at least 2, at most 9", 4, False),
        ("width", "integer, above 0", 1, False),
        ("share", "number or all, above 0, below 1", "all", False),
        ("mode", "one of a, b", "a", False),
        ("layer", "text or null", None, False),
        ("fill", "text or number", "black", False),
        ("on", "true or false", True, False),
        ("root", "path", "x", False),
        ("parts", "list", [0.5], True),
        ("part", "number or list", 0.5, True),
    ],
)
def test_a_parameter_says_what_it_may_be(name, allowed, default, takes_list):
    found = parameters_of(Options)[name]
    assert (found.allowed, found.takes_list) == (allowed, takes_list)
    assert found.default == ([*default] if takes_list and name == "parts" else default)


def test_parameters_keep_their_order():
    assert list(parameters_of(Options))[:3] == ["needed", "steps", "width"]
    assert parameters_of(Options)["inner"].type == "keys with values"


def test_sections_are_read_likewise():
    assert parameters_of(TrainingOptions)["epochs"].allowed == "integer, at least 0"


def test_what_no_schema_describes_makes_no_grid():
    @dataclass(frozen=True)
    class Odd:
        act: type = int

        __pydantic_config__ = {"arbitrary_types_allowed": True}  # noqa: RUF012

    assert isinstance(parameters_of(Odd), dict)
