"""From rows of scores to the leaderboard: one row for each explainer and metric.

Rows are paired by image, and everything is clustered by patient or slide. The difference from
``random`` is the mean over the images where both have a value; its p-values are corrected by Holm
within a metric. A row without a value is never filled in: n and the failure rate stand beside it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from xaibench.errors import UserError
from xaibench.leaderboards.bootstrap import estimate
from xaibench.leaderboards.names import RANDOM
from xaibench.store.schema import ITEM, KEYS, SEED
from xaibench.store.training_seeds import numbered


def of_explainers(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about maps; those about the model alone have no explainer."""
    return scores[scores["explainer"].notna()]


def of_model_alone(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about the model alone, such as ``auroc``."""
    return scores[scores["explainer"].isna() & scores["image"].isna()]


def of_images(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about images without any map, such as ``occlusion_probe``."""
    return scores[scores["explainer"].isna() & scores["image"].notna()]


def summarise(
    scores: pd.DataFrame, *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> pd.DataFrame:
    """Return one row for each data set, split, model, explainer and metric.

    Args:
        scores: one row for each image, explainer and metric; rows about the model alone are left
            out.

    Columns: ``mean``, ``low``, ``high``; ``images`` and ``groups`` in all; ``rows`` (images, or
    pairs of image and target where several targets are explained), ``undefined`` (those for which
    the metric has no value by definition), ``n`` and ``n_groups`` with a value; ``failed`` and
    ``constant`` (rates in [0, 1] among the rows that are not undefined);
    ``reason`` (the commonest one for a missing value); ``difference`` from ``random`` with
    ``difference_low``, ``difference_high``, ``difference_n``, ``p``, ``p_holm``;
    ``beats_random`` (NA without a direction, without ``random``, or with too few groups);
    ``rank`` (1 is best, controls included, ties share the mean rank).
    """
    rows = of_explainers(scores)
    parts = [
        _summarise_one(part, resamples, seed, confidence)
        for _, part in rows.groupby(KEYS, sort=False)
    ]
    if not parts:
        raise UserError("the scores hold no row with an explainer; was the run finished?")
    return pd.concat(parts, ignore_index=True)


def _summarise_one(
    rows: pd.DataFrame, resamples: int, seed: int, confidence: float
) -> pd.DataFrame:
    usable = rows["status"].isin(["ok", "constant"]) & np.isfinite(rows["value"].astype(float))
    rows = rows.assign(value=rows["value"].astype(float).where(usable))
    cells = rows.groupby(["metric", "explainer"], sort=False)
    table = pd.DataFrame([{"metric": m, "explainer": e} | _counts(c) for (m, e), c in cells])
    table["higher_is_better"] = table["higher_is_better"].astype("boolean")
    columns = pd.MultiIndex.from_frame(table[["metric", "explainer"]])
    item, rows = [SEED, *ITEM], numbered(rows)
    wide = rows.pivot(index=item, columns=["metric", "explainer"], values="value")[columns]
    items = rows.drop_duplicates(item).set_index(item)["group"].loc[wide.index].reset_index()
    groups = items["group"].fillna(items["image"]).to_list()
    values = wide.to_numpy()
    paired = values - _random_columns(wide)
    table = table.assign(**estimate(values, groups, resamples, seed, confidence))
    gaps = pd.DataFrame(estimate(paired, groups, resamples, seed, confidence))
    gaps = gaps.rename(columns={"mean": "", "low": "_low", "high": "_high"}).drop(
        columns="n_groups"
    )
    gaps = gaps.rename(columns=lambda name: name if name == "p" else f"difference{name}")
    gaps["difference_n"] = np.isfinite(paired).sum(axis=0)
    table[gaps.columns] = gaps
    table.loc[table["explainer"] == RANDOM, gaps.columns.drop("difference_n")] = np.nan
    table["p_holm"] = table.groupby("metric", sort=False)["p"].transform(_holm)
    direction = table["higher_is_better"].map({True: 1.0, False: -1.0}).astype(float)
    table["beats_random"] = _beats(table, direction, 1 - confidence)
    table["rank"] = (-direction * table["mean"]).groupby(table["metric"]).rank()
    constants = {key: rows[key].iloc[0] for key in KEYS}
    table = table.assign(**constants, confidence=confidence)
    table = table.assign(images=items["image"].nunique(), groups=len(set(groups)))
    return table[[*KEYS, *COLUMNS]]


COLUMNS = [
    *("explainer", "metric", "mean", "low", "high", "confidence", "n", "n_groups"),
    *("rows", "images", "groups", "failed", "constant", "undefined", "reason", "control"),
    *("higher_is_better", "protocol", "difference", "difference_low", "difference_high"),
    *("difference_n", "p", "p_holm", "beats_random", "rank"),
]


def _counts(cell: pd.DataFrame) -> dict[str, object]:
    undefined = int((cell["status"] == "undefined").sum())
    defined = len(cell) - undefined
    n = int(cell["value"].notna().sum())
    reasons = cell.loc[cell["value"].isna(), "reason"].dropna().value_counts()
    higher = cell["higher_is_better"].iloc[0]
    return {
        "n": n,
        "rows": len(cell),
        "failed": (defined - n) / defined if defined else np.nan,
        "constant": (cell["status"] == "constant").sum() / defined if defined else np.nan,
        "undefined": undefined,
        "reason": min(reasons[reasons == reasons.max()].index, default=None),
        "control": bool(cell["control"].iloc[0]),
        "higher_is_better": None if pd.isna(higher) else bool(higher),
        "protocol": cell["protocol"].iloc[0],
    }


def _random_columns(wide: pd.DataFrame) -> np.ndarray:
    """Return for every column the values of ``random`` under the same metric, or NaN."""
    empty = np.full(len(wide), np.nan)
    found = [wide.get((metric, RANDOM), empty) for metric, _ in wide.columns]
    return np.column_stack([np.asarray(column, dtype=float) for column in found])


def _holm(p: pd.Series) -> pd.Series:
    """Return Holm's corrected p-values: the i-th smallest of m times m - i, never falling."""
    # statsmodels has this, and collects garbage at each call: slower than all else here together.
    rising = p.dropna().sort_values()
    corrected = (rising * np.arange(len(rising), 0, -1)).cummax().clip(upper=1.0)
    return corrected.reindex(p.index)


def _beats(table: pd.DataFrame, direction: pd.Series, alpha: float) -> pd.Series:
    better = (direction * table["difference"] > 0) & (table["p_holm"] < alpha)
    return better.astype("boolean").mask(table["p_holm"].isna() | direction.isna())
