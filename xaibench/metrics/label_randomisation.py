"""Label randomisation: do the maps change when the model has learnt permuted labels?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from skimage.metrics import structural_similarity

from xaibench.engine import Maps
from xaibench.metrics.base import Scores, TwinMetric
from xaibench.registry import register


@register("metric")
@dataclass(frozen=True)
class LabelRandomisation(TwinMetric):
    """Likeness of the maps to those of a twin trained on permuted labels; lower is better.

    The twin is the same architecture, trained by the same options on permuted labels, so it knows
    nothing of the classes. An explainer whose maps stay the same explains the image, not the
    model. ``@spearman``: rank correlation of the maps; ``@spearman_abs``: of their absolute
    values; ``@ssim``: structural similarity of the maps, each scaled to [0, 1]. Undefined where
    one of the two maps is constant.
    Cost: one more map an image. Source: Adebayo et al. 2018, "Sanity checks for saliency maps",
    section 4.2.
    """

    higher_is_better: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {"twin": "permuted_labels"}

    def value_names(self, masks: tuple[str, ...]) -> list[str]:
        return [f"label_randomisation@{how}" for how in ("spearman", "spearman_abs", "ssim")]

    def compare(self, maps: Maps, twin: Maps) -> Scores:
        one, other = maps.double().cpu().numpy(), twin.double().cpu().numpy()
        flat = lambda values: values.reshape(len(values), -1)
        found = [
            _rank_correlation(flat(one), flat(other)),
            _rank_correlation(flat(np.abs(one)), flat(np.abs(other))),
            _similarity(one, other),
        ]
        values = {
            name: torch.from_numpy(value).to(maps.device)
            for name, value in zip(self.value_names(()), found, strict=True)
        }
        reason = "one of the two maps is constant or not finite"
        return Scores(values, undefined=dict.fromkeys(values, reason))


def _rank_correlation(
    one: Float[np.ndarray, "batch pixel"], other: Float[np.ndarray, "batch pixel"]
) -> Float[np.ndarray, " batch"]:
    """Return Spearman's correlation of each row, ties sharing their mean rank; NaN if constant."""
    a, b = rankdata(one, axis=1), rankdata(other, axis=1)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    known = (scale > 0) & np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
    return np.where(known, (a * b).sum(axis=1) / np.where(known, scale, 1), np.nan)


def _similarity(
    one: Float[np.ndarray, "batch height width"], other: Float[np.ndarray, "batch height width"]
) -> Float[np.ndarray, " batch"]:
    pairs = [(_to_unit(a), _to_unit(b)) for a, b in zip(one, other, strict=True)]
    return np.array(
        [
            np.nan if a is None or b is None else structural_similarity(a, b, data_range=1.0)
            for a, b in pairs
        ]
    )


def _to_unit(values: Float[np.ndarray, "height width"]) -> np.ndarray | None:
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if np.isfinite(high - low) and high > low else None
