"""The leaderboard of one run or of several: as a table, and as files to read and to paste."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pandas as pd

from xaibench.atomic import write_text
from xaibench.leaderboards import cost, robustness
from xaibench.leaderboards.summary import Analysis, analyse, of_model_alone, summarise
from xaibench.leaderboards.tables import Table
from xaibench.store.finished import FinishedRun
from xaibench.store.merging import merge
from xaibench.store.schema import KEYS


class ScoredRun(FinishedRun):
    """A finished run with what its rows come to, each computed when it is first asked for."""

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Return what ``cost.of_runs`` tells of the run."""
        return cost.of_runs([self.folder], self.scores)

    @cached_property
    def analysis(self) -> Analysis:
        """Return what ``analyse`` makes of the run."""
        return analyse(self.scores)

    @property
    def summary(self) -> pd.DataFrame:
        return self.analysis.summary

    @cached_property
    def tables(self) -> list[Table]:
        return tables_of(self.summary, of_model_alone(self.scores), "Leaderboard", self.costs)


def leaderboard(*folders: Path | str) -> pd.DataFrame:
    """Return the leaderboard of finished runs: a row for each model, explainer and metric.

    Columns are those of ``summarise``, and the costs.

    Raises:
        UserError: a folder is not that of a run, or the runs cannot be merged.
    """
    paths = [Path(folder) for folder in folders]
    scores = merge(paths)
    return cost.beside(summarise(scores), cost.of_runs(paths, scores))


def write(
    analysis: Analysis,
    model_rows: pd.DataFrame,
    folder: Path | None,
    title: str = "Leaderboard",
    costs: pd.DataFrame | None = None,
) -> dict[str, str]:
    """Write ``leaderboard.csv``, ``.md`` and ``.tex``, and ``leaderboard_pairs.csv``; return them.

    With several training seeds also ``leaderboard_seeds.csv``. Each is written whole or not at all.

    Args:
        analysis: what ``analyse`` returns; one table for each data set, split and model.
        model_rows: what ``of_model_alone`` returns, a line underneath.
        folder: made where it is not there; None writes nothing.
        costs: what ``cost.of_runs`` returns: the last columns; None leaves them out.

    Returns:
        The texts by their file's name.
    """
    summary = analysis.summary
    tables = tables_of(summary, model_rows, title, costs)
    whole = summary if costs is None else cost.beside(summary, costs)
    as_csv = lambda table: table.to_csv(index=False, lineterminator="\n")
    texts = {
        "leaderboard.csv": as_csv(whole),
        "leaderboard.md": "\n\n".join(table.markdown() for table in tables) + "\n",
        "leaderboard.tex": "\n\n".join(table.latex() for table in tables) + "\n",
        "leaderboard_pairs.csv": as_csv(analysis.pairs),
    }
    if summary["seeds"].max() > 1:
        texts["leaderboard_seeds.csv"] = as_csv(analysis.seeds)
    for name, text in texts.items() if folder else ():
        write_text(folder / name, text)
    return texts


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
    costs, analysis = cost.of_runs(folders, scores), analyse(scores)
    if out:
        robustness.write(analysis, scores, out)
    return write(analysis, of_model_alone(scores), out, title, costs)["leaderboard.md"]
