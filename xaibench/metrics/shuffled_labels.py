"""Shuffled labels: is the model better than predictions that know nothing of the labels?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field
from scipy.stats import rankdata

from xaibench.metrics.base import PredictionMetric
from xaibench.registry import register
from xaibench.types import Labels, Task


@register("metric")
@dataclass(frozen=True)
class ShuffledLabels(PredictionMetric):
    """AUROC of the fixed predictions against permuted labels, beside the true AUROC.

    ``auroc``: the true one; of several classes or labels, the mean over those that have both
    positives and negatives, each against the rest; a missing label leaves its image out of that
    label's AUROC. ``shuffled_labels.mean``, ``.low``, ``.high``:
    mean and central 95 % interval over the permutations (0.5 is expected). ``.p_value``:
    (1 + number of permutations with an AUROC of at least the true one) / (1 + permutations).
    Rows of labels are permuted whole. NaN for regression and where every image has one label.
    No passes. Source: Ojala and Garriga 2010, "Permutation tests for studying classifier
    performance", test 1.
    """

    higher_is_better: ClassVar[None] = None
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    permutations: Annotated[int, Field(ge=1)] = 1000

    def score_predictions(
        self,
        labels: Labels,
        probabilities: Float[np.ndarray, "n classes"],
        *,
        task: Task,
        seed: int,
    ) -> dict[str, float]:
        names = ["auroc", *(f"shuffled_labels.{k}" for k in ("mean", "low", "high", "p_value"))]
        truth, scores = _one_against_rest(labels, probabilities, task)
        if truth.shape[1] == 0:
            return dict.fromkeys(names, float("nan"))
        ranks = _ranks(scores, truth)
        rng = np.random.default_rng(seed)
        true = _mean_auroc(truth, ranks)
        missing = bool(np.isnan(truth).any())  # then a permutation leaves other images out
        shuffled = []
        for _ in range(self.permutations):
            permuted = truth[rng.permutation(len(truth))]
            shuffled.append(_mean_auroc(permuted, _ranks(scores, permuted) if missing else ranks))
        low, high = np.quantile(shuffled, [0.025, 0.975])
        # A permutation that equals the true AUROC to rounding counts as reaching it.
        p_value = (1 + np.sum(np.array(shuffled) >= true - 1e-12)) / (1 + self.permutations)
        values = [true, np.mean(shuffled), low, high, p_value]
        return {name: float(value) for name, value in zip(names, values, strict=True)}


def _one_against_rest(
    labels: Labels, probabilities: Float[np.ndarray, "n classes"], task: Task
) -> tuple[Float[np.ndarray, "n columns"], Float[np.ndarray, "n columns"]]:
    """Return truth (1, 0, NaN) and score of each class that has both positives and negatives."""
    if task == "regression":
        return np.zeros((len(labels), 0)), np.zeros((len(labels), 0))
    if task == "binary":
        truth, scores = labels[:, None] == 1, probabilities[:, 1:]
    elif task == "multiclass":
        truth, scores = labels[:, None] == np.arange(probabilities.shape[1]), probabilities
    else:
        truth, scores = labels, probabilities
    truth = truth.astype(float)
    both = (truth == 1).any(axis=0) & (truth == 0).any(axis=0)
    return truth[:, both], scores[:, both]


def _ranks(
    scores: Float[np.ndarray, "n columns"], truth: Float[np.ndarray, "n columns"]
) -> Float[np.ndarray, "n columns"]:
    """Return each score's rank among the images whose label is known, in its column."""
    return rankdata(np.where(np.isnan(truth), np.nan, scores), axis=0, nan_policy="omit")


def _mean_auroc(
    truth: Float[np.ndarray, "n columns"], ranks: Float[np.ndarray, "n columns"]
) -> float:
    """Return the mean area under the ROC curve, by the rank sum (Mann and Whitney)."""
    positives, negatives = (truth == 1).sum(axis=0), (truth == 0).sum(axis=0)
    rank_sum = np.where(truth == 1, ranks, 0).sum(axis=0)
    return float(np.mean((rank_sum - positives * (positives + 1) / 2) / (positives * negatives)))
