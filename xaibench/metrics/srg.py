"""Symmetric relevance gain: does it matter whether relevant or irrelevant pixels go first?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xaibench.engine import Batch, Maps, trapezoid
from xaibench.metrics.base import PixelMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class Srg(PixelMetric):
    """Area under the score, the least relevant pixels replaced first, less that of the most.

    ``lerf`` is the curve of deletion with the least relevant pixels first, ``morf`` with the most
    relevant first, in exactly the reverse order; the value is the area under lerf less that under
    morf. Higher is better; in [-1, 1] for probabilities. A map that knows nothing scores 0 on
    average whatever the fill does to the score, since what a removal does beside taking evidence
    away is in both curves: so rankings by it hang less on the fill than those by deletion.
    Cost: 2 (S - 1) passes an image and map. Source: Blücher, Vielhaben and Strodthoff 2024,
    "Decoupling pixel flipping and occlusion strategy for consistent XAI benchmarks", TMLR.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(2 * super().cost(model, batch).forward)

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        morf = self.curve(model, batch, maps)
        lerf = self.curve(model, batch, maps, least_first=True)
        gain = trapezoid(lerf.y, lerf.x) - trapezoid(morf.y, morf.x)
        return Scores({self.name: gain}, {"morf@pixels": morf, "lerf@pixels": lerf})
