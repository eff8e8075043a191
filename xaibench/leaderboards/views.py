"""A leaderboard as it was asked for: of some metrics, apart by target or by finding, in one format.

What is shown is analysed anew: its tests are a family of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xaibench.errors import UserError, did_you_mean
from xaibench.leaderboards import cost
from xaibench.leaderboards.board import tables_of, write
from xaibench.leaderboards.names import control_of
from xaibench.leaderboards.summary import analyse, of_explainers, of_model_alone, summarise
from xaibench.leaderboards.tables import Table
from xaibench.store.finished import FinishedRun
from xaibench.store.merging import merge

FORMATS = ("md", "tex", "csv")
APART = ("target", "finding")


@dataclass(frozen=True)
class View:
    """What of a leaderboard is shown.

    Attributes:
        metrics: names of metrics, whole (``iou_top@evidence``) or without their mask
            (``iou_top``); none for all.
        apart: ``target``: a table for each explained target. ``finding``: a table for each class
            or label that the images truly show. None for one table.
    """

    metrics: tuple[str, ...] = ()
    apart: str | None = None

    def __post_init__(self) -> None:
        if self.apart not in (None, *APART):
            raise UserError(f"--by: unknown {self.apart!r}{did_you_mean(self.apart, APART)}")


def shown(folders: Sequence[Path], view: View) -> dict[str, str]:
    """Return the view of some runs, merged, as text by its format."""
    scores = merge(folders)
    costs = cost.of_runs(folders, scores)
    chosen, alone = of_metrics(of_explainers(scores), view.metrics), of_model_alone(scores)
    if view.apart is None:
        texts = write(analyse(chosen), alone, None, costs=costs)
        return {ending: texts[f"leaderboard.{ending}"] for ending in FORMATS}
    parts = apart(chosen, view.apart, folders)
    of_maps = costs.drop(columns=cost.SCORING)
    summaries = {name: summarise(rows) for name, rows in parts.items()}
    tables = {
        name: tables_of(part, alone, f"{view.apart.capitalize()} {name}", of_maps)
        for name, part in summaries.items()
    }
    every = [table for its in tables.values() for table in its]
    whole = pd.concat([part.assign(**{view.apart: name}) for name, part in summaries.items()])
    whole = cost.beside(whole[[view.apart, *whole.columns.drop(view.apart)]], costs)
    return {
        "md": "\n\n".join(table.markdown() for table in every) + "\n",
        "tex": "\n\n".join(_latex(name, table) for name in tables for table in tables[name]) + "\n",
        "csv": whole.to_csv(index=False, lineterminator="\n"),
    }


def chosen_format(name: str) -> str:
    """Return a format's name; UserError for one that is not there."""
    if name not in FORMATS:
        raise UserError(f"--format: unknown {name!r}{did_you_mean(name, FORMATS)}")
    return name


def of_metrics(scores: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the named metrics, and of the controls that belong to them."""
    there = list(scores["metric"].unique())
    stem = lambda metric: re.split("[@.]", metric, maxsplit=1)[0]
    wanted = set()
    for name in names:
        found = [metric for metric in there if name in (metric, stem(metric))]
        if not found:
            raise UserError(f"--metric: unknown metric {name!r}{did_you_mean(name, there)}")
        wanted |= {*found, *map(control_of, found)}
    return scores[scores["metric"].isin(wanted)] if names else scores


def apart(scores: pd.DataFrame, by: str, folders: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Return the rows of each target or finding, in the order of their names.

    Of one-of-n classes the finding is the image's label; of several labels or regression it is the
    target where its label is 1, and the other rows have none and are left out.
    """
    keys = scores["target"] if by == "target" else _findings(scores, folders)
    names = sorted(keys.dropna().unique())
    if not names:
        raise UserError(f"--by {by}: no row of these runs has a {by}; leave it out")
    return {name: scores[keys == name] for name in names}


def _findings(scores: pd.DataFrame, folders: Sequence[Path]) -> pd.Series:
    label = scores["label"].astype(object)
    if label.notna().all():
        return label
    tables = [FinishedRun(Path(folder)).predictions for folder in folders]
    if any(table is None for table in tables):
        raise UserError(
            "--by finding: a run of several labels needs its predictions.parquet, which is not "
            "there; use --by target"
        )
    known = pd.concat(tables).drop_duplicates("image").set_index("image")
    known = known[[c for c in known.columns if c.startswith("label_")]]
    known = known.rename(columns=lambda name: name.removeprefix("label_"))
    values = known.melt(var_name="target", ignore_index=False).set_index("target", append=True)
    items = pd.MultiIndex.from_frame(scores[["image", "target"]])
    there = values["value"].reindex(items).eq(1).to_numpy()
    return scores["target"].where(there).where(label.isna(), label)


def _latex(name: str, table: Table) -> str:
    """Return a table whose labels are not those of the other parts."""
    own = re.sub(r"[^A-Za-z0-9]+", "-", name)
    return table.latex().replace(r"\label{tab", rf"\label{{tab:{own}")
