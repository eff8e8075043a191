"""ROC curve, AUROC and Youden's threshold of a class, label or output. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped
from scipy import stats
from scipy.special import expit, logit
from scipy.stats import rankdata
from statsmodels.stats.proportion import proportion_confint

CONFIDENCE = 0.95
MIN_EACH = 3
"""Groups with positives, and with negatives, that an interval of the AUROC needs."""


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
    true, false, thresholds = _counts(label)
    return false / false[-1], true / true[-1], thresholds


def _counts(label: Label) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many positives and negatives score at least each threshold, and these, falling."""
    values, place = np.unique(-label.scores, return_inverse=True)
    each = lambda there: np.cumsum(np.bincount(place[there], minlength=len(values)))
    true, false = (np.insert(each(there), 0, 0) for there in (label.truth, ~label.truth))
    return true, false, np.insert(-values, 0, np.inf)


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


def auroc(label: Label) -> float:
    """Return the area under the ROC curve.

    That is the share of pairs (positive, negative) in which the positive scores higher, a tie
    counting half.
    """
    true, false, _ = _counts(label)
    twice = np.diff(false) @ (true[1:] + true[:-1])
    return float(twice / (2 * true[-1] * false[-1]))


def auroc_interval(label: Label, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval of the AUROC over groups of images.

    A t interval of its log-odds, with the variance of clustered ROC curves from the placements of
    positives among negatives and of negatives among positives, and Satterthwaite's degrees of
    freedom of the groups with positives and of those with negatives; Clopper and Pearson's of the
    fewer groups where the AUROC is 0 or 1. NaN where fewer than three groups hold positives, or
    fewer than three hold negatives. Source: Obuchowski 1997, Biometrics 53(2).
    """
    positive, negative = label.groups[label.truth], label.groups[~label.truth]
    count = np.array([len(set(positive)), len(set(negative))])
    if min(count) < MIN_EACH:
        return np.nan, np.nan
    area = auroc(label)
    if area in (0.0, 1.0):
        groups = int(min(count))
        ends = proportion_confint(area * groups, groups, alpha=1 - confidence, method="beta")
        return float(ends[0]), float(ends[1])
    codes, names = pd.factorize(label.groups)
    sums = []
    for kind in (True, False):
        at = label.truth == kind
        # Ranks among all less ranks among its own kind: how many of the other it is above.
        above = (rankdata(label.scores)[at] - rankdata(label.scores[at])) / (~at).sum()
        placed = (above if kind else 1 - above) - area
        sums.append(np.bincount(codes[at], placed, len(names)) / at.sum())
    each = count / (count - 1) * [(part**2).sum() for part in sums]
    both = len(names) / (len(names) - 1) * (sums[0] * sums[1]).sum()
    variance = max(each.sum() + 2 * both, 0.0)
    df = max(variance**2 / (each**2 / (count - 1)).sum(), min(count) - 1)
    half = stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(variance) / (area * (1 - area))
    return float(expit(logit(area) - half)), float(expit(logit(area) + half))
