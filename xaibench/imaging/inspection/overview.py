"""A data set on one screen: a row for each label, a column for each split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from xaibench.imaging.inspection.survey import ALL, label_table
from xaibench.types import Data


def headline(data: Data) -> str:
    """Return what the data set is, in a line."""
    total = sum(map(len, data.splits.values()))
    height, width = data.size
    kind = {"binary": "two classes", "multiclass": f"{len(data.classes)} classes"}
    kind |= {"multilabel": f"{len(data.classes)} labels", "regression": "numbers"}
    size = f"{height}x{width}x{data.channels}"
    return f"{data.name}: {total} images, {kind[data.task]} ({data.task}), {size}"


def overview(data: Data) -> pd.DataFrame:
    """Return a column for each split and all, as text.

    First the images, the patients (or slides) and the files' sizes in pixels; then of each label
    how many images show it, their share of the known, and how many are uncertain or unknown; of a
    number its mean and range.
    """
    table = label_table(data)
    columns = {}
    for name in [*data.splits, ALL]:
        rows = table[table["split"] == name].to_dict("records")
        first = rows[0]
        cells = [str(first["images"]), str(first["groups"])]
        cells.append(f"{_span(first, 'height')} x {_span(first, 'width')}")
        for at, row in enumerate(rows):
            cells.append(_numbers(data, name, at) if data.task == "regression" else _count(row))
        columns[name] = cells
    return pd.DataFrame(columns, ["images", "patients", "height x width", *data.classes])


def _span(row: Mapping[str, Any], side: str) -> str:
    low, high = row[f"{side}_min"], row[f"{side}_max"]
    return f"{low}" if low == high else f"{low}–{high}"


def _count(row: Mapping[str, Any]) -> str:
    said = [f"{row['positives']}"]
    if pd.notna(row["share"]):
        said[0] += f" ({row['share']:.1%})"
    return ", ".join(
        said + [f"{row[what]} {what}" for what in ("uncertain", "missing") if row[what]]
    )


def _numbers(data: Data, name: str, at: int) -> str:
    splits = data.splits.values() if name == ALL else [data.splits[name]]
    values = np.concatenate([split.labels[:, at] for split in splits])
    known = values[~np.isnan(values)]
    lost = f", {len(values) - len(known)} missing" if len(known) < len(values) else ""
    if not len(known):
        return f"none known{lost}"
    return f"{known.mean():.3g} ({known.min():.3g} to {known.max():.3g}){lost}"
