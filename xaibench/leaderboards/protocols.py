"""A protocol id, read again: which value it is, and by which parameters it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_OPENING, _CLOSING = "([{", ")]}"
_UNSAID = {"order": "morf"}
"""What a parameter is where an id does not say it."""


@dataclass(frozen=True)
class Protocol:
    """An id such as ``deletion@x[fill=blur(11,5),order=lerf,score=prob,steps=100]``.

    Attributes:
        name: of the value, as its metric calls it: ``deletion@x``.
        parameters: their text by name.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """Read an id; a text without ``[...]`` at its end is a name without parameters."""
        name, bracket, rest = text.partition("[")
        if not (bracket and rest.endswith("]")):
            return cls(text)
        pairs = (part.partition("=") for part in _parts(rest[:-1]))
        return cls(name, {key: value for key, _, value in pairs})

    def value(self, parameter: str) -> str | None:
        """Return a parameter's text, or what it is where the id does not say it."""
        return self.parameters.get(parameter, _UNSAID.get(parameter))

    def differs_in(self, other: Protocol) -> set[str]:
        """Return the names of the parameters that are not the same in both."""
        names = {*self.parameters, *other.parameters}
        return {name for name in names if self.value(name) != other.value(name)}


def _parts(text: str) -> Iterator[str]:
    """Yield what commas part, but for those inside brackets and those that no ``name=`` follows."""
    depth, found = 0, [""]
    for sign in text:
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if sign == "," and depth == 0:
            found.append("")
        else:
            found[-1] += sign
    whole = ""
    for part in found:
        if whole and "=" in part:
            yield whole
            whole = part
        else:
            whole = f"{whole},{part}" if whole else part
    if whole:
        yield whole
