"""Whether the model gets an explained image right. Imports no torch."""

from __future__ import annotations

import pandas as pd


def outcomes(items: pd.DataFrame) -> pd.Series:
    """Return whether the model gets each item right: True, False, or NA where no label is known.

    Of one-of-n classes the predicted class must be the label. Of several labels or regression
    the explained target counts alone: its output must lie in [label - 0.5, label + 0.5), which
    for a label of 0 or 1 means "at least 0.5 if and only if the label is 1".

    Args:
        items: what ``with_targets`` returns.
    """
    if "label" in items:
        return (items["label"] == items["predicted"]).astype("boolean")
    label = target_labels(items)
    right = (items["p_target"] >= label - 0.5) & (items["p_target"] < label + 0.5)
    return right.astype("boolean").mask(label.isna())


def target_labels(items: pd.DataFrame) -> pd.Series:
    """Return the label of each item's target, of several labels or regression; NaN if missing."""
    rows = zip(items["target"], items.to_dict("records"), strict=True)
    return pd.Series([row[f"label_{target}"] for target, row in rows], items.index, dtype=float)
