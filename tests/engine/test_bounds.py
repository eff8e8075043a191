"""Parameters that images of a size have no room for are refused, with the bound."""

from __future__ import annotations

import pytest

from xaibench.checks.stage import toy_model
from xaibench.engine.bounds import check_cells, check_square, check_steps
from xaibench.errors import UserError
from xaibench.registry import Registry

SIZE = (24, 32)


@pytest.mark.parametrize(
    ("check", "last", "said"),
    [
        (check_steps, 768, "steps: 769 are more than the 768 pixels of images of 24 x 32; at most"),
        (check_cells, 24, "cells: 25 along a side are more than the pixels .*; at most 24"),
        (
            lambda value, size: check_square("window", value, size),
            31,
            "window: a square of 32 pixels covers all of images of 24 x 32; at most 31",
        ),
    ],
)
def test_the_bound_is_the_last_that_is_taken(check, last, said):
    check(last, SIZE)
    with pytest.raises(UserError, match=said):
        check(last + 1, SIZE)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("square_occlusion", "window", 32),
        ("captum.occlusion", "window", 32),
        ("rise", "cells", 25),
        ("extremal_perturbation", "cells", 25),
        ("hierarchical_perturbation", "finest", 32),
    ],
)
def test_explainers_look_at_the_models_images(name, parameter, value):
    cls = Registry().load("explainer", name)
    seen = toy_model("softmax", channels=1, size=SIZE)
    cls(**{parameter: value - 1}).check(seen)
    with pytest.raises(UserError, match=f"^{parameter}: .*{value}"):
        cls(**{parameter: value}).check(seen)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("deletion", "steps", 769),
        ("insertion", "steps", 769),
        ("srg", "steps", 769),
        ("monotonicity", "steps", 769),
        ("saco", "groups", 769),
        ("aopc", "region", 32),
        ("selectivity", "patch", 32),
        ("occlusion_probe", "squares", (25,)),
        ("quantus.selectivity", "patch_size", 32),
        ("quantus.region_perturbation", "patch_size", 32),
    ],
)
def test_metrics_look_at_the_size(name, parameter, value):
    cls = Registry().load("metric", name)
    less = (value[0] - 1,) if isinstance(value, tuple) else value - 1
    cls(**{parameter: less}).check(SIZE)
    with pytest.raises(UserError, match=f"^{parameter}: "):
        cls(**{parameter: value}).check(SIZE)


@pytest.mark.parametrize("kind", ["explainer", "metric"])
def test_the_defaults_have_room_in_images_of_32_pixels(kind):
    registry, seen = Registry(), toy_model("softmax", channels=3, size=(32, 32))
    refused = []
    for name in registry.names(kind):
        plugin = registry.load(kind, name)()
        try:
            plugin.check(seen if kind == "explainer" else (32, 32))
        except UserError as error:
            refused.append(str(error))
    assert [said for said in refused if "images of 32 x 32" in said] == []
