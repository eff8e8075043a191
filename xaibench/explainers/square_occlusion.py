"""Square occlusion: how far the score falls where a sliding window hides the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from pydantic import PositiveInt
from torch import Tensor

from xaibench.engine import (
    Batch,
    BoxMasks,
    Fill,
    Maps,
    Pixels,
    fill_images,
    unmasked_score,
    window_scores,
)
from xaibench.engine.bounds import check_square
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class SquareOcclusion(Explainer):
    """Drop of the target's score where a sliding square hides the image, overlaps averaged.

    A pixel's relevance is the mean of score(x) - score(x with window hidden) over the windows
    that cover it. Windows start at multiples of ``stride``; the last ones are cut at the border.
    Cost: one pass a window, (1 + ceil((H - window) / stride)) x likewise for W; each takes only
    the time of what its window reaches in the network's maps, where they can be recomputed apart.
    Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", 4.2.
    """

    window: PositiveInt = 16
    stride: PositiveInt = 8
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def validate(self) -> None:
        if self.stride > self.window:
            raise UserError(
                f"stride {self.stride} is larger than window {self.window}: pixels between "
                "windows would have no relevance; make stride at most window"
            )

    def check(self, model: Classifier) -> None:
        check_square("window", self.window, model.input_shape[1:])

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        rows, columns = (
            len(self._starts(side, model.device)[0]) for side in batch.images.shape[2:]
        )
        return PassCount(rows * columns * len(batch), 0)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        change = ((batch.images - fill_images(batch, self.fill)) * weights).sum(1)
        rows, columns = (self._starts(side, change.device)[1] for side in change.shape[1:])
        return self._averaged(rows.float() @ change @ columns.T.float(), rows, columns)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        height, width = batch.images.shape[2:]
        tops, rows = self._starts(height, model.device)
        lefts, columns = self._starts(width, model.device)
        grid = torch.cartesian_prod(tops, lefts)
        boxes = torch.stack(
            [grid[:, 0], grid[:, 0] + self.window, grid[:, 1], grid[:, 1] + self.window], dim=1
        )
        masks = BoxMasks(boxes, (height, width), torch.full_like(batch.targets, len(boxes)))
        fills = fill_images(batch, self.fill)
        hidden = window_scores(model, batch.images, fills, batch.targets, masks, self.space)
        drops = unmasked_score(model, batch, self.space)[:, None] - hidden
        return self._averaged(drops.view(-1, len(tops), len(lefts)), rows, columns)

    def _averaged(
        self,
        drops: Float[Tensor, "batch row column"],
        rows: Bool[Tensor, "row height"],
        columns: Bool[Tensor, "column width"],
    ) -> Maps:
        """Return the mean over the windows that cover each pixel."""
        total = rows.T.float() @ drops @ columns.float()
        return total / torch.outer(rows.sum(0), columns.sum(0))

    def _starts(
        self, side: int, device: torch.device
    ) -> tuple[Tensor, Bool[Tensor, "start pixel"]]:
        """Return where windows start along one side, and which pixels each covers."""
        count = 1 + max(0, -(-(side - self.window) // self.stride))
        starts = torch.arange(count, device=device) * self.stride
        pixels = torch.arange(side, device=device)
        covers = (pixels >= starts[:, None]) & (pixels < starts[:, None] + self.window)
        return starts, covers
