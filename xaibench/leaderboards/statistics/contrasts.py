"""Every comparison that one table marks, tested as one family.

Two kinds: two explainers under one metric (controls are explainers, so *beats random* and *beats
edge* are among them), and how like a map is to that of a model that knows nothing, against the
middle between what unlike maps score and 1. All are differences paired by image, clustered by
group.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from xaibench.leaderboards.names import control_of
from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.matrix import Matrix
from xaibench.leaderboards.statistics.sign_flips import MIN_GROUPS, max_t

PAIRS = [
    *("metric", "a", "b", "difference", "low", "high", "p", "n", "n_groups"),
    *("effect", "a_better", "better", "turns", "reason"),
]
LIKENESS = ["metric", "explainer", "difference", "low", "high", "p", "n", "n_groups", "reason"]


def contrasts(
    matrix: Matrix, *, flips: int, seed: int, confidence: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test every pair of explainers under each metric, and every likeness to a model of chance.

    Returns:
        Two tables with one correction over both. ``PAIRS``: ``difference`` of a's mean from b's
        over the ``n`` rows where both have a value, with the ends of simultaneous intervals (NaN
        where too few groups differ at all); ``p``,
        family-wise; ``effect``, the difference in standard deviations of the rows' differences
        (Cohen's d_z); ``a_better``, the share of rows where a is the better one, ties half (the
        common-language effect size; NaN where a metric has no direction); ``better``, the name of
        the one that is better beyond chance, or None; ``turns``, whether the difference has not the
        same sign in every training seed; ``reason`` of a missing p. ``LIKENESS``: ``difference``
        from the middle between the random control's likeness and 1, below 0 for a map that depends
        on what was randomised.
    """
    pairs, parts = [], []
    for metric in matrix.metrics:
        if not _is_likeness(matrix, metric):
            table, clusters = _pairs(matrix, metric)
            pairs.append(table)
            parts.append(clusters)
    likeness, clusters = _likenesses(matrix)
    columns = ["metric", "a", "b", "direction", "effect", "a_better", "turns"]
    told = pd.concat([*pairs, likeness], ignore_index=True)
    told = told.reindex(columns=[*dict.fromkeys([*columns, *told.columns])])
    tested = _tested(Clusters.beside([*parts, clusters]), flips, seed, confidence)
    told = told.assign(**tested)
    alpha, count = 1 - confidence, len(told) - len(likeness)
    pairs, likeness = told.iloc[:count].copy(), told.iloc[count:]
    better = np.where(pairs["difference"] * pairs["direction"] > 0, pairs["a"], pairs["b"])
    sure = (pairs["p"] <= alpha) & pairs["direction"].notna()
    pairs["better"] = pd.Series(better, pairs.index, dtype=object).where(sure, None)
    return pairs.reindex(columns=PAIRS), likeness.reindex(columns=LIKENESS).reset_index(drop=True)


def _is_likeness(matrix: Matrix, metric: str) -> bool:
    """Say whether a metric is a likeness with a control of its own, or is such a control."""
    names = set(matrix.metrics)
    return control_of(metric) in names or any(control_of(name) == metric for name in names)


def _pairs(matrix: Matrix, metric: str) -> tuple[pd.DataFrame, Clusters]:
    wide = matrix.of_metric(metric)
    names, values = list(wide.columns), wide.to_numpy()
    at = np.array(list(itertools.combinations(range(len(names)), 2)), dtype=int).reshape(-1, 2)
    differences = values[:, at[:, 0]] - values[:, at[:, 1]]
    direction = matrix.direction(metric)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.isfinite(differences)
        n = known.sum(axis=0)
        centred = np.where(known, differences - np.nansum(differences, axis=0) / n, 0.0)
        spread = np.sqrt((centred**2).sum(axis=0) / (n - 1))
        effect = np.nansum(differences, axis=0) / n / spread
        wins = (np.sign(differences * direction) + 1) / 2
        share = np.where(known, wins, 0.0).sum(axis=0) / n
    table = pd.DataFrame(
        {
            "metric": metric,
            "a": [names[i] for i in at[:, 0]],
            "b": [names[i] for i in at[:, 1]],
            "direction": direction,
            "effect": np.where(np.isfinite(effect), effect, np.nan),
            "a_better": share if np.isfinite(direction) else np.nan,
            "turns": _turns(differences, matrix.seeds),
        }
    )
    return table, Clusters.of(differences, matrix.groups)


def _turns(differences: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return whether the mean of each column has another sign in some seed than in another."""
    signs = []
    for seed in np.unique(seeds):
        sums = np.nansum(differences[seeds == seed], axis=0)
        signs.append(np.sign(sums))
    return (np.max(signs, axis=0) > 0) & (np.min(signs, axis=0) < 0)


def _likenesses(matrix: Matrix) -> tuple[pd.DataFrame, Clusters]:
    rows, columns = [], []
    for metric in matrix.metrics:
        control = control_of(metric)
        if control not in matrix.metrics:
            continue
        values, chance = matrix.of_metric(metric), matrix.of_metric(control)
        for explainer in values.columns:
            rows.append({"metric": metric, "explainer": explainer})
            columns.append((values[explainer] - (1 + chance[explainer]) / 2).to_numpy())
    stacked = np.column_stack(columns) if columns else np.empty((len(matrix.groups), 0))
    return pd.DataFrame(rows, columns=["metric", "explainer"]), Clusters.of(stacked, matrix.groups)


def _tested(
    clusters: Clusters, flips: int, seed: int, confidence: float
) -> dict[str, np.ndarray | list]:
    found = max_t(clusters, flips=flips, seed=seed, level=1 - confidence)
    return {
        "difference": clusters.mean,
        "low": clusters.mean - found.half,
        "high": clusters.mean + found.half,
        "p": found.p,
        "n": clusters.n.astype(int),
        "n_groups": clusters.groups,
        "reason": [
            None if np.isfinite(p) else too_few(g)
            for p, g in zip(found.p, clusters.groups, strict=True)
        ],
    }


def too_few(groups: int) -> str:
    """Return why so few groups are not tested."""
    return f"too few groups to test ({groups}; {MIN_GROUPS} are needed)"
