"""The most and least important superpixels of each image: ``superpixels.csv``. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from xaibench.store.finished import FinishedRun
from xaibench.store.schema import SEED

FEW = 5
COLUMNS = ["segment", "drop", "abs_drop", "drop_per_percent", "area_pixels", "area_percent"]


def occluders(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return explainer -> measure, of those that hide one superpixel at a time."""
    found = manifest.get("explainers", {}).items()
    return {k: e["measure"] for k, e in found if e["use"] == "superpixel_occlusion"}


def segment_drops(values: np.ndarray, segments: np.ndarray, measure: str) -> pd.DataFrame:
    """Return one row a segment with ``COLUMNS``, the largest drop first, ties by number.

    ``drop`` is score(x) - score(x with the segment hidden), ``drop_per_percent`` the same for
    each per cent of the image that the segment covers.

    Args:
        values: (H, W), a map of superpixel occlusion: constant in a segment.
        segments: (H, W), labels 0..K-1.
        measure: what the map holds, ``drop`` or ``drop_per_area``.
    """
    numbers, first, areas = np.unique(segments, return_index=True, return_counts=True)
    percent = 100 * areas / segments.size
    held = values.ravel()[first].astype(float)
    drop = held * percent if measure == "drop_per_area" else held
    table = pd.DataFrame(
        {
            "segment": numbers,
            "drop": drop,
            "abs_drop": np.abs(drop),
            "drop_per_percent": drop / percent,
            "area_pixels": areas,
            "area_percent": percent,
        }
    )
    return table.sort_values(["drop", "segment"], ascending=[False, True], ignore_index=True)


def extremes(drops: pd.DataFrame, few: int = FEW) -> pd.DataFrame:
    """Return the ``few`` most important segments and the least, with ``side`` and ``place``.

    Importance is the drop with its sign, as in the cumulative curve. Place 1 is the most, or the
    least, important of all; an image of fewer than 2 x ``few`` segments has some on both sides.
    """
    rising = drops.sort_values(["drop", "segment"])
    sides = {"most": drops.head(few), "least": rising.head(few)}
    return pd.concat(
        [rows.assign(side=side, place=np.arange(1, len(rows) + 1)) for side, rows in sides.items()],
        ignore_index=True,
    )


def superpixel_table(run: FinishedRun) -> pd.DataFrame:
    """Return ``extremes`` of every image with a map of superpixel occlusion.

    Maps are those of the first training seed, which ``training_seed`` names if the run tells it. An
    image whose map failed keeps one row, with the ``reason``.
    """
    parts = []
    with run.maps() as file:
        for explainer, measure in occluders(run.manifest).items() if file else ():
            ids, targets = (file[name].asstr("utf-8")[:] for name in ("ids", "targets"))
            for i, (image, target) in enumerate(zip(ids, targets, strict=True)):
                values = file["maps"][explainer][i]
                rows = pd.DataFrame({"reason": ["the map has values that are not finite"]})
                if np.isfinite(values).all():
                    rows = extremes(segment_drops(values, file["segments"][i], measure))
                own = {"image": image, "target": target, "explainer": explainer}
                parts.append(rows.assign(**own, **{SEED: run.first_seed}))
    columns = [SEED, "image", "target", "explainer", "side", "place", *COLUMNS, "reason"]
    if not parts:
        return pd.DataFrame(columns=columns)
    table = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    return table.astype(
        {SEED: "Int64", "place": "Int64", "segment": "Int64", "area_pixels": "Int64"}
    )


def make(run: FinishedRun) -> None:
    """Write ``superpixels.csv``; nothing where no explainer hides superpixels."""
    table = superpixel_table(run)
    if len(table):
        run.write_csv("superpixels.csv", table)
