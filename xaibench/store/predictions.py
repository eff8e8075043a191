"""What the model says of every image of a split, as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from xaibench.store.schema import SEED
from xaibench.types import Data


def prediction_table(
    data: Data, split: str, probabilities: Float[np.ndarray, "n classes"]
) -> pd.DataFrame:
    """Return a row an image: image, group, label, predicted, and ``p_CLASS`` for each class.

    Labels and predictions are class names. Of several labels or regression, ``label_CLASS`` (NaN
    where missing) stands in place of ``label``, and ``predicted`` is the highest output.
    """
    records = data.splits[split]
    classes = np.array(data.classes)
    table = pd.DataFrame({"image": records.ids, "group": records.groups})
    if records.labels.ndim == 1:
        table["label"] = classes[records.labels]
    else:
        for column, name in enumerate(classes):
            table[f"label_{name}"] = records.labels[:, column]
    table["predicted"] = classes[probabilities.argmax(axis=1)]
    for column, name in enumerate(classes):
        table[f"p_{name}"] = probabilities[:, column].astype(np.float64)
    return table


def with_selection(predictions: pd.DataFrame, items: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the predictions with ``target`` and ``p_target`` of what was explained, ``selected``:
    whether it was, and before all ``training_seed``.
    """
    chosen = items[["image", "target", "p_target"]]
    table = predictions.merge(chosen, on="image", how="left", validate="one_to_many")
    table.insert(0, SEED, seed)
    return table.assign(selected=table["target"].notna())


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
