"""Changed copies of the training images, counted as images of their own."""

from __future__ import annotations

import numpy as np
import torch

from xaibench.training.augment import adjust_contrast
from xaibench.training.options import CopyOptions
from xaibench.types import Images, Split


class Copies(Split):
    """A split of n images followed by n flipped ones and n of another contrast, where asked for.

    A copy has its image's label and group, and its id with ``/flip`` or ``/contrast`` behind it.
    The contrast is about the image's mean grey, clipped to the range; masks are not carried over.
    ``times`` says how many images each one becomes.
    """

    def __init__(self, split: Split, options: CopyOptions) -> None:
        self._split, self._options = split, options
        self._kinds = ["", *["flip"] * options.flip, *["contrast"] * bool(options.contrast)]
        self.times = len(self._kinds)
        copied = lambda values: np.concatenate([values] * self.times)
        self.labels, self.groups = copied(split.labels), copied(split.groups)
        self.ids = np.array(
            [f"{i}/{kind}" if kind else str(i) for kind in self._kinds for i in split.ids]
        )

    def images(self, indices: np.ndarray) -> Images:
        indices = np.asarray(indices)
        images = self._split.images(indices % len(self._split)).copy()
        for number, kind in enumerate(self._kinds):
            chosen = indices // len(self._split) == number
            if kind and chosen.any():
                images[chosen] = self._changed(images[chosen], kind)
        return images

    def _changed(self, images: Images, kind: str) -> Images:
        if kind == "flip":
            return images[:, :, ::-1]
        top = 255 if images.dtype == np.uint8 else 1
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / top
        changed = adjust_contrast(x, torch.full((len(x),), float(self._options.contrast))) * top
        if top == 255:
            changed = changed.round()
        return changed.permute(0, 2, 3, 1).numpy().astype(images.dtype)
