"""What somebody's images seem to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Guess:
    """A data set's section of a config, and how it came about.

    Attributes:
        settings: ``use`` and the parameters.
        took: what was taken for what.
        unsure: what may be otherwise, with what is to be said then.
        regression: whether labels are numbers.
    """

    settings: dict[str, Any]
    took: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    regression: bool = False

    @property
    def masked(self) -> bool:
        """Whether it says where the evidence is."""
        return not self.settings.keys().isdisjoint({"masks", "mask", "boxes"})
