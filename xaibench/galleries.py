"""Which explained images a gallery shows: true positives of each finding, and failures.

Nothing is chosen by how its map looks. Imports no torch.
"""

from __future__ import annotations

import pandas as pd

from xaibench.outcomes import outcomes, target_labels
from xaibench.roc import labels_of, youden

NO_FAILURE = "No explained image is wrong: there is no gallery of failures."


def thresholds(predictions: pd.DataFrame) -> dict[str, float]:
    """Return Youden's threshold of each class, label or output that has one."""
    return {x.name: youden(x).value for x in labels_of(predictions) if x.reason is None}


def true_positives(items: pd.DataFrame, threshold: dict[str, float], most: int = 5) -> pd.DataFrame:
    """Return up to ``most`` items for each finding whose target is there and is said to be.

    That is: the target's label is positive, and its score is at least Youden's threshold. Of two
    classes, the second alone is a finding. Findings come in their order in ``threshold``, items
    in the order in which they were explained; their index is their place in ``items``.

    Args:
        items: one row a map: ``target``, ``p_target`` and the labels.
        threshold: finding -> threshold.
    """
    rows = items.reset_index(drop=True)
    there = rows["label"] == rows["target"] if "label" in rows else target_labels(rows) == 1
    cut = rows["target"].map(threshold).astype(float)
    hits = rows[there & (rows["p_target"] >= cut)].assign(threshold=cut)
    places = hits["target"].map({name: at for at, name in enumerate(threshold)})
    return (
        hits.loc[places.sort_values(kind="stable").index].groupby("target", sort=False).head(most)
    )


def failures(items: pd.DataFrame) -> pd.DataFrame:
    """Return the items that the model gets wrong, the worst first, with ``error`` in [0, inf).

    The error is one less the probability of the true class; of several labels or regression, how
    far the target's output is from its label. Their index is their place in ``items``.
    """
    rows = items.reset_index(drop=True)
    wrong = rows[outcomes(rows).eq(False).fillna(False).astype(bool)]
    if "label" in rows:
        of_truth = [row[f"p_{row['label']}"] for row in wrong.to_dict("records")]
        error = 1 - pd.Series(of_truth, wrong.index, dtype=float)
    else:
        error = (wrong["p_target"] - target_labels(wrong)).abs()
    # The image's name breaks ties, so that the order does not hang on the order of the run.
    return wrong.assign(error=error).sort_values(["error", "image"], ascending=[False, True])
