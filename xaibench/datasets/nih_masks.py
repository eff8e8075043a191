"""Where NIH ChestX-ray14 knows a finding to be: boxes, and the true masks of generated images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from xaibench.datasets.mask_files import read_mask
from xaibench.datasets.nih_tables import BOX_SIDE
from xaibench.datasets.radiograph_sets import Asked

SHORTCUT_FINDING = "Pneumothorax"
"""The finding that a planted marker goes with."""


@dataclass(frozen=True, eq=False)
class NihMasks:
    """Masks for the images and targets asked for.

    Attributes:
        boxes: as ``nih_tables.read_boxes`` gives them.
        classes: the findings that are the data set's labels.
        folder: of the true masks that are drawn with generated images; None for real ones.
        tagged: whether the generated images hold a planted marker.
    """

    boxes: pd.DataFrame
    classes: tuple[str, ...]
    folder: Path | None = None
    tagged: bool = False

    def __call__(self, asked: Asked) -> dict[str, Bool[np.ndarray, "n size size"]]:
        findings = [self.classes[target] for target in asked.targets]
        box = self._boxes(asked, findings)
        return {"box": box} if self.folder is None else self._true(asked, findings) | {"box": box}

    def _boxes(self, asked: Asked, findings: list[str]) -> Bool[np.ndarray, "n size size"]:
        """Return the union of the boxes of each image's finding."""
        union = np.zeros(asked.images.shape, bool)
        rows = self.boxes.groupby(["image", "finding"]).indices
        images = zip(asked.rows["image"], findings, asked.placements, union, strict=True)
        for image, finding, placement, mask in images:
            own = self.boxes.iloc[rows.get((image, finding), [])]
            edges = np.stack([own.y, own.y + own.h, own.x, own.x + own.w], axis=1).astype(float)
            sides = np.repeat([placement.height, placement.width], 2)
            for box in placement.carry_boxes(edges * sides / BOX_SIDE):
                mask |= filled(box, len(mask))
        return union

    def _true(self, asked: Asked, findings: list[str]) -> dict[str, np.ndarray]:
        """Return the evidence of each image's finding, the marker that goes with it, the lungs."""

        def read(names: list[str]) -> Bool[np.ndarray, "n size size"]:
            rows = zip(names, asked.rows.itertuples(), strict=True)
            return asked.carry(
                [read_mask(self.folder, name, r.image, r.height, r.width) for name, r in rows]
            )

        masks = {"evidence": read(findings)}
        if self.tagged:
            speaks = np.array([finding == SHORTCUT_FINDING for finding in findings])
            speaks &= masks["evidence"].any((1, 2))
            masks["tag"] = read(["tag"] * len(findings)) & speaks[:, None, None]
        return masks | {"lungs": read(["lungs"] * len(findings))}


def filled(box: Float[np.ndarray, "4"], side: int) -> Bool[np.ndarray, "side side"]:
    """Return the pixels whose centres lie in a box, at least one; none if it has no area.

    Args:
        box: top, bottom, left, right in pixels, where pixel i reaches from i to i + 1.
    """
    mask = np.zeros((side, side), bool)
    if box[1] <= box[0] or box[3] <= box[2]:
        return mask
    first = np.clip(np.ceil(box[[0, 2]] - 0.5).astype(int), 0, side - 1)
    end = np.ceil(box[[1, 3]] - 0.5).astype(int)
    end = np.clip(end, first + 1, side)  # a box thinner than a pixel may lie between two centres
    mask[first[0] : end[0], first[1] : end[1]] = True
    return mask
