"""How far a ranking hangs on choices, as files: agreement, scales, Friedman's test."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from xaibench.atomic import write_text
from xaibench.leaderboards import friedman
from xaibench.leaderboards.agreement import agreement
from xaibench.leaderboards.part import Part
from xaibench.leaderboards.scales import normalised
from xaibench.leaderboards.summary import Analysis

FILES = ["agreement.csv", "normalised.csv", "friedman.csv", "friedman_pairs.csv"]


def write(analysis: Analysis, scores: pd.DataFrame, folder: Path) -> None:
    """Write ``FILES``, each whole or not at all, with a block for each data set, split and model.

    Args:
        analysis: what ``analyse`` makes of the scores.
    """
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in FILES}
    for part in Part.each(analysis, scores):
        scaled = normalised(part)
        made = [agreement(part, scaled), scaled, *friedman.tables(friedman.of_part(part))]
        for name, table in zip(FILES, made, strict=True):
            about = pd.DataFrame(part.about, index=table.index)
            found[name].append(pd.concat([about, table], axis=1))
    for name, parts in found.items():
        filled = [part for part in parts if len(part)] or parts[:1]
        table = pd.concat(filled, ignore_index=True)
        write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))
