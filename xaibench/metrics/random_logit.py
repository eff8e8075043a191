"""Random logit: does the map change when another class is explained?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from xaibench.engine import Batch, Maps, Targets
from xaibench.engine.likeness import UNALIKE, likenesses, unrelated_maps
from xaibench.metrics.base import LikenessMetric, Remake, Scores
from xaibench.models.base import Classifier
from xaibench.randomness import OTHER_TARGET, random_uniform
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class RandomLogit(LikenessMetric):
    """Likeness of the map to the same explainer's map of another class; lower is better.

    The other class is drawn evenly from those that are not the target, by the image's seed: of two
    classes, one of them on a single logit too, the other one; of several labels or outputs another
    label or output. ``@spearman``: rank correlation of the maps; ``@spearman_abs``: of their
    absolute values; ``@ssim``: structural similarity of the maps, each scaled to [0, 1]. With
    ``_control`` behind it: the same of the map and uniform noise. In [-1, 1]. An explainer whose
    maps stay the same explains the image, not the class. Of two classes exact opposites
    (a single logit; gradients of a softmax's difference) give -1 and, of absolute values, 1: that
    is no fault. Undefined where one of the two maps is constant, or the model has one output only.
    Cost: one more map an image. Source: Sixt, Granz and Landgraf 2020, "When explanations lie: why
    many modified BP attributions fail", section on the random logit, which takes the structural
    similarity.
    """

    conventions: ClassVar[dict[str, str]] = {"other": "seeded"}

    def compare(
        self,
        model: Classifier,
        others: Mapping[str, Classifier],
        batch: Batch,
        maps: Maps,
        remake: Remake,
    ) -> Scores:
        if len(model.classes) > 1:
            its = remake(model, replace(batch, targets=_other_targets(model, batch)))
        else:
            its = torch.full_like(maps, torch.nan)
        values = self.likeness_values(*likenesses(maps, [its, unrelated_maps(maps, batch.seeds)]))
        why = UNALIKE if len(model.classes) > 1 else "the model has one output only"
        controls = {name for name in values if name.endswith("_control")}
        return Scores(values, undefined={n: UNALIKE if n in controls else why for n in values})


def _other_targets(model: Classifier, batch: Batch) -> Targets:
    """Return a target of each image that is not its own, drawn evenly from all others."""
    count = len(model.classes)
    draws = random_uniform(batch.seeds, 1, OTHER_TARGET)[:, 0]
    steps = 1 + (draws * (count - 1)).long()
    return (batch.targets + steps.to(batch.targets.dtype)) % count
