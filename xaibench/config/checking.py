"""Plain data as checked objects; what pydantic finds is told in one line with its place."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from xaibench.config.document import Document
from xaibench.config.parameters import parameters_of
from xaibench.errors import UserError, did_you_mean, nearest


def checked(cls: type, data: Mapping[str, Any], document: Document, place: tuple) -> Any:
    """Return ``cls`` made from plain data, types strict; UserError names the place."""
    try:
        text = json.dumps(data)
    except TypeError as error:  # YAML has dates and sets, which no key of ours takes
        raise document.error(place, f"a value is no plain number, text or list: {error}") from None
    try:
        # As JSON, strict mode takes a list for a tuple and an integer for a float, and no more.
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        raise _translated(error, cls, document, place) from None


_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")


def _translated(error: ValidationError, cls: type, document: Document, place: tuple) -> UserError:
    """Return pydantic's report as one line with its place in the file."""
    errors = error.errors(include_url=False)
    # A misspelt key is also a missing one: the misspelling is the better word for it.
    first = next((e for e in errors if e["type"] in _UNKNOWN), errors[0])
    where = _known_part((*place, *first["loc"]), document)
    key = first["loc"][-1]
    if first["type"] in _UNKNOWN:
        keys = _keys(_owner(cls, first["loc"][:-1]))
        return document.error(where, f"unknown key {key!r}{did_you_mean(str(key), keys)}")
    if first["type"] in _MISSING:
        return document.error(where, f"lacks the key {key!r}")
    # Every branch of a union reports under the same key: together they say what is allowed.
    same = [e for e in errors if _known_part((*place, *e["loc"]), document) == where]
    wanted = " or ".join(dict.fromkeys(_wanted(e["msg"]) for e in same))
    if first["type"] == "value_error":
        return document.error(where, wanted)
    hint = _nearest_choice(first) if isinstance(first["input"], str) else ""
    allowed = _allowed(cls, where[len(place) :])
    return document.error(where, f"must {wanted}, got {first['input']!r}{hint}{allowed}")


def _allowed(cls: type, loc: Sequence[str | int]) -> str:
    """Return `` (KEY: integer, at least 1)`` of the key at ``loc``; nothing where none is known."""
    keys = [key for key in loc if isinstance(key, str)]
    known = parameters_of(_owner(cls, keys[:-1])) if keys else {}
    parameter = known.get(keys[-1]) if keys else None
    return f" ({parameter.name}: {parameter.allowed})" if parameter else ""


def _wanted(message: str) -> str:
    message = re.sub(r"^(Value error, |\w+ should )", "", message)
    # pydantic's words are JSON's; the user wrote YAML.
    words = {
        "a valid array": "a list",
        "an object": "keys with values",
        "a valid dictionary": "keys",
        "Field required": "have an entry more",
        " after validation": "",
    }
    for word, plain in words.items():
        message = message.replace(word, plain)
    return message


def _nearest_choice(error: Mapping[str, Any]) -> str:
    """Return `` (did you mean 'x'?)`` where pydantic lists the choices, else nothing."""
    choices = str(error.get("ctx", {}).get("expected", "")).replace(" or ", ",").split(",")
    return nearest(error["input"], [c.strip(" '") for c in choices])


def _known_part(place: tuple, document: Document) -> tuple:
    """Return the place without the union branches that pydantic puts behind a value."""
    for end in range(1, len(place)):
        holds = list if isinstance(place[end], int) else dict
        if document.has(place[:end]) and not isinstance(document.at(place[:end]), holds):
            return place[:end]
    while place and not document.has(place) and not document.has(place[:-1]):
        place = place[:-1]
    return place


def _owner(cls: type, loc: Sequence[str | int]) -> type:
    """Return the options class that holds the keys at ``loc``."""
    for key in loc:
        hints = typing.get_type_hints(cls)
        inside = [hints.get(key), *typing.get_args(hints.get(key))]
        cls = next((t for t in inside if isinstance(t, type) and _has_keys(t)), cls)
    return cls


def _has_keys(cls: type) -> bool:
    return dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel)


def _keys(cls: type) -> list[str]:
    if dataclasses.is_dataclass(cls):
        # A plugin's section also says which plugin it is for.
        return [f.name for f in dataclasses.fields(cls)] + ["use"] * hasattr(cls, "kind")
    return list(cls.model_fields)
