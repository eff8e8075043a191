"""Rows of scores for the tests of what a ranking hangs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from xaibench.leaderboards.part import Part
from xaibench.leaderboards.summary import analyse

CONTROLS = ("random", "center_prior")


def rows_of(
    metric: str,
    values: Mapping[str, Sequence[float]],
    *,
    protocol: str | None = None,
    higher: bool | None = True,
    groups: int = 8,
    p: Sequence[float] | None = None,
    **more: object,
) -> pd.DataFrame:
    """Return a row for each explainer and image, of one metric; NaN is a failed map."""
    rows = [
        {
            "dataset": "toy_synthetic", "split": "test", "model": "net",
            "image": f"i{at:03d}", "group": f"g{at % groups}", "target": "tumour",
            "explainer": explainer, "control": explainer in CONTROLS, "metric": metric,
            "protocol": protocol or f"{metric}[fill=black,score=prob]",
            "higher_is_better": higher, "value": value,
            "status": "ok" if np.isfinite(value) else "failed", "reason": None,
        }
        | ({} if p is None else {"p_target": p[at]})
        | more
        for explainer, own in values.items()
        for at, value in enumerate(own)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def means(images: int = 12, noise: float = 0.0, **of: float) -> dict[str, np.ndarray]:
    """Return values with these means, one after the other image, and noise that adds up to 0."""
    rng = np.random.default_rng(0)
    found = {}
    for name, mean in of.items():
        spread = rng.normal(0, noise, images) if noise else np.zeros(images)
        found[name] = mean + spread - spread.mean()
    return found


def part_of(*tables: pd.DataFrame) -> Part:
    scores = pd.concat(tables, ignore_index=True)
    (part,) = Part.each(analyse(scores, flips=20), scores)
    return part
