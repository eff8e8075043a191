"""Label randomisation: do the maps change when the model has learnt permuted labels?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from xaibench.engine import Batch, Maps
from xaibench.engine.likeness import UNALIKE, likenesses, unrelated_maps
from xaibench.metrics.base import LikenessMetric, Remake, Scores
from xaibench.models.base import Classifier
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class LabelRandomisation(LikenessMetric):
    """Likeness of the maps to those of a twin trained on permuted labels; lower is better.

    The twin is the same architecture, trained by the same options on permuted labels, so it knows
    nothing of the classes. An explainer whose maps stay the same explains the image, not the
    model. ``@spearman``: rank correlation of the maps; ``@spearman_abs``: of their absolute
    values; ``@ssim``: structural similarity of the maps, each scaled to [0, 1]. With ``_control``
    behind it: the same of the map and uniform noise, what maps score that have nothing in common.
    Undefined where one of the two maps is constant.
    Cost: one more map an image. Source: Adebayo et al. 2018, "Sanity checks for saliency maps",
    section 4.2.
    """

    conventions: ClassVar[dict[str, str]] = {"twin": "permuted_labels"}
    needs_twin: ClassVar[bool] = True

    def others(
        self, model: Classifier, twin: Classifier | None, seed: int
    ) -> Mapping[str, Classifier]:
        return {"twin": twin}

    def compare(
        self,
        model: Classifier,
        others: Mapping[str, Classifier],
        batch: Batch,
        maps: Maps,
        remake: Remake,
    ) -> Scores:
        its = [remake(others["twin"], batch), unrelated_maps(maps, batch.seeds)]
        values = self.likeness_values(*likenesses(maps, its))
        return Scores(values, undefined=dict.fromkeys(values, UNALIKE))
