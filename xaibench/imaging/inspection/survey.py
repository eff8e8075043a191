"""What a data set holds: counts of its labels, sizes of its images, who is in which split.

Reads ``Data`` alone, so it serves every data set.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from xaibench.imaging.counts import label_values
from xaibench.imaging.picture_sets import RadiographSplit
from xaibench.imaging.split_of_images import manifest
from xaibench.types import Data, Split

ALL = "all"
_SIDES = ("height", "width")


def label_table(data: Data) -> pd.DataFrame:
    """Return the counts of each class, label or output: a row for each, in each split and in all.

    Columns: ``split``, ``label``; ``images`` and ``groups`` (patients or slides) of the split;
    ``positives`` (1 or more), ``negatives`` (0 or less), ``uncertain`` (between) and ``missing``
    (NaN), which add up to ``images``; ``share`` (positives among the known; NaN where none is);
    ``positive_groups`` (groups with a positive image); ``height_min``, ``height_max``,
    ``width_min``, ``width_max`` (pixels of the files, or as stored where images are no files).
    """
    rows = []
    parts = {name: [split] for name, split in data.splits.items()}
    for split, members in {**parts, ALL: list(data.splits.values())}.items():
        labels = label_values(np.concatenate([m.labels for m in members]), data.classes)
        groups = np.concatenate([np.asarray(member.groups).astype(str) for member in members])
        about = {"images": len(labels), "groups": len(set(groups))}
        sizes = _extremes(data, members)
        for at, name in enumerate(data.classes):
            counts = _counts(labels[:, at], groups)
            rows.append({"split": split, "label": name, **about, **counts, **sizes})
    return pd.DataFrame(rows)


def file_table(data: Data) -> pd.DataFrame | None:
    """Return a row for each image that was prepared from a file; None where none was.

    Columns: ``split``, ``index_in_split``, and those of ``RadiographSplit.files``.
    """
    parts = [
        split.files.assign(split=name, index_in_split=np.arange(len(split)))
        for name, split in data.splits.items()
        if isinstance(split, RadiographSplit)
    ]
    return pd.concat(parts, ignore_index=True) if parts else None


def groups_in_two_splits(data: Data) -> pd.DataFrame:
    """Return ``group`` and ``splits`` (``train, test``) of each group with images in several."""
    pairs = [(group, name) for name, s in data.splits.items() for group in np.unique(s.groups)]
    table = pd.DataFrame(pairs, columns=["group", "split"]).astype(str)
    joined = table.groupby("group")["split"].agg([", ".join, "size"])
    return joined[joined["size"] > 1]["join"].rename("splits").reset_index()


def manifest_table(data: Data) -> pd.DataFrame:
    """Return `manifest` of all images, with ``split``; an image that is no file is its id."""
    parts = []
    for name, split in data.splits.items():
        ids = pd.DataFrame({"path": split.ids, "patient": split.groups})
        table = split.table if isinstance(split, RadiographSplit) else ids
        parts.append(manifest(table, split.labels, data.classes).assign(split=name))
    return pd.concat(parts, ignore_index=True)


def notes(data: Data) -> list[str]:
    """Return what the counts alone do not say, a line each."""
    said = []
    if not any((split.groups != split.ids).any() for split in data.splits.values()):
        said.append("No patients are known: each image is a group of its own.")
    if uncertain := {k: n for k, n in data.facts.get("uncertain_labels", {}).items() if n}:
        told = ", ".join(f"{label} {count}" for label, count in uncertain.items())
        said.append(f"Called uncertain in the data set's table, before its policy: {told}.")
    return said


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a label table as text for readers: shares in percent, one column a size."""
    shown = table.drop(columns=[f"{side}_{end}" for side in _SIDES for end in ("min", "max")])
    shown["share"] = [f"{share:.1%}" if pd.notna(share) else "–" for share in table["share"]]
    for side in _SIDES:
        ends = zip(table[f"{side}_min"], table[f"{side}_max"], strict=True)
        shown[side] = [f"{low}" if low == high else f"{low}–{high}" for low, high in ends]
    return shown.astype(str).rename(columns=lambda name: name.replace("_", " "))


def _counts(
    values: Float[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"]
) -> dict[str, int | float]:
    positive, missing = values >= 1, np.isnan(values)
    known = len(values) - int(missing.sum())
    return {
        "positives": int(positive.sum()),
        "negatives": int((values <= 0).sum()),
        "uncertain": int(((values > 0) & (values < 1)).sum()),
        "missing": int(missing.sum()),
        "share": float(positive.sum() / known) if known else np.nan,
        "positive_groups": len(set(groups[positive])),
    }


def _extremes(data: Data, members: list[Split]) -> dict[str, int]:
    found = {}
    for side, stored in zip(_SIDES, data.size, strict=True):
        pixels = [m.files[side] if isinstance(m, RadiographSplit) else [stored] for m in members]
        found[f"{side}_min"] = int(min(map(min, pixels)))
        found[f"{side}_max"] = int(max(map(max, pixels)))
    return found
