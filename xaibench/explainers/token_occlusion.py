"""Token occlusion: how far the score falls where tokens of a transformer are left out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from pydantic import PositiveInt
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine import Batch, Maps, unmasked_score
from xaibench.engine.dropped_tokens import check_dropping, dropped_scores
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class TokenOcclusion(Explainer):
    """Drop of the target's score where a square of patches is left out, overlaps averaged.

    A transformer can do without the tokens of some patches: nothing stands in their place, so
    that no fill has to be chosen. The others keep their positions. A patch's relevance is the mean
    of score(x) - score(x without the square) over the squares of ``window`` x ``window`` patches
    that cover it; they start at multiples of ``stride`` patches, and the last ones are cut at the
    border. Each pixel has the value of its patch. Signed.
    Cost: one pass a square, (1 + ceil((rows - window) / stride)) x likewise for columns.
    Source: dropping: Jain et al. 2022, "Missingness bias in model debugging", section 3; the
    sliding square: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks",
    4.2.
    """

    needs = ("tokens",)

    window: PositiveInt = 1
    stride: PositiveInt = 1
    space: Space = "prob"

    def validate(self) -> None:
        if self.stride > self.window:
            raise UserError(
                f"stride {self.stride} is larger than window {self.window}: patches between "
                "squares would have no relevance; make stride at most window"
            )

    def check(self, model: Classifier) -> None:
        check_dropping(model)
        rows, columns = model.tokens.grids[0]
        if self.window >= max(rows, columns):
            raise UserError(
                f"token_occlusion: a window of {self.window} x {self.window} leaves out all of "
                f"the model's {rows} x {columns} patches; make it smaller"
            )

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(self._squares(model)) * len(batch))

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        squares = self._squares(model).to(model.device)
        without = dropped_scores(model, batch.images, batch.targets, squares, self.space)
        drops = unmasked_score(model, batch, self.space)[:, None] - without
        covers = squares.float()
        relevance = drops @ covers / covers.sum(0)
        maps = relevance.unflatten(1, model.tokens.grids[0])[:, None]
        return F.interpolate(maps, batch.images.shape[2:], mode="nearest")[:, 0]

    def _squares(self, model: Classifier) -> Bool[Tensor, "square patch"]:
        """Return which patches each square leaves out, patches row by row."""
        along_rows, along_columns = (self._covers(side) for side in model.tokens.grids[0])
        squares = along_rows[:, None, :, None] & along_columns[None, :, None, :]
        return squares.flatten(2).flatten(0, 1)

    def _covers(self, side: int) -> Bool[Tensor, "start patch"]:
        count = 1 + max(0, -(-(side - self.window) // self.stride))
        starts, patches = torch.arange(count)[:, None] * self.stride, torch.arange(side)
        return (patches >= starts) & (patches < starts + self.window)
