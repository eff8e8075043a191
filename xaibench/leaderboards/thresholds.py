"""AUROC and thresholds as a table: ``thresholds.csv`` and ``roc.md`` of a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from xaibench.leaderboards.markdown import page
from xaibench.leaderboards.roc import (
    CONFIDENCE,
    Label,
    auroc,
    auroc_interval,
    labels_of,
    operating_point,
    youden,
)
from xaibench.store.finished import FinishedRun
from xaibench.store.schema import SEED
from xaibench.store.training_seeds import numbered, seeds_of, with_seeds
from xaibench.types import VALIDATION

COLUMNS = [
    *(
        SEED,
        "label",
        "n",
        "n_groups",
        "positives",
        "auroc",
        "auroc_low",
        "auroc_high",
        "confidence",
    ),
    *("threshold", "threshold_split", "threshold_reason", "sensitivity", "specificity"),
    *("accuracy_at_youden", "f1_at_youden", "accuracy_at_0.5", "f1_at_0.5", "reason"),
]
REGRESSION = ["n_values", "mae", "rmse", "spearman"]


def table(
    predictions: pd.DataFrame,
    split: str,
    validation: pd.DataFrame | None = None,
    regression: bool = False,
) -> pd.DataFrame:
    """Return one row for each class, label or output: ``COLUMNS``, and ``REGRESSION`` if asked.

    With several training seeds each has rows of its own: predictions of several models for one
    image are never pooled. A label that has no ROC curve keeps its row: NaN, and the ``reason``;
    one without a threshold likewise, with the ``threshold_reason``. AUROC, sensitivity,
    specificity, accuracy and F1 are those of ``predictions``.

    Args:
        split: that of the predictions.
        validation: predictions of the validation split, on which thresholds are chosen, since
            what stands at a threshold is too good on the images that chose it; None for none.
        regression: add mean absolute error, root mean squared error and rank correlation over
            every known value (``n_values``), those between 0 and 1 included.
    """
    seeds = seeds_of(predictions)
    if len(seeds) > 1:
        of_seed = lambda rows, seed: None if rows is None else rows[rows[SEED].eq(seed)]
        each = [(of_seed(predictions, its), of_seed(validation, its)) for its in seeds]
        parts = [table(own, split, valid, regression) for own, valid in each]
        return pd.concat(parts, ignore_index=True)
    choosing = None if validation is None else {x.name: x for x in labels_of(validation)}
    rows = []
    for label in labels_of(predictions):
        row = {"label": label.name, "n": len(label.truth), "n_groups": len(set(label.groups))}
        row |= {"positives": int(label.truth.sum())}
        row |= {"confidence": CONFIDENCE, "reason": label.reason, SEED: next(iter(seeds), None)}
        row |= _choice(label.name, split, choosing)
        if label.reason is None:
            row |= _worth(label, row.get("threshold"))
        if regression:
            row |= _errors(predictions, label.name)
        rows.append(row)
    columns = [*COLUMNS, *(REGRESSION if regression else [])]
    return with_seeds(pd.DataFrame(rows)).reindex(columns=columns)


def mean_auroc(rows: pd.DataFrame) -> tuple[float, int]:
    """Return the mean AUROC over the labels that have one, and their number.

    Args:
        rows: of one training seed.
    """
    known = rows["auroc"].dropna()
    return float(known.mean()), len(known)


def _choice(label: str, split: str, validation: Mapping[str, Label] | None) -> dict[str, object]:
    """Return a label's threshold and the split that chose it, or why there is none."""
    if validation is not None and validation[label].reason is None:
        return {"threshold": youden(validation[label]).value, "threshold_split": VALIDATION}
    if validation is not None:
        return {"threshold_reason": f"on split {VALIDATION}, {validation[label].reason}"}
    if split == VALIDATION:
        why = f"split {split} is the explained one, and what it chose would be too good on itself"
        return {"threshold_reason": why}
    return {"threshold_reason": f"the run has no predictions of a split {VALIDATION!r}"}


def _worth(label: Label, threshold: float | None) -> dict[str, float]:
    low, high = auroc_interval(label)
    found = {"auroc": auroc(label), "auroc_low": low, "auroc_high": high}
    found |= _at(label, 0.5, "0.5")
    if threshold is not None:
        found |= _at(label, threshold, "youden")
        point = operating_point(label, threshold)
        found |= {"sensitivity": point.sensitivity, "specificity": point.specificity}
    return found


def _at(label: Label, threshold: float, name: str) -> dict[str, float]:
    said = label.scores >= threshold
    # The denominator is never 0: there are positives.
    f1 = 2 * (said & label.truth).sum() / (said.sum() + label.truth.sum())
    right = (said == label.truth).mean()
    return {f"accuracy_at_{name}": float(right), f"f1_at_{name}": float(f1)}


def _errors(predictions: pd.DataFrame, name: str) -> dict[str, float]:
    images = predictions.drop_duplicates("image")
    known = images[[f"label_{name}", f"p_{name}"]].dropna().to_numpy(dtype=float)
    truth, output = known.T
    if not len(known):
        return {"n_values": 0}
    error = output - truth
    found = {
        "n_values": len(known),
        "mae": np.abs(error).mean(),
        "rmse": np.sqrt((error**2).mean()),
    }
    if np.ptp(truth) > 0 and np.ptp(output) > 0:  # a constant has no rank correlation
        found["spearman"] = spearmanr(truth, output).statistic
    return found


def markdown(rows: pd.DataFrame, heading: str) -> str:
    """Return the table as Markdown, with the mean AUROC and what the threshold is worth below."""
    head = ["label", "n", "groups", "positives", "AUROC ↑", "Youden's threshold", "sensitivity"]
    head += ["specificity", "accuracy", "F1", "accuracy at 0.5", "F1 at 0.5"]
    several = len(seeds_of(rows)) > 1
    head = ["training seed"] * several + head
    regression = "mae" in rows
    head += ["MAE ↓", "RMSE ↓", "Spearman ↑"] if regression else []
    lines = []
    for row in rows.to_dict("records"):
        cells = [str(row[SEED])] * several
        cells += [f"`{row['label']}`", *(str(row[k]) for k in ("n", "n_groups", "positives"))]
        if pd.isna(row["auroc"]):
            cells += [f"– ({row['reason']})", *["–"] * 7]
        else:
            span = (row["auroc_low"], row["auroc_high"])
            cells.append(f"{row['auroc']:.3f} [{', '.join(_number(end) for end in span)}]")
            names = ["threshold", "sensitivity", "specificity", "accuracy_at_youden"]
            names += ["f1_at_youden", "accuracy_at_0.5", "f1_at_0.5"]
            cells += [_number(row[name]) for name in names]
        cells += [_number(row[name]) for name in REGRESSION[1:]] if regression else []
        lines.append(cells)
    return page(f"ROC: {heading}", head, lines, notes(rows))


def notes(rows: pd.DataFrame) -> list[str]:
    """Return what must be said beside the table.

    Args:
        rows: what ``table`` returns; columns that an older file lacks are read as missing.
    """
    said, rows = [], rows.reindex(columns=[*dict.fromkeys([*COLUMNS, *rows.columns])])
    for seed, its in numbered(rows).groupby(SEED, sort=False):
        mean, count = mean_auroc(its)
        whose = f"training seed {seed}: " * (len(seeds_of(rows)) > 1)
        told = f"{whose}mean AUROC {_number(mean)} over the {count} of {len(its)} labels"
        said.append(f"{told} that have one")
    skipped = rows.loc[rows["auroc"].isna(), ["label", "reason"]].drop_duplicates().to_numpy()
    said += [f"`{name}` has none and is averaged nowhere: {reason}" for name, reason in skipped]
    said += [
        f"AUROC [{CONFIDENCE:.0%} interval clustered by group; –: fewer than three groups with "
        "positives, or with negatives]",
    ]
    chosen = rows.loc[rows["threshold"].notna(), "threshold_split"]
    if len(chosen):
        said.append(
            f"Youden's threshold is chosen on split {chosen.iloc[0]}; what stands at it is of the "
            "explained split"
        )
    missing = rows[rows["threshold"].isna()]
    for reason, part in missing.groupby("threshold_reason", sort=False):
        names = ", ".join(f"`{name}`" for name in part["label"].unique())
        said.append(f"no threshold for {names}: {reason}")
    if "mae" in rows:
        said.append("AUROC, accuracy and F1: over images whose value is exactly 0 or 1")
    return said


def make(run: FinishedRun) -> pd.DataFrame | None:
    """Write ``thresholds.csv`` and ``roc.md`` of a run; None where it has no predictions."""
    if run.predictions is None:
        return None
    split = run.about["split"]
    predictions, validation = run.every_prediction, run.every_validation
    rows = table(predictions, split, validation, run.head == "regression")
    heading = f"data set {run.dataset}, model {run.about['model']}, split {split}"
    run.write_csv("thresholds.csv", rows)
    run.write("roc.md", markdown(rows, heading))
    return rows


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"
