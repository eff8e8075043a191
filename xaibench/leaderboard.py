"""From rows of scores to the leaderboard: intervals, tests against chance, ranks, tables.

Statistics. Rows are paired by image; intervals are percentile intervals of a bootstrap that
resamples whole groups (patients, slides), with the same resamples for every explainer and metric.
The difference from ``random`` is the mean over the images where both have a value; its two-sided
p-value is the share of recentred bootstrap differences at least as far from 0, corrected by Holm
within a metric. A row without a value is never filled in: n and the failure rate stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from xaibench import cost
from xaibench.atomic import replacing
from xaibench.errors import UserError
from xaibench.merging import merge
from xaibench.results import ITEM, KEYS
from xaibench.tables import RANDOM, Table

BLOCK = 2_000_000  # resamples x groups drawn at once: 16 MB of counts


# ------------------------------------------------------------------------------- statistics


def resampled_means(
    values: np.ndarray, groups: Sequence[str], resamples: int, seed: int
) -> np.ndarray:
    """Return the means over rows of resampled groups, (resamples, K); NaN where no row has a value.

    Args:
        values: (I, K), one row an image; NaN where there is none.
        groups: (I,), the patient or slide of each row.
    """
    codes, names = pd.factorize(np.asarray(groups), sort=True)
    known = np.isfinite(values)
    sums = np.zeros((len(names), values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, codes, np.where(known, values, 0.0))
    np.add.at(counts, codes, known)
    with np.errstate(invalid="ignore"):
        blocks = [
            (drawn @ sums) / (drawn @ counts)
            for drawn in draws(len(names), resamples, np.random.default_rng(seed))
        ]
    return np.concatenate(blocks)


def draws(
    groups: int, resamples: int, rng: np.random.Generator, size: int | None = None
) -> Iterator[np.ndarray]:
    """Yield how often each group was drawn, (block, groups), until there are ``resamples`` rows.

    Args:
        size: numbers that the caller makes of one row, where they are more than the groups; the
            blocks are small enough for them.
    """
    step = max(1, BLOCK // (size or groups))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        yield rng.multinomial(groups, np.full(groups, 1 / groups), size=count).astype(float)


def interval(means: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval over axis 0, NaN in a column that has no mean at all."""
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(means, tails, axis=0)
    # The quantile that skips NaN is slow, and few columns need it.
    partly = np.isnan(low) & np.isfinite(means).any(axis=0)
    if partly.any():
        low[partly], high[partly] = np.nanquantile(means[:, partly], tails, axis=0)
    return low, high


def _column_means(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)


def estimate(
    values: np.ndarray, groups: Sequence[str], resamples: int, seed: int, confidence: float
) -> dict[str, np.ndarray]:
    """Mean, interval and recentred two-sided p-value of each column; (K,) each."""
    mean = _column_means(values)
    means = resampled_means(values, groups, resamples, seed)
    present = [len(set(np.asarray(groups)[np.isfinite(column)])) for column in values.T]
    means[:, np.asarray(present) < 2] = np.nan  # one group says nothing about the spread
    low, high = interval(means, confidence)
    drawn = np.isfinite(means)
    # The slack keeps rounding from making a difference of exactly 0 look significant.
    far = (np.abs(means - mean) >= np.abs(mean) - 1e-12) & drawn
    p = np.where(drawn.any(axis=0), (1 + far.sum(axis=0)) / (1 + drawn.sum(axis=0)), np.nan)
    return {"mean": mean, "low": low, "high": high, "p": p, "n_groups": np.asarray(present)}


# ------------------------------------------------------------------------------- summary


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
    wide = rows.pivot(index=ITEM, columns=["metric", "explainer"], values="value")[columns]
    items = rows.drop_duplicates(ITEM).set_index(ITEM)["group"].loc[wide.index].reset_index()
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


# ------------------------------------------------------------------------------- writing


def write(
    summary: pd.DataFrame,
    model_rows: pd.DataFrame,
    folder: Path | None,
    title: str = "Leaderboard",
    costs: pd.DataFrame | None = None,
) -> str:
    """Write ``leaderboard.csv``, ``.md`` and ``.tex``, each whole or not at all; return the second.

    Args:
        summary: what ``summarise`` returns; one table for each data set, split and model.
        model_rows: what ``of_model_alone`` returns, a line underneath.
        folder: made where it is not there; None writes nothing.
        costs: what ``cost.of_runs`` returns: the last columns; None leaves them out.
    """
    tables = tables_of(summary, model_rows, title, costs)
    texts = {
        "csv": (summary if costs is None else cost.beside(summary, costs)).to_csv(
            index=False, lineterminator="\n"
        ),
        "md": "\n\n".join(table.markdown() for table in tables) + "\n",
        "tex": "\n\n".join(table.latex() for table in tables) + "\n",
    }
    for ending, text in texts.items() if folder else ():
        with replacing(folder / f"leaderboard.{ending}") as file:
            file.write_text(text, encoding="utf-8")
    return texts["md"]


def tables_of(
    summary: pd.DataFrame, model_rows: pd.DataFrame, title: str, costs: pd.DataFrame | None
) -> list[Table]:
    """Return one table for each data set, split and model; see ``write``."""
    found = []
    for _, part in summary.groupby(KEYS, sort=False):
        of_part = lambda rows, about=part[KEYS].iloc[0]: rows[(rows[KEYS] == about).all(axis=1)]
        its = None if costs is None else of_part(costs)
        found.append(Table(part, of_part(model_rows), title, its))
    return found


def make(*folders: Path, out: Path | None = None, title: str = "Leaderboard") -> str:
    """Merge runs, write their leaderboard into ``out``, and return it as Markdown.

    Args:
        out: by default the folder of a single run; several runs without it write nothing.
    """
    scores = merge(folders)
    if out is None and len(folders) == 1:
        out = Path(folders[0])
    costs = cost.of_runs(folders, scores)
    return write(summarise(scores), of_model_alone(scores), out, title, costs)
