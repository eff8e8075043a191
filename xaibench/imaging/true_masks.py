"""The true masks of generated images, read from the files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from xaibench.imaging.mask_files import FOLDER, read_mask
from xaibench.imaging.picture_sets import Asked
from xaibench.imaging.recipe_folder import GeneratedSet


@dataclass(frozen=True)
class TrueMasks:
    """Masks for the images and targets asked for: ``evidence``, ``lungs``, and ``tag`` if planted.

    Attributes:
        made: the set that the images are of.
        evidence: the name of each target's masks; a name without files speaks for nothing.
        tag_with: the name that a planted marker goes with; it is of no concern to the others.
        stray: whether the marker is also shown on images that lack what it goes with.
        order: of the masks, and so of every table's rows.
        key: the column of the table that the masks are called by.
    """

    made: GeneratedSet
    evidence: tuple[str, ...]
    tag_with: str
    stray: bool = False
    order: tuple[str, ...] = ("evidence", "tag", "lungs")
    key: str = "path"

    def __call__(self, asked: Asked) -> dict[str, Bool[np.ndarray, "n tall wide"]]:
        wanted = [self.evidence[target] for target in asked.targets]
        masks = {"evidence": self._read(asked, wanted)}
        masks["lungs"] = self._read(asked, ["lungs"] * len(wanted))
        if self.made.tagged:
            concerned = np.array([name == self.tag_with for name in wanted], bool)
            if not self.stray:
                concerned &= _present(asked)
            masks["tag"] = self._read(asked, ["tag"] * len(wanted)) & concerned[:, None, None]
        return {name: masks[name] for name in self.order if name in masks}

    def _read(self, asked: Asked, names: Sequence[str]) -> Bool[np.ndarray, "n tall wide"]:
        rows = asked.rows
        of = zip(names, rows[self.key], rows["height"], rows["width"], strict=True)
        return asked.carry([read_mask(self.made.root / FOLDER, *each) for each in of])


def _present(asked: Asked) -> Bool[np.ndarray, " n"]:
    """Return whether each image shows its target, by its label."""
    if asked.labels.ndim == 1:
        return asked.labels == asked.targets
    return np.take_along_axis(asked.labels, asked.targets[:, None], axis=1)[:, 0] == 1
