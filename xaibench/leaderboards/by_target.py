"""The leaderboard of each target apart: which explainer finds which finding?"""

from __future__ import annotations

import pandas as pd

from xaibench.leaderboards import cost
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.roc import class_names
from xaibench.leaderboards.summary import of_explainers, summarise
from xaibench.leaderboards.tables import Table
from xaibench.store.schema import SEED
from xaibench.store.training_seeds import seeds_of


def make(
    run: ScoredRun, auroc: pd.DataFrame | None = None, **options: object
) -> pd.DataFrame | None:
    """Write ``leaderboard_by_target.csv`` and ``.md``: one block for each target of a run.

    Args:
        auroc: columns label, auroc, auroc_low, auroc_high: what stands under a block about the
            model alone.
        options: of ``summary.analyse``; each target's table is a family of its own.

    None, and no file, where the run explains one target only.
    """
    rows = of_explainers(run.scores)
    targets = set(rows["target"].dropna())
    if len(targets) < 2:
        return None
    names = [] if run.predictions is None else class_names(run.predictions)
    targets = [*(n for n in names if n in targets), *sorted(targets - set(names))]
    parts = {t: summarise(rows[rows["target"] == t], **options) for t in targets}
    summary = pd.concat([part.assign(target=target) for target, part in parts.items()])
    summary = summary[["target", *summary.columns.drop("target")]]
    run.write_csv("leaderboard_by_target.csv", cost.beside(summary, run.costs))
    texts = [table.markdown() for table in tables(summary, auroc, run.costs)]
    run.write("leaderboard_by_target.md", "\n\n".join(texts) + "\n")
    return summary


def tables(
    summary: pd.DataFrame, auroc: pd.DataFrame | None = None, costs: pd.DataFrame | None = None
) -> list[Table]:
    """Return a leaderboard for each target of what ``make`` returned or wrote.

    Args:
        costs: what ``cost.of_runs`` returns: what a map cost, whatever its target.
    """
    of_maps = None if costs is None else costs.drop(columns=cost.SCORING)
    return [
        Table(part, of_label(auroc, target), f"Target {target}", of_maps)
        for target, part in summary.groupby("target", sort=False)
    ]


def of_label(auroc: pd.DataFrame | None, label: str) -> pd.DataFrame:
    """Return a label's AUROC and its interval as rows about the model alone.

    With several training seeds each model's, by the name ``auroc (training seed N)``.
    """
    found = None if auroc is None else auroc[auroc["label"] == label]
    if found is None or found.empty:
        return pd.DataFrame(columns=["metric", "value", "reason"])
    names = {"mean": "auroc", "low": "auroc_low", "high": "auroc_high"}
    several, rows = len(seeds_of(found)) > 1, []
    for row in found.to_dict("records"):
        stem = f"auroc (training seed {row[SEED]})" if several else "auroc"
        why = "too few groups for an interval" if pd.isna(row["reason"]) else row["reason"]
        rows += [(f"{stem}.{part}", row[name], why) for part, name in names.items()]
    return pd.DataFrame(rows, columns=["metric", "value", "reason"])
