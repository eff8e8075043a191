"""The scores of several runs as one table, or the reason why they cannot be one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xaibench.errors import UserError
from xaibench.store.schema import ITEM, KEYS

SLACK = 1e-6  # shared rows of two runs may differ by rounding


def merge(folders: Sequence[Path]) -> pd.DataFrame:
    """Return the scores of several runs as one table; rows that two runs share are kept once.

    Raises:
        UserError: a folder has no scores; a metric has two protocols; the splits differ; two runs
            give different values for the same image, explainer and metric.
    """
    scores = pd.concat([_read(Path(folder)) for folder in folders], ignore_index=True)
    for metric, rows in scores.groupby("metric", sort=False):
        _refuse_two(rows, "protocol", f"metric {metric!r}")
    _refuse_two(scores, "split", "the table")
    same = [*KEYS, *ITEM, "explainer", "metric"]
    values = scores.groupby(same, dropna=False)["value"]
    known = values.transform("count")
    spread = values.transform("max") - values.transform("min")
    differ = (spread > SLACK) | ((known > 0) & (known < values.transform("size")))
    if differ.any():
        one = values.ngroup() == values.ngroup()[differ.idxmax()]
        row = scores.loc[differ.idxmax()]
        raise UserError(
            f"{' and '.join(scores.loc[one, 'folder'])} give different values of "
            f"{row['metric']!r} for explainer {row['explainer']}, model {row['model']!r}, image "
            f"{row['image']}; merge runs of different models, explainers or images"
        )
    return scores.drop_duplicates(same).drop(columns="folder").reset_index(drop=True)


def _read(folder: Path) -> pd.DataFrame:
    path = folder / "scores.parquet"
    if not path.is_file():
        raise UserError(f"{folder} holds no scores.parquet; give the folder of a finished run")
    return pd.read_parquet(path).assign(folder=str(folder))


def _refuse_two(rows: pd.DataFrame, column: str, what: str) -> None:
    found = rows.drop_duplicates(column)
    if len(found) > 1:
        pairs = zip(found[column], found["folder"], strict=True)
        told = " and ".join(f"{name} in {folder}" for name, folder in pairs)
        raise UserError(
            f"runs with different {column}s cannot be merged: {what} has {column} {told}; "
            f"merge only runs with the same {column}, or run one of them again"
        )
