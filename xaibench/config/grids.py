"""Grids: a list where a parameter takes none makes a row of each of its values."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xaibench.config.document import Document, Place
from xaibench.config.parameters import Parameter

_UNSAFE = re.compile(r"[^A-Za-z0-9_+.]+")


@dataclass(frozen=True)
class Row:
    """One row of a section: its label in tables, and the parameters of its plugin.

    Attributes:
        index: parameter -> which of its values this is, where a list was given.
    """

    label: str
    parameters: Mapping[str, Any]
    index: Mapping[str, int] = field(default_factory=dict)


def rows_of(
    place: Place,
    parameters: Mapping[str, Any],
    known: Mapping[str, Parameter],
    document: Document,
) -> Iterator[Row]:
    """Yield the rows that a section says: one, or one for each point of its grid.

    Of ``window: [8, 16]`` come ``LABEL(window=8)`` and ``LABEL(window=16)``, of several lists their
    product, the last one running fastest. A list that the parameter takes as it is makes none.

    Args:
        place: of the section in the document; its last key is the label.
        known: the plugin's parameters.

    Raises:
        UserError: a list is empty, or an element is a list or has keys.
    """
    label = str(place[-1])
    axes = {
        name: value
        for name, value in parameters.items()
        if isinstance(value, list) and name in known and not known[name].takes_list
    }
    for name, values in axes.items():
        _check(values, (*place, name), known[name], document)
    if not axes:
        yield Row(label, parameters)
        return
    for indices in itertools.product(*(range(len(values)) for values in axes.values())):
        index = dict(zip(axes, indices, strict=True))
        point = {name: axes[name][at] for name, at in index.items()}
        said = ",".join(f"{name}={_word(value)}" for name, value in point.items())
        yield Row(f"{label}({said})", dict(parameters) | point, index)


def _check(values: list[Any], place: Place, parameter: Parameter, document: Document) -> None:
    if not values:
        raise document.error(
            place, f"is an empty list, which makes no row; give {parameter.allowed}, or several"
        )
    for at, value in enumerate(values):
        if isinstance(value, list | dict):
            raise document.error(
                (*place, at), f"must be {parameter.allowed}, got {value!r}; a grid has plain values"
            )


def _word(value: object) -> str:
    """Return a value as labels spell it: letters, digits, ``_ + . -``, safe in the name of a file.

    >>> _word("blur(7,2.5)"), _word(None), _word(-0.5)
    ('blur-7-2.5', 'null', '-0.5')
    """
    plain = {None: "null", True: "true", False: "false"}
    text = plain[value] if isinstance(value, bool) or value is None else str(value)
    minus = "-" if not isinstance(value, str) and text.startswith("-") else ""
    return minus + (_UNSAFE.sub("-", text).strip("-") or "empty")
