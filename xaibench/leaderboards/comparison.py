"""Two runs held against each other: what differs in how they were made, and in their scores.

Scores are paired by image and target, whole groups are resampled by their signs, and all that is
compared is one family of tests. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xaibench.atomic import write_text
from xaibench.leaderboards.markdown import page
from xaibench.leaderboards.names import arrow
from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.contrasts import too_few
from xaibench.leaderboards.statistics.matrix import usable_values
from xaibench.leaderboards.statistics.sign_flips import FLIPS, max_t
from xaibench.leaderboards.summary import of_explainers, of_model_alone
from xaibench.store.differences import differences
from xaibench.store.finished import FinishedRun
from xaibench.store.schema import ITEM, KEYS

CONFIDENCE = 0.95
SAME = ["metric", "explainer"]
COLUMNS = [
    *("metric", "explainer", "first", "second", "difference", "low", "high", "confidence", "p"),
    *("n", "n_groups", "only_first", "only_second", "higher_is_better", "better", "reason"),
    "protocol",
]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two runs differ in.

    Attributes:
        made: what ``differences`` returns.
        scores: what ``paired`` returns.
        alone: metrics of the model alone that both have: metric, first, second.
        notes: what could not be compared, and why.
    """

    made: pd.DataFrame
    scores: pd.DataFrame
    alone: pd.DataFrame
    notes: list[str]


def compare(first: FinishedRun, second: FinishedRun, flips: int = FLIPS) -> Comparison:
    """Compare two runs; ``second`` less ``first`` everywhere.

    Args:
        flips: sign flips of the groups, where there are more than so many.
    """
    made = differences(first, second)
    one, two = of_explainers(first.scores), of_explainers(second.scores)
    notes = _apart(first, second)
    protocols = [
        rows.drop_duplicates("metric").set_index("metric")["protocol"] for rows in (one, two)
    ]
    for metric in protocols[0].index.intersection(protocols[1].index, sort=False):
        a, b = (told[metric] for told in protocols)
        if a != b:
            notes.append(
                f"`{metric}` is not compared: it is `{a}` in the first and `{b}` in the second"
            )
            one = one[one["metric"] != metric]
    alone = [
        of_model_alone(run.scores).groupby("metric", sort=False)["value"].mean()
        for run in (first, second)
    ]
    both = pd.concat(alone, axis=1, keys=["first", "second"], join="inner").reset_index()
    return Comparison(made, paired(one, two, flips=flips), both, notes)


def paired(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    flips: int = FLIPS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return one row for each explainer and metric that both runs have.

    Columns: means of ``first`` and ``second`` over the ``n`` images and targets where both have a
    value, their ``difference`` (second less first) with ``low`` and ``high`` (simultaneous
    intervals), ``p`` (family-wise over all rows), ``n_groups``; ``only_first`` and ``only_second``,
    values without a partner; ``better``, which run is, beyond chance; ``reason`` of a missing p.

    Args:
        first, second: rows about maps. Of several training seeds an item's value is their mean.
    """
    wide = [_wide(rows) for rows in (first, second)]
    columns = wide[0].columns.intersection(wide[1].columns, sort=False)
    items = wide[0].index.intersection(wide[1].index, sort=False)
    if not len(columns) or not len(items):
        return pd.DataFrame(columns=COLUMNS)
    a, b = (table.loc[items, columns].to_numpy() for table in wide)
    known = np.isfinite(a) & np.isfinite(b)
    group = first.drop_duplicates(ITEM).set_index(ITEM)["group"].reindex(items)
    group = group.astype(object).reset_index()
    groups = group["group"].fillna(group["image"]).to_numpy()
    clusters = Clusters.of(np.where(known, b - a, np.nan), groups)
    found = max_t(clusters, flips=flips, seed=seed, level=1 - confidence)
    means = [Clusters.of(np.where(known, values, np.nan), groups).mean for values in (a, b)]
    counts = [np.isfinite(table[columns].to_numpy()).sum(axis=0) for table in wide]
    about = first.drop_duplicates(SAME).set_index(SAME).loc[columns]
    table = columns.to_frame(index=False).assign(
        first=means[0],
        second=means[1],
        difference=clusters.mean,
        low=clusters.mean - found.half,
        high=clusters.mean + found.half,
        confidence=confidence,
        p=found.p,
        n=clusters.n.astype(int),
        n_groups=clusters.groups,
        only_first=counts[0] - clusters.n.astype(int),
        only_second=counts[1] - clusters.n.astype(int),
        higher_is_better=about["higher_is_better"].astype("boolean").array,
        protocol=about["protocol"].array,
    )
    direction = table["higher_is_better"].map({True: 1.0, False: -1.0}).astype(float)
    sure = (table["p"] <= 1 - confidence) & direction.notna()
    better = np.where(direction * table["difference"] > 0, "second", "first")
    table["better"] = pd.Series(better, dtype=object).where(sure, None)
    table["reason"] = [
        None if np.isfinite(p) else too_few(n)
        for p, n in zip(table["p"], table["n_groups"], strict=True)
    ]
    return table[COLUMNS]


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row an image and target, a column a metric and explainer, in their order."""
    rows = rows.assign(value=usable_values(rows))
    order = pd.MultiIndex.from_frame(rows[SAME].drop_duplicates())
    # The mean of no value is none: a table of sums would call it 0.
    wide = rows.groupby([*ITEM, *SAME], sort=False)["value"].mean().unstack(SAME)
    return wide[order]


def _apart(first: FinishedRun, second: FinishedRun) -> list[str]:
    """Return why images of one name may not be the same."""
    notes = []
    for key in KEYS[:2]:
        if first.about[key] != second.about[key]:
            a, b = first.about[key], second.about[key]
            notes.append(f"the runs have another {key}: {a} and {b}; images are paired by name")
    sums = [run.manifest["dataset"].get("checksum") for run in (first, second)]
    if sums[0] != sums[1]:
        notes.append("the data differ (checksums): images of one name need not be the same")
    return notes


def markdown(found: Comparison, names: tuple[str, str]) -> str:
    """Return the comparison as Markdown: what differs, then the scores, then the models."""
    legend = f"first: {names[0]}; second: {names[1]}; difference: second less first"
    head = ["what", "key", "first", "second"]
    texts = [page("What differs", head, found.made.to_numpy(), [legend], numbers=False)]
    if found.made.empty:
        nothing = "Nothing: config, data, model, code and packages agree."
        texts = [f"## What differs\n\n{nothing}\n\n- {legend}\n"]
    if found.scores.empty:
        said = ["No image, explainer and metric is in both runs.", *found.notes]
        texts.append("\n".join(["## Scores", "", *(f"- {note}" for note in said), ""]))
    else:
        lines = [_line(row) for row in found.scores.to_dict("records")]
        head = ["explainer", "metric", "first", "second", "difference", "p", "better", "n"]
        texts.append(page("Scores", head, lines, [*_method(found.scores), *found.notes]))
    if len(found.alone):
        rows = [
            (f"`{row.metric}`", *(f"{v:.3f}" for v in (row.first, row.second)))
            for row in found.alone.itertuples()
        ]
        texts.append(page("Models alone", ["metric", "first", "second"], rows))
    return "\n".join(texts)


def _line(row: dict[str, object]) -> list[str]:
    spread = "–" if pd.isna(row["low"]) else f"{row['low']:+.3f}, {row['high']:+.3f}"
    told = [
        f"`{row['explainer']}`",
        f"{row['metric']}{arrow(row['higher_is_better'])}",
        *("–" if pd.isna(row[c]) else f"{row[c]:.3f}" for c in ("first", "second")),
        "–" if pd.isna(row["difference"]) else f"{row['difference']:+.3f} [{spread}]",
        row["reason"] or ("<0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"),
        row["better"] or "–",
    ]
    left = f" (without a partner: {row['only_first']} and {row['only_second']})"
    return [*told, f"{row['n']}{left * bool(row['only_first'] or row['only_second'])}"]


def _method(rows: pd.DataFrame) -> list[str]:
    tests = int(rows["p"].notna().sum())
    percent = f"{rows['confidence'].iloc[0]:.0%}"
    return [
        f"paired by image and target; p: signs of whole groups (patients or slides) flipped, the "
        f"largest |t| of all {tests} comparisons, so that the chance of any false one is at most "
        f"{1 - rows['confidence'].iloc[0]:.0%}; [simultaneous {percent} intervals]"
    ]


def write(found: Comparison, names: tuple[str, str], folder: Path) -> None:
    """Write ``comparison.md``, ``comparison.csv`` and ``differences.csv``."""
    as_csv = lambda table: table.to_csv(index=False, lineterminator="\n")
    write_text(folder / "comparison.md", markdown(found, names))
    write_text(folder / "comparison.csv", as_csv(found.scores))
    write_text(folder / "differences.csv", as_csv(found.made))
