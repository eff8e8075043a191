"""Where explainers look at the border or off the lungs, by how sure the model is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from xaibench.imaging.regions import outer_band
from xaibench.leaderboards.statistics.means import of_rows
from xaibench.leaderboards.summary import of_explainers
from xaibench.store.finished import FinishedRun, areas

EDGES = (0.5, 0.8, 0.95)  # each band goes up to the next edge; the last has no upper end
BORDER = re.compile(r"^border_mass\[band=([0-9.e-]+),relevance=positive\]$")
LUNGS = re.compile(r"^mass_accuracy@(lungs[^\[]*)\[")
COLUMNS = [
    *("metric", "band", "explainer", "control", "mean", "low", "high", "confidence"),
    *("n", "n_groups", "rows", "chance", "protocol"),
]


def band_names(edges: Sequence[float]) -> list[str]:
    """Return ``0.5 to 0.8`` and so on; the last is ``≥ 0.95``."""
    return [*(f"{low:g} to {high:g}" for low, high in pairwise(edges)), f"≥ {edges[-1]:g}"]


def of_border(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the table is about: ``border_mass``, and ``mass_accuracy@lungs...``."""
    rows = of_explainers(scores)
    told = {p: bool(BORDER.match(p) or LUNGS.match(p)) for p in rows["protocol"].unique()}
    return rows[rows["protocol"].map(told).astype(bool)]


def table(
    scores: pd.DataFrame,
    chances: pd.DataFrame | None = None,
    edges: Sequence[float] = EDGES,
) -> pd.DataFrame:
    """Return one row for each metric, band of ``p_target`` and explainer.

    Columns: ``mean`` share of the positive relevance with its interval (clustered by
    group), ``n`` and ``n_groups`` with a value, ``rows`` in all, and ``chance``: what a map that
    says nothing would score on average. Maps with ``p_target`` below the first edge are left out.
    With several training seeds an image counts once for each model, in the band of that model.

    Args:
        scores: rows of a run; those of other metrics are passed over.
        chances: columns image, target, protocol, chance; None leaves the column empty.
        edges: lower ends of the bands, rising.
    """
    rows = of_border(scores)
    names = band_names(edges)
    place = np.searchsorted(edges, rows["p_target"].to_numpy(dtype=float), side="right") - 1
    rows = rows.assign(place=place)[(place >= 0) & rows["p_target"].notna().to_numpy()]
    usable = rows["status"].isin(["ok", "constant"])
    rows = rows.assign(value=rows["value"].astype(float).where(usable))
    if chances is None:
        rows = rows.assign(chance=np.nan)
    else:
        rows = rows.merge(chances, on=["image", "target", "protocol"], how="left")
    found = []
    metrics, keys = list(rows["metric"].unique()), ["metric", "place", "explainer"]
    for (metric, at, explainer), part in rows.groupby(keys, sort=False):
        row = {"metric": metric, "band": names[at], "explainer": explainer}
        row |= of_rows(part)
        row |= {"control": bool(part["control"].iloc[0])}
        row |= {"chance": part.loc[part["value"].notna(), "chance"].mean()}
        found.append((metrics.index(metric), at, row))
    ordered = sorted(found, key=lambda item: item[:2])  # explainers stay in the order of the run
    return pd.DataFrame([row for *_, row in ordered], columns=COLUMNS)


def chances(run: FinishedRun, scores: pd.DataFrame) -> pd.DataFrame | None:
    """Return what a map that says nothing scores on each image: the region's share of its area."""
    with run.maps() as file:
        if file is None or run.predictions is None:
            return None
        size = file["images"].shape[1:3]
        parts = []
        for own, rows in run.items_of_seeds(file):
            items = rows[["image", "target"]]
            for protocol in scores["protocol"].unique():
                if found := BORDER.match(protocol):
                    share = float(outer_band(*size, float(found[1])).mean())
                else:
                    mask = f"masks/{LUNGS.match(protocol)[1]}"
                    share = areas(own.get(mask, file[mask]))
                    share = np.where(share > 0, share, np.nan)  # unknown, not absent
                parts.append(items.assign(protocol=protocol, chance=share))
    return pd.concat(parts, ignore_index=True).drop_duplicates(["image", "target", "protocol"])


def make(run: FinishedRun) -> pd.DataFrame | None:
    """Write ``bands.csv`` of a run; None, and no file, where it scores neither border nor lungs."""
    scores = of_border(run.scores)
    if scores.empty:
        return None
    rows = table(scores, chances(run, scores))
    run.write_csv("bands.csv", rows)
    return rows
