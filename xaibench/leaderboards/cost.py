"""What explaining and scoring cost: passes, seconds and memory of each explainer.

Seconds and memory belong to the hardware, so they are never averaged over two kinds of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from xaibench.store.provenance import hardware
from xaibench.store.recipe import manifest_of
from xaibench.store.schema import ITEM, KEYS, SEED, TIMINGS
from xaibench.store.training_seeds import numbered

PASSES = ["forward_passes", "backward_passes"]
MEASURED = ["seconds", "peak_mib"]
EXPLAINING = [*PASSES, *MEASURED]
SCORING = [f"score_{name}" for name in EXPLAINING]
_SCORE_PASSES, _SCORE_MEASURED = SCORING[:2], SCORING[2:]
_SOURCES = {
    "seconds": "explain_seconds",
    "peak_mib": "explain_peak_bytes",
    "score_forward_passes": "score_forward",
    "score_backward_passes": "score_backward",
    "score_seconds": "score_seconds",
    "score_peak_mib": "score_peak_bytes",
}  # columns of TIMINGS
_OF_EACH = [*KEYS, "explainer"]
_MIB = 2**20


def of_runs(folders: Sequence[Path], scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each data set, split, model, explainer and hardware.

    Args:
        folders: of finished runs. What their ``timings.parquet`` lacks, or the whole of it, reads
            as missing.
        scores: the rows of those runs.

    Columns, each a mean over images and targets that were explained, and over training seeds:
    ``forward_passes``, ``backward_passes`` (images passed through the model for one map),
    ``seconds`` for one map, and the same of scoring it by every metric of the run, as ``score_…``;
    ``peak_mib`` and ``score_peak_mib`` are the largest of any block, in MiB (2^20 bytes). Passes
    are pooled over the ``device`` (its name, missing where the run does not tell it), the others
    are not.
    """
    of_maps = scores[scores["explainer"].notna()]
    of_maps = of_maps.reindex(columns=list(dict.fromkeys([*scores.columns, *PASSES])))
    each_map = numbered(of_maps).drop_duplicates([*_OF_EACH, SEED, *ITEM])
    table = each_map.groupby(_OF_EACH, sort=False, as_index=False)[PASSES].mean()
    timings = pd.concat([_timings(Path(folder)) for folder in folders], ignore_index=True)
    pooled = _grouped(timings, _OF_EACH, _SCORE_PASSES)
    apart = _grouped(timings, [*_OF_EACH, "device"], [*MEASURED, *_SCORE_MEASURED])
    table = table.merge(pooled, "left", _OF_EACH).merge(apart, "left", _OF_EACH)
    table = table.astype(dict.fromkeys([*EXPLAINING, *SCORING], float) | {"device": "string"})
    return table[[*_OF_EACH, "device", *EXPLAINING, *SCORING]]


def _grouped(timings: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    groups = timings.groupby(by, sort=False, dropna=False)
    rows = [(*key, *(_pooled(blocks, column) for column in columns)) for key, blocks in groups]
    return pd.DataFrame(rows, columns=[*by, *columns])


def _pooled(blocks: pd.DataFrame, column: str) -> float:
    """Return the largest peak of the blocks, or the mean over images of the blocks that tell it."""
    source = _SOURCES[column]
    if source.endswith("_bytes"):
        return float(blocks[source].astype(float).max()) / _MIB
    known = blocks[blocks[source].notna()]
    return float(known[source].sum()) / known["images"].sum() if len(known) else np.nan


def _timings(folder: Path) -> pd.DataFrame:
    """Return a run's rows of explainers, with all columns of TIMINGS and with KEYS."""
    file = folder / "timings.parquet"
    # Columns that an older file lacks are read as nulls.
    table = pq.read_table(file, schema=TIMINGS) if file.is_file() else TIMINGS.empty_table()
    rows = table.to_pandas()
    rows["device"] = rows["device"].where(rows["device"].notna(), _device_of(folder))
    about = pd.read_parquet(folder / "scores.parquet", columns=KEYS).iloc[0]
    return rows.assign(**about)[lambda rows: rows["explainer"].notna()]


def _device_of(folder: Path) -> str | None:
    """Return the hardware that a run's manifest names: older timings do not name theirs."""
    known: Mapping = manifest_of(folder).get("environment", {})
    names = {"device", "threads", "processor"}
    return hardware(**{n: known[n] for n in names}) if names <= set(known) else None


def beside(summary: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Return a summary with the costs of each row's explainer as further columns.

    Where an explainer ran on several kinds of hardware its seconds and memory are missing, and
    ``device`` names them all.
    """
    one = costs.groupby(_OF_EACH, sort=False, as_index=False)[[*PASSES, *_SCORE_PASSES]].first()
    devices = costs.groupby(_OF_EACH, sort=False)["device"].agg(_joined).rename("device")
    single = costs[~costs.duplicated(_OF_EACH, keep=False)]
    one = one.merge(devices, how="left", on=_OF_EACH)
    one = one.merge(single[[*_OF_EACH, *MEASURED, *_SCORE_MEASURED]], how="left", on=_OF_EACH)
    return summary.merge(one[[*_OF_EACH, *EXPLAINING, *SCORING, "device"]], "left", _OF_EACH)


def _joined(devices: pd.Series) -> str | None:
    return "; ".join(devices.fillna("unknown")) if devices.notna().any() else None
