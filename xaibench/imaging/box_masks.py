"""Where the evidence is, as boxes drawn on images say it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from xaibench.imaging.own_masks import shown
from xaibench.imaging.picture_sets import Asked

ANY = -1
"""The target of a box that speaks for whatever its image shows."""


@dataclass(frozen=True, eq=False)
class BoxMasks:
    """The union of the boxes of each image's target; nothing where there is none.

    Attributes:
        boxes: a row a box: ``path`` of its image, ``target`` (or `ANY`), and ``x``, ``y``, ``w``,
            ``h``: left, top, width and height.
        name: of the masks.
        side: pixels along a side of the images that the boxes were drawn on; None for those of
            the files.
    """

    boxes: pd.DataFrame
    name: str
    side: int | None = None

    def __call__(self, asked: Asked) -> dict[str, Bool[np.ndarray, "n height width"]]:
        masks = np.zeros(asked.images.shape, bool)
        of_path = self.boxes.groupby("path").indices
        speaks = shown(asked.labels, asked.targets)
        images = zip(
            asked.rows["path"], asked.targets, speaks, asked.placements, masks, strict=True
        )
        for path, target, speak, placement, mask in images:
            own = self.boxes.iloc[of_path.get(path, [])]
            own = own[(own.target == target) | ((own.target == ANY) & speak)]
            edges = np.stack([own.y, own.y + own.h, own.x, own.x + own.w], axis=1).astype(float)
            drawn_on = np.repeat([placement.height, placement.width], 2)
            scale = 1.0 if self.side is None else drawn_on / self.side
            for box in placement.carry_boxes(edges * scale):
                mask |= filled(box, mask.shape)
        return {self.name: masks}


def filled(box: Float[np.ndarray, "4"], shape: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """Return the pixels whose centres lie in a box, at least one; none if it has no area.

    Args:
        box: top, bottom, left, right in pixels, where pixel i reaches from i to i + 1.
    """
    mask = np.zeros(shape, bool)
    if box[1] <= box[0] or box[3] <= box[2]:
        return mask
    first = np.clip(np.ceil(box[[0, 2]] - 0.5).astype(int), 0, np.array(shape) - 1)
    end = np.ceil(box[[1, 3]] - 0.5).astype(int)
    end = np.clip(end, first + 1, shape)  # a box thinner than a pixel may lie between two centres
    mask[first[0] : end[0], first[1] : end[1]] = True
    return mask
