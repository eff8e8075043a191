"""The parameters of a plugin, or the keys of a section: type, default, bounds and choices."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

REQUIRED = object()
"""Stands where a parameter has no default."""

_TYPES = {
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "array": "list",
    "object": "keys with values",
    "null": "null",
}
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


@dataclass(frozen=True)
class Parameter:
    """What may be said of one parameter.

    Attributes:
        type: in words, such as ``integer`` or ``number or text``.
        default: as plain data; REQUIRED where there is none.
        bounds: in words, such as ``at least 2, at most 9``; empty where there are none.
        choices: the only values; empty where others are allowed, too.
        takes_list: whether a list is one value of it; a list of any other makes a grid.
    """

    name: str
    type: str
    default: Any
    bounds: str
    choices: tuple[Any, ...]
    takes_list: bool

    @property
    def allowed(self) -> str:
        """What it may be, in a few words: ``an integer, at least 2``."""
        if self.choices:
            return f"one of {', '.join(map(_shown, self.choices))}"
        return self.type + f", {self.bounds}" * bool(self.bounds)


@functools.cache
def parameters_of(cls: type) -> Mapping[str, Parameter]:
    """Return the parameters of a class by name, in their order.

    A parameter whose type no schema can describe takes whatever its validator takes; so does
    every one of a class that has such a parameter.
    """
    try:
        schema = TypeAdapter(cls).json_schema(mode="validation")
    except PydanticInvalidForJsonSchema:
        return {}
    known, required = schema.get("$defs", {}), schema.get("required", ())
    if "$ref" in schema:
        schema = _resolved(schema, known)
    return {
        name: _parameter(name, part, known, name in required)
        for name, part in schema.get("properties", {}).items()
    }


def _parameter(name: str, schema: Mapping[str, Any], known: dict, required: bool) -> Parameter:
    branches = list(_branches(schema, known))
    # Two branches of one type, such as two lengths of a list, are one word.
    types = dict.fromkeys(_type(branch) for branch in branches)
    bounds = [words for branch in branches if (words := _bounds(branch))]
    closed = [_choices(branch) for branch in branches]
    return Parameter(
        name,
        " or ".join(types),
        REQUIRED if required else schema.get("default", "(see its section)"),
        " or ".join(bounds),
        tuple(value for values in closed for value in values) if all(closed) else (),
        any(branch.get("type") == "array" or _type(branch) == "anything" for branch in branches),
    )


def _resolved(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    return known[schema["$ref"].rpartition("/")[2]]


def _branches(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the alternatives of a union; a schema that is none yields itself."""
    if "$ref" in schema:
        yield from _branches(_resolved(schema, known), known)
        return
    parts = schema.get("anyOf") or schema.get("oneOf")
    if not parts:
        yield schema
    for part in parts or ():
        yield from _branches(part, known)


def _type(schema: Mapping[str, Any]) -> str:
    if choices := _choices(schema):
        return " or ".join(map(_shown, choices))
    if schema.get("format") == "path":
        return "path"
    return _TYPES.get(schema.get("type"), "anything")


def _choices(schema: Mapping[str, Any]) -> tuple[Any, ...]:
    if "const" in schema:
        return (schema["const"],)
    if schema.get("type") == "null":
        return (None,)
    return tuple(schema.get("enum", ()))


def _bounds(schema: Mapping[str, Any]) -> str:
    said = [f"{word} {schema[key]:g}" for key, word in _BOUNDS.items() if key in schema]
    if "pattern" in schema:
        said.append(f"matching {schema['pattern']}")
    return ", ".join(said)


def _shown(value: object) -> str:
    return json.dumps(value).strip('"')
