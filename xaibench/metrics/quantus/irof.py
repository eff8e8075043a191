"""IROF of Quantus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from xaibench.metrics.quantus.base import Baseline, QuantusMetric, Shape
from xaibench.metrics.quantus.library import QUIET, quantus
from xaibench.registry import register
from xaibench.types import Space


@register("metric")
@dataclass(frozen=True)
class Irof(QuantusMetric):
    """Quantus: area over the score as superpixels fall in the map's order; higher is better.

    Superpixels (scikit-image's SLIC with its defaults, about 100) by their mean relevance, the
    most relevant first, go to the baseline one more at a time; the number of superpixels less
    the area under p(perturbed) / p(x), the trapezoid with unit steps. It grows with the number
    of superpixels. Known faults of Quantus 0.6: the unperturbed image is left out of the area,
    which is not divided by the number of superpixels, as the paper has it; ``mean`` is one grey
    for all channels, of the image as it has become; of images in several channels its masks
    have the wrong shape, for which they are spread over the channels here.
    Undefined where Quantus refuses the map.
    Cost: 1 pass, and one a superpixel, whose number depends on the image. Source: Rieger and
    Hansen 2020, "IROF: a low resource evaluation metric for explanation methods", as ``IROF``
    of Quantus.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    segmentation_method: Literal["slic", "felzenszwalb"] = "slic"
    perturb_baseline: Baseline = "mean"
    abs: bool = False
    space: Space = "prob"

    def metric(self, shape: Shape) -> quantus.IROF:
        names = ("segmentation_method", "perturb_baseline", "abs")
        own = {k: getattr(self, k) for k in names}
        return quantus.IROF(**QUIET, **own, perturb_func=_replaced)

    def passes(self, shape: Shape) -> None:
        return None


def _replaced(arr: np.ndarray, mask: np.ndarray, **asked: object) -> np.ndarray:
    mask = np.broadcast_to(mask, arr.shape)
    return quantus.baseline_replacement_by_mask(arr=arr, mask=mask, **asked)
