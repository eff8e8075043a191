"""ROAD: the score as pixels are imputed from those that are left, and so leave no outline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from xaibench.engine import Batch, Maps, PerImage, altered_scores, impute, pixel_ranks
from xaibench.engine.shared import unmasked_score
from xaibench.errors import UserError
from xaibench.metrics.base import Curve, MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.randomness import IMPUTED, copy_seeds, random_normal
from xaibench.registry import register
from xaibench.types import Space

Share = Annotated[float, Field(gt=0, le=1)]


@register("metric")
@dataclass(frozen=True)
class Road(MapMetric):
    """Mean score as pixels are replaced by what their neighbours let expect; remove and debias.

    At each level exactly floor(level x HW + 1/2) pixels, all channels together, are replaced: the
    most relevant ones (``order: morf``, lower is better) or the least relevant (``lerf``, higher is
    better); ties go in the image's own random order. Each becomes the weighted mean of its
    neighbours (1/6 for straight, 1/12 for diagonal ones, scaled to add up to 1 at the border), all
    of them together as the solution of one linear system, plus normal noise of ``noise`` in the
    unit of images in [0, 1], not cut there; without noise the model could see where an image is too
    smooth. The value is the mean over levels. In [0, 1] for probabilities.

    ``measure: score``, the default, is the score of the target: one image then tells more than
    yes or no. ``measure: accuracy`` is the paper's: 1 where the model still decides for the target
    (the largest logit; p >= 1/2 of a single logit; of several labels, the same side of 1/2 as for
    the whole image), else 0; undefined for regression. At level 1 no pixel is left to impute from,
    and the image becomes the mean of the training images plus noise.

    The weights are those of the paper's code. That code and Quantus impute normalised images, so
    that their noise is 0.01 of a standard deviation; Quantus replaces 1, 3, ..., 99 % and scores
    the first of several batches alone; grad-cam compares with a percentile, which removes the whole
    image where a map is constant.
    Cost: a pass a level, and a linear system of as many unknowns as pixels are missing. Source:
    Rong et al. 2022, "A consistent and efficient evaluation strategy for attribution methods",
    section 4.
    """

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded", "imputation": "linear"}

    levels: tuple[Share, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    noise: Annotated[float, Field(ge=0)] = 0.01
    order: Literal["morf", "lerf"] = "morf"
    measure: Literal["score", "accuracy"] = "score"
    space: Space = "prob"

    def validate(self) -> None:
        if not self.levels or list(self.levels) != sorted(set(self.levels)):
            raise UserError(f"levels {list(self.levels)} must rise, and be at least one")

    @property
    def higher_is_better(self) -> bool:
        """What is left is all the evidence where the least relevant pixels go."""
        return self.order == "lerf"

    @property
    def bounds(self) -> tuple[float, float]:
        logit = self.space == "logit" and self.measure == "score"
        return (-math.inf, math.inf) if logit else self.range

    def definition(self) -> dict[str, object]:
        decides = self.measure == "accuracy"
        return super().definition() | ({"space": None} if decides else {})

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch) * len(self.levels))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        levels = torch.tensor(self.levels, dtype=torch.float64, device=maps.device)
        counts = (levels * maps[0].numel() + 0.5).floor()
        ranks = pixel_ranks(maps, batch.seeds, least_first=self.order == "lerf")

        def altered(image: Tensor, copy: Tensor) -> Tensor:
            missing = ranks[image] < counts[copy][:, None, None]
            mean = batch.dataset_mean.expand(len(image), -1)
            filled = impute(batch.images[image], missing, mean)
            noise = random_normal(
                copy_seeds(batch.seeds[image], copy), filled[0].numel(), IMPUTED
            ).view_as(filled)
            return torch.where(missing[:, None], filled + self.noise * noise, filled)

        y = self._measured(model, batch, altered)
        x = (counts / maps[0].numel()).expand(len(batch), -1)
        name = "road@lerf" if self.order == "lerf" else "road"
        undefined = {"road": "a regressor decides for nothing"}
        return Scores({"road": y.double().mean(1)}, {name: Curve(x, y)}, undefined)

    def _measured(
        self, model: Classifier, batch: Batch, altered: object
    ) -> Float[Tensor, "batch level"]:
        if self.measure == "score":
            return altered_scores(model, batch.targets, len(self.levels), altered, self.space)
        if model.head == "softmax":
            return altered_scores(model, batch.targets, len(self.levels), altered, _is_largest)
        y = altered_scores(model, batch.targets, len(self.levels), altered, "prob")
        if model.head == "regression":
            return torch.full_like(y, torch.nan)
        whole = unmasked_score(model, batch, "prob")[:, None]
        side = whole >= 0.5 if model.head == "multilabel" else torch.ones_like(whole).bool()
        return ((y >= 0.5) == side).to(y.dtype)


def _is_largest(logits: Float[Tensor, "pair output"], targets: Tensor) -> PerImage:
    return (logits.argmax(1) == targets).to(logits.dtype)
