"""Do single images rank the explainers alike? Krippendorff's alpha, the images being the raters.

Source: Tomsett et al. 2020, "Sanity checks for saliency metrics", AAAI 34(4); Krippendorff 2011,
"Computing Krippendorff's alpha-reliability", for ordinal data.
"""

from __future__ import annotations

import krippendorff
import numpy as np
from scipy.stats import rankdata

MIN_EXPLAINERS = 3
"""The fewest explainers whose order says something: two can have but two."""


def too_few_explainers(count: int) -> str:
    """Return why so few explainers have no ranking to compare."""
    return f"too few explainers to compare rankings ({count}; {MIN_EXPLAINERS} are needed)"


def alpha(values: np.ndarray) -> tuple[float, int, int, str | None]:
    """Return alpha, the explainers and rows that it is of, and why it is missing.

    1 where every image puts the explainers in the same order, about 0 where the orders have
    nothing in common. Only rows where every explainer has a value count: the ranks of three are
    not those of five. An explainer without any value is left out first.

    Args:
        values: (R, E), a row an image (and target, and trained model), NaN for none.
    """
    values = values[:, np.isfinite(values).any(axis=0)]
    whole = values[np.isfinite(values).all(axis=1)]
    rows, explainers = whole.shape
    if explainers < MIN_EXPLAINERS:
        return np.nan, explainers, rows, too_few_explainers(explainers)
    if rows < 2:
        why = f"too few images with a value of every explainer ({rows}; 2 are needed)"
        return np.nan, explainers, rows, why
    # Tied ranks are means of whole ones: twice a rank is whole, and counts are all alpha asks.
    steps = np.rint(2 * rankdata(whole, axis=1)).astype(int) - 2
    most = 2 * explainers - 1
    places = steps + most * np.arange(explainers)
    counts = np.bincount(places.ravel(), minlength=explainers * most).reshape(explainers, most)
    if (counts.sum(axis=0) > 0).sum() < 2:
        return np.nan, explainers, rows, "every explainer ties with every other on every image"
    told = krippendorff.alpha(value_counts=counts, level_of_measurement="ordinal")
    return float(told), explainers, rows, None
