"""Which of a run's explainers and explained images its figures show.

Nothing is chosen by how its map looks. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.roc import class_names, labels_of, youden
from xaibench.leaderboards.summary import of_explainers
from xaibench.store.predictions import outcomes, target_labels

HALF = 0.5
MOST = 8  # images in one figure
CAM_LIKE = ("grad_cam", "cam")
NO_FAILURE = "No explained image is wrong: there is no gallery of failures."


def heading(run: ScoredRun) -> str:
    """Return data set, model and split, and how many training seeds where there are several."""
    return f"{plain_heading(run)}{over_seeds(run)}"


def heading_of_first(run: ScoredRun) -> str:
    """Return ``heading`` of what shows one model: that of the first training seed."""
    return f"{plain_heading(run)}{of_first_seed(run)}"


def plain_heading(run: ScoredRun) -> str:
    """Return data set, model and split."""
    return f"{run.dataset}, {run.about['model']}, split {run.about['split']}"


def over_seeds(run: ScoredRun) -> str:
    """Return ``, 3 training seeds``: for what is pooled over them; nothing where there is one."""
    seeds = run.training_seeds
    return f", {len(seeds)} training seeds" if len(seeds) > 1 else ""


def of_first_seed(run: ScoredRun) -> str:
    """Return ``, training seed 0``: for what shows the first of several; nothing where it is the
    only one.
    """
    return f", training seed {run.first_seed}" if len(run.training_seeds) > 1 else ""


def scored(run: ScoredRun) -> list[str]:
    """Return the explainers in the order of the scores."""
    return list(of_explainers(run.scores)["explainer"].unique())


def controls_of(run: ScoredRun) -> list[str]:
    rows = of_explainers(run.scores)
    return list(rows.loc[rows["control"].eq(True), "explainer"].unique())


def drawn(run: ScoredRun) -> list[str]:
    """Return the explainers with maps, in the order of the scores; none without ``maps.h5``."""
    with run.maps() as file:
        there = set(file["maps"]) if file else set()
    known = scored(run)
    return [name for name in known if name in there] + sorted(there - set(known))


def cam_like(explainers: Sequence[str], controls: Sequence[str]) -> str | None:
    """Return the explainer whose maps the galleries show: Grad-CAM, else CAM, else the first."""
    able = [name for name in explainers if name not in controls] or list(explainers)
    return next((name for name in CAM_LIKE if name in able), able[0] if able else None)


def explained(run: ScoredRun) -> pd.DataFrame | None:
    """Return the predictions' row of each map; the index is its place in ``maps.h5``.

    Of several training seeds the first is shown. None without maps or predictions.
    """
    with run.maps() as file:
        return None if file is None or run.predictions is None else run.items(file)


def shown(run: ScoredRun) -> pd.DataFrame | None:
    """Return the rows of ``representative`` images, ``with_truth``; the index is their place in
    ``maps.h5``. None without maps or predictions.
    """
    rows = explained(run)
    return None if rows is None else representative(with_truth(rows))


def read(run: ScoredRun, rows: pd.DataFrame, name: str) -> np.ndarray:
    """Return an array of ``maps.h5``, at the places in the index of ``rows``, in that order."""
    # A file gives them in rising order only.
    places, back = np.unique(rows.index.to_numpy(dtype=int), return_inverse=True)
    with run.maps() as file:
        return file[name][places][back]


def masks(run: ScoredRun, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the masks of the rows, as ``read`` does: name -> (n, H, W)."""
    with run.maps() as file:
        names = list(file.get("masks", {}))
    return {name: read(run, rows, f"masks/{name}") for name in names}


def with_truth(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with ``truth`` as text: the class, or of several labels those present."""
    if "label" in rows:
        return rows.assign(truth=rows["label"].astype(str))
    labels = {name: f"label_{name}" for name in class_names(rows)}
    found = [[n for n, c in labels.items() if row.get(c) == 1] for row in rows.to_dict("records")]
    return rows.assign(truth=[", ".join(names) or "none" for names in found])


def representative(rows: pd.DataFrame, most: int = MOST) -> pd.DataFrame:
    """Return up to ``most`` rows: the first two of each pair of truth and prediction, then the
    first of the rest.

    Args:
        rows: what ``with_truth`` returns.
    """
    turn = rows.groupby(["truth", "predicted"], sort=False, dropna=False).cumcount().to_numpy()
    wanted = np.argsort(turn > 1, kind="stable")
    return rows.iloc[np.sort(wanted[:most])]


def thresholds(predictions: pd.DataFrame, validation: pd.DataFrame | None) -> dict[str, float]:
    """Return the threshold of each class, label or output: Youden's on the validation split, or
    one half where there is none.
    """
    labels = [] if validation is None else labels_of(validation)
    chosen = {label.name: youden(label).value for label in labels if label.reason is None}
    return {label.name: chosen.get(label.name, HALF) for label in labels_of(predictions)}


def true_positives(items: pd.DataFrame, threshold: dict[str, float], most: int = 5) -> pd.DataFrame:
    """Return up to ``most`` items for each finding whose target is there and is said to be.

    That is: the target's label is positive, and its score is at least the threshold. Of two
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
