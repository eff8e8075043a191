"""Means on three scales: as they are, per unmasked score, and per what random gets.

A mean over images weighs each image by the range its score can fall through. Whoever divides by
the unmasked score, or by the random control's, weighs the images otherwise; a ranking that turns
with that choice is told by ``agreement``.

- ``over_p``: each value divided by p(x) of its image. Only where the protocol says that scores are
  probabilities; no floor is put under p: that of a predicted class is large, and rows with p <= 0
  (an output of a regressor) are left out and said.
- ``over_random``: each value divided by the random control's of the same image. The ratio of the
  two means would be steadier, but it stretches the axis and no more: its ranking is that of the
  plain means by construction, and agreement with it proves nothing. Image by image the ratio says
  nothing where random gets 0 or less, as it does with values around 0 (``srg``,
  ``cumulative_drop``), and to leave such images out would be to choose by chance: the metric then
  has no such scale. Nor has it one where random comes so near to 0 on a few images that these
  decide alone: where ``n_effective``, (sum w)^2 / sum w^2 with w = 1 / random (Kish 1965, Survey
  Sampling, 11.7), is less than ``MIN_SHARE`` of the images.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from xaibench.leaderboards.names import RANDOM
from xaibench.leaderboards.part import Part

SCALES = ["raw", "over_p", "over_random"]
MIN_SHARE = 0.5
"""Of the images must decide a mean of ratios; with equal weights all of them do."""
COLUMNS = [
    *("explainer", "control", "metric", "raw", "n_raw", "over_p", "n_over_p", "reason_over_p"),
    *("over_random", "n_over_random", "n_effective", "reason_over_random"),
]


def normalised(part: Part) -> pd.DataFrame:
    """Return one row for each metric and explainer: its mean on each of ``SCALES``.

    ``n_…`` rows have a value there; ``n_effective`` of them decide the ratios to random;
    ``reason_…`` says why a scale is missing, or which rows are.
    """
    names = ["explainer", "control"]
    tables = []
    for metric in part.matrix.metrics:
        of_metric = part.matrix.columns["metric"] == metric
        values = part.matrix.of_metric(metric).to_numpy()
        table = part.matrix.columns.loc[of_metric, names].assign(metric=metric)
        table["raw"], table["n_raw"] = _mean(values)
        by_p, why = _by_p(part, metric)
        table["over_p"], table["n_over_p"] = _mean(values / by_p[:, None])
        table["reason_over_p"] = why
        by_random, table["n_effective"], why = _by_random(values, list(table["explainer"]))
        table["over_random"], table["n_over_random"] = _mean(values / by_random[:, None])
        tables.append(table.assign(reason_over_random=why))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _mean(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0), known.sum(axis=0)


def _by_p(part: Part, metric: str) -> tuple[np.ndarray, str | None]:
    """Return what each row is divided by, NaN where it has none, and why rows are missing."""
    p = part.p_target
    if part.protocols[metric].value("score") != "prob":
        return np.full(len(p), np.nan), "its protocol does not say score=prob"
    if not np.isfinite(p).any():
        return np.full(len(p), np.nan), "the rows do not say p_target"
    without = int((~(p > 0)).sum())
    why = f"{without} of {len(p)} rows left out: p_target is 0 or less, or missing"
    return np.where(p > 0, p, np.nan), why if without else None


def _by_random(values: np.ndarray, explainers: list[str]) -> tuple[np.ndarray, float, str | None]:
    """Return what each row is divided by, how many rows decide, and why there is no ratio."""
    nothing = np.full(len(values), np.nan)
    if RANDOM not in explainers:
        return nothing, np.nan, f"without {RANDOM}"
    random = values[:, explainers.index(RANDOM)]
    known = random[np.isfinite(random)]
    if not len(known):
        return nothing, np.nan, f"{RANDOM} has no value"
    lost = int((known <= 0).sum())
    if lost:
        why = f"{RANDOM} scores 0 or less on {lost} of {len(known)} rows: no ratio"
        return nothing, np.nan, why
    effective = float((1 / known).sum() ** 2 / (1 / known**2).sum())
    if effective < MIN_SHARE * len(known):
        why = (
            f"{RANDOM} scores near 0 on a few rows, and they alone decide "
            f"({effective:.1f} of {len(known)} by Kish's number)"
        )
        return nothing, effective, why
    return random, effective, None
