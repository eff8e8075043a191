"""ROC curve, AUROC and Youden's threshold of a class, label or output. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped
from sklearn.metrics import roc_curve

from xaibench.leaderboards.bootstrap import draws, interval

RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Label:
    """What the model says of one class, label or output, where the truth is known.

    Attributes:
        truth: whether it is there.
        scores: its output, larger for "there".
        groups: patient or slide of each image.
        reason: why it has no ROC curve; None where it has one.
    """

    name: str
    truth: Bool[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    groups: Shaped[np.ndarray, " n"]

    @property
    def reason(self) -> str | None:
        if not len(self.truth):
            return "no image has a known label"
        if self.truth.all() or not self.truth.any():
            kind = "positive" if self.truth.all() else "negative"
            return f"all {len(self.truth)} known labels are {kind}"
        if not np.isfinite(self.scores).all():
            return "the model gives values that are not finite"
        return None


@dataclass(frozen=True)
class Threshold:
    """An operating point: "there" is said where the score is at least ``value``."""

    value: float
    sensitivity: float
    specificity: float


def class_names(predictions: pd.DataFrame) -> list[str]:
    """Return the classes, labels or outputs in order, from the columns ``p_NAME``."""
    columns = [c for c in predictions.columns if c.startswith("p_") and c != "p_target"]
    return [column.removeprefix("p_") for column in columns]


def labels_of(predictions: pd.DataFrame) -> list[Label]:
    """Return what stands behind each ROC curve.

    Of two classes that is the second alone; of more classes, each against the rest; of several
    labels, each on the images where it is not missing; of regression, each output on the images
    whose value is exactly 0 or 1 (a value in between, such as 0.5 for uncertain, is neither).

    Args:
        predictions: columns image, group, ``p_NAME``, and ``label`` or ``label_NAME``. An image
            that was explained for several targets counts once.
    """
    images = predictions.drop_duplicates("image")
    groups = images["group"].fillna(images["image"]).to_numpy()
    names = class_names(images)
    if "label" in images and len(names) == 2:
        names = names[1:]
    found = []
    for name in names:
        if "label" in images:
            value = (images["label"] == name).to_numpy(dtype=float)
        else:
            value = images[f"label_{name}"].to_numpy(dtype=float)
        known = (value == 0) | (value == 1)
        scores = images[f"p_{name}"].to_numpy(dtype=float)
        found.append(Label(name, value[known] == 1, scores[known], groups[known]))
    return found


def curve(label: Label) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return false positive rate, sensitivity and threshold of every point of the ROC curve.

    From (0, 0), whose threshold is infinite, to (1, 1); images of one score are one step.
    """
    return roc_curve(label.truth, label.scores, drop_intermediate=False)


def youden(label: Label) -> Threshold:
    """Return the threshold with the largest J = sensitivity + specificity - 1.

    Thresholds are the scores that occur; of several with the same J the highest is taken, which
    calls the fewest images positive. Source: Youden 1950, "Index for rating diagnostic tests".
    """
    false, true, thresholds = (values[1:] for values in curve(label))
    positives, negatives = label.truth.sum(), (~label.truth).sum()
    # In whole images, so that rounding breaks no tie.
    j = np.rint(true * positives) * negatives - np.rint(false * negatives) * positives
    best = int(np.argmax(j))
    return Threshold(float(thresholds[best]), float(true[best]), float(1 - false[best]))


def operating_point(label: Label, threshold: float) -> Threshold:
    """Return what a threshold that was chosen elsewhere is worth on a label with a ROC curve."""
    said = label.scores >= threshold
    return Threshold(
        threshold, float(said[label.truth].mean()), float((~said)[~label.truth].mean())
    )


def auroc(
    label: Label, weights: Float[np.ndarray, "resample n"] | None = None
) -> Float[np.ndarray, " resample"]:
    """Return the area under the ROC curve for each row of weights (one row of ones by default).

    That is the share of pairs (positive, negative) in which the positive scores higher, a tie
    counting half; NaN where the weights leave no pair.
    """
    weights = np.ones((1, len(label.truth))) if weights is None else weights
    _, starts = np.unique(np.sort(label.scores), return_index=True)
    order = np.argsort(label.scores, kind="stable")
    ranked, truth = weights[:, order], label.truth[order]
    positive = np.add.reduceat(ranked * truth, starts, axis=1)
    negative = np.add.reduceat(ranked * ~truth, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore"):
        return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def auroc_interval(
    label: Label, resamples: int = RESAMPLES, seed: int = 0, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return the percentile interval of the AUROC over resampled groups.

    Resamples without a positive or without a negative have no AUROC and are left out. NaN where
    fewer than two groups hold positives, or fewer than two hold negatives: one patient says
    nothing about the spread between patients.
    """
    for kind in (True, False):
        if len(set(label.groups[label.truth == kind])) < 2:
            return np.nan, np.nan
    codes, names = pd.factorize(label.groups, sort=True)
    rng = np.random.default_rng(seed)
    counts = draws(len(names), resamples, rng, size=max(len(names), len(codes)))
    areas = np.concatenate([auroc(label, drawn[:, codes]) for drawn in counts])
    low, high = interval(areas[:, None], confidence)
    return float(low[0]), float(high[0])
