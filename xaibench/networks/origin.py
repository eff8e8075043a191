"""Where a built network came from, in lines for whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """What was noticed when a network was built, beside where its weights came from.

    Attributes:
        notes: said by every run: what was taken off the names of weights.
        doubts: said by a run that trains nothing: a fresh head, images of another normalisation or
            size than the weights were made for.
    """

    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
