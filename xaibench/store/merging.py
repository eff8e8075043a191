"""The scores of several runs as one table, or the reason why they cannot be one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xaibench.errors import UserError
from xaibench.store.damaged import read_parquet
from xaibench.store.recipe import EVERYTHING, MODEL, differences, manifest_of
from xaibench.store.schema import ITEM, KEYS, SEED
from xaibench.store.training_seeds import seeds_of, with_seeds

SLACK = 1e-6  # shared rows of two runs may differ by rounding


def merge(folders: Sequence[Path]) -> pd.DataFrame:
    """Return the scores of several runs as one table; rows that two runs share are kept once.

    Runs of one config that differ in the training seed are told apart by ``training_seed``, which
    is missing where an older run does not tell it.

    Raises:
        UserError: a folder has no scores; a metric has two protocols; the splits differ, or the
            data; two runs trained the same model by other options than the seed, or only one of
            them tells the seed; two runs give different values for the same training seed,
            image, explainer and metric.
    """
    scores = pd.concat([_read(Path(folder)) for folder in folders], ignore_index=True)
    for metric, rows in scores.groupby("metric", sort=False):
        _refuse_two(rows, "protocol", f"metric {metric!r}")
    _refuse_two(scores, "split", "the table")
    for dataset, rows in scores.dropna(subset="checksum").groupby("dataset", sort=False):
        _refuse_two(rows, "checksum", f"data set {dataset!r}")
    for _, rows in scores.groupby(KEYS, sort=False):
        _refuse_other_models(rows)
    same = [*KEYS, SEED, *ITEM, "explainer", "metric"]
    _refuse_other_values(scores, same)
    merged = scores.drop_duplicates(same).drop(columns=["folder", "checksum"])
    return merged.reset_index(drop=True)


def _read(folder: Path) -> pd.DataFrame:
    path = folder / "scores.parquet"
    if not path.is_file():
        raise UserError(f"{folder} holds no scores.parquet; give the folder of a finished run")
    checksum = manifest_of(folder).get("dataset", {}).get("checksum")
    rows = with_seeds(read_parquet(path))
    return rows.assign(folder=str(folder), checksum=pd.Series(checksum, rows.index, dtype=object))


def _refuse_two(rows: pd.DataFrame, column: str, what: str) -> None:
    found = rows.drop_duplicates(column)
    if len(found) > 1:
        pairs = zip(found[column], found["folder"], strict=True)
        told = " and ".join(f"{name} in {folder}" for name, folder in pairs)
        raise UserError(
            f"runs with different {column}s cannot be merged: {what} has {column} {told}; "
            f"merge only runs with the same {column}, or run one of them again"
        )


def _refuse_other_models(rows: pd.DataFrame) -> None:
    """Refuse runs that call a model by one name, but may not pass for the same with other seeds."""
    seeds = {folder: seeds_of(its) for folder, its in rows.groupby("folder", sort=False)}
    first, *others = seeds
    for other in others:
        if bool(seeds[first]) != bool(seeds[other]):
            older, newer = (other, first) if seeds[first] else (first, other)
            raise UserError(
                f"{older} does not tell the training seed of model {rows['model'].iloc[0]!r}, "
                f"{newer} does: whether they share a model is not known; run {older} again"
            )
        told = differences(Path(first), Path(other), MODEL)
        if told and seeds[other] != seeds[first]:
            raise UserError(
                f"{first} and {other} trained model {rows['model'].iloc[0]!r} with other seeds, "
                f"but otherwise, too: {told}; merge runs that differ in the training seed alone"
            )


def _refuse_other_values(scores: pd.DataFrame, same: Sequence[str]) -> None:
    values = scores.groupby(same, dropna=False)["value"]
    known = values.transform("count")
    spread = values.transform("max") - values.transform("min")
    differ = (spread > SLACK) | ((known > 0) & (known < values.transform("size")))
    if differ.any():
        one = scores[values.ngroup() == values.ngroup()[differ.idxmax()]]
        row = one.iloc[0]
        seed = "" if pd.isna(row[SEED]) else f", training seed {row[SEED]}"
        told = " and ".join(
            f"{v:.6g} in {f}" for v, f in zip(one["value"], one["folder"], strict=True)
        )
        two = one["folder"].iloc[[0, -1]]
        why = differences(*map(Path, two), EVERYTHING)
        raise UserError(
            f"{' and '.join(one['folder'])} give different values of {row['metric']!r} for "
            f"explainer {row['explainer']}, model {row['model']!r}{seed}, image {row['image']}: "
            f"{told}{f' ({why})' if why else ''}; merge runs of different models, training seeds, "
            "explainers or images"
        )
