"""Selectivity: how fast the score falls when the patches with the most relevance go first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveInt

from xaibench.engine import Batch, Fill, Maps, region_curve, step_counts, trapezoid
from xaibench.engine.bounds import check_square
from xaibench.engine.curves import Counts
from xaibench.metrics.base import Curve, MapMetric, Scores
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class Selectivity(MapMetric):
    """Area under the score as patches go, by falling sum of relevance; lower is better.

    Patches are squares of ``patch`` pixels from the top left, cut at the border; ties go in the
    image's own random order. The score after 0, ..., K of the K patches are gone, at most
    ``steps`` steps of (nearly) as many patches, both ends in; the area is the trapezoid over the
    fraction of patches. In [0, 1] for probabilities. Deletion asks the same of single pixels.

    The paper's figure has patches of a digit. Quantus takes patches of 8, centres the grid of an
    image that they do not divide, makes them black, starts its curve after the first patch, and
    gives the curve; its ``get_auc_score`` is over steps of 1.
    Cost: min(K, steps) - 1 passes an image and map. Source: Montavon, Samek and Müller 2018,
    "Methods for interpreting and understanding deep neural networks", section 6.2.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"ties": "seeded", "rank": "patch_sum"}

    patch: PositiveInt = 8
    steps: PositiveInt = 100
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def check(self, size: tuple[int, int]) -> None:
        check_square("patch", self.patch, size)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount((len(self._counts(batch)) - 2) * len(batch))

    def score(self, model: Classifier, batch: Batch, maps: Maps) -> Scores:
        counts = self._counts(batch)
        asked = {"side": self.patch, "fill": self.fill, "space": self.space}
        y = region_curve(model, batch, maps, counts, **asked)
        curve = Curve((counts / counts[-1]).expand_as(y), y)
        return Scores({self.name: trapezoid(curve.y, curve.x)}, {self.name: curve})

    def _counts(self, batch: Batch) -> Counts:
        height, width = batch.images.shape[2:]
        patches = -(-height // self.patch) * -(-width // self.patch)
        return step_counts(min(self.steps, patches), patches, batch.images.device)
