"""A plugin's parameters set otherwise, one at a time."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from xaibench.errors import UserError

T = TypeVar("T")


def variants(plugin: T) -> Iterator[tuple[str, T]]:
    """Yield parameter -> the plugin with another value of it, where one is found."""
    hints = typing.get_type_hints(type(plugin), include_extras=True)
    for field in fields(plugin):
        value = getattr(plugin, field.name)
        for other in _others(hints[field.name], value):
            try:
                TypeAdapter(hints[field.name]).validate_python(other)
                changed = replace(plugin, **{field.name: other})
                changed.validate()
            except (ValidationError, UserError, ValueError, TypeError):
                continue
            yield field.name, changed
            break


def _others(hint: object, value: object) -> Iterator[object]:
    """Yield values that may be allowed instead of one."""
    yield from (choice for choice in _choices(hint) if choice != value)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, 2 * value)
    elif isinstance(value, float):
        yield from (value / 2, value * 2, value + 0.25)


def _choices(hint: object) -> Iterator[object]:
    """Yield what the literals in a type allow."""
    if typing.get_origin(hint) is typing.Literal:
        yield from typing.get_args(hint)
    elif typing.get_origin(hint) in (typing.Union, types.UnionType, typing.Annotated):
        for part in typing.get_args(hint):
            yield from _choices(part)
