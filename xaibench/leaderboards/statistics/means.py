"""What the values of some rows come to: one row of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.intervals import binary, bounds_of, mean_interval

CONFIDENCE = 0.95


def of_rows(rows: pd.DataFrame, confidence: float = CONFIDENCE) -> dict[str, object]:
    """Return what the values of some rows come to: one row of a table.

    ``mean`` with ``low`` and ``high`` (``intervals``; NaN with too few groups), ``n`` values in
    ``n_groups`` groups, of ``rows``, and ``protocol``.

    Args:
        rows: columns value, group, image, protocol, and where there are bound_low, bound_high.
    """
    values = rows["value"].astype(float).to_numpy()[:, None]
    clusters = Clusters.of(values, rows["group"].fillna(rows["image"]).to_numpy())
    bounds = bounds_of(rows.head(1), values)
    low, high = mean_interval(clusters, bounds, binary(values, bounds), confidence)
    return {
        "mean": clusters.mean[0],
        "low": low[0],
        "high": high[0],
        "n_groups": clusters.groups[0],
        "n": int(np.isfinite(values).sum()),
        "rows": len(rows),
        "protocol": rows["protocol"].iloc[0],
        "confidence": confidence,
    }
