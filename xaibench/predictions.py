"""What the model says of every image of a split, as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from xaibench.datasets.base import Data


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


def with_selection(predictions: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions with ``target`` and ``p_target`` of what was explained, and
    ``selected``: whether it was.
    """
    chosen = items[["image", "target", "p_target"]]
    table = predictions.merge(chosen, on="image", how="left", validate="one_to_many")
    return table.assign(selected=table["target"].notna())
