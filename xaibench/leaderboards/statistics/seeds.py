"""Several trainings of one model: what varies between models, apart from between images.

Images are crossed with models: every model explains the same images. The mean then has two sources
of error, images and models, which are not the same as more images. The variance between models is
that of their means, less what images put into it, which is the variance of the cells of group and
model (Cameron, Gelbach and Miller 2011, JBES 29(2)). Each source has degrees of freedom of its own,
so that the squares of their half-widths are added (Graybill and Wang 1980, JASA 75(372)).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.matrix import Matrix
from xaibench.store.schema import SEED


def crossed(
    values: np.ndarray, groups: np.ndarray, seeds: np.ndarray, clusters: Clusters, confidence: float
) -> np.ndarray | None:
    """Return what intervals over images and models add to the variance over images; None with one.

    (K,): M t_s^2 / t_f^2, M the variance between models, s and f the degrees of freedom of models
    and groups, so that t_f standard errors are the half-width of both.

    Args:
        values: (R, K); groups, seeds: (R,), of each row.
        clusters: of the values by group.
    """
    if len(np.unique(seeds)) < 2:
        return None
    between = Clusters.of(values, seeds)
    cells = Clusters.of(values, pd.MultiIndex.from_arrays([seeds, groups]).factorize()[0])
    of_models = np.maximum(between.variance - cells.variance, 0.0)
    tail = (1 + confidence) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (stats.t.ppf(tail, between.df) / stats.t.ppf(tail, clusters.df)) ** 2
        return of_models * ratio


def by_seed(matrix: Matrix) -> pd.DataFrame:
    """Return one row for each metric, explainer and training seed: ``mean``, ``n``, ``rank``.

    The rank is that within the seed, 1 is best, ties share the mean rank.
    """
    found = []
    for seed in np.unique(matrix.seeds):
        values = matrix.values.to_numpy()[matrix.seeds == seed]
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            mean = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
        table = matrix.columns[["metric", "explainer"]].assign(
            **{SEED: seed, "mean": mean, "n": known.sum(axis=0)}
        )
        direction = table["metric"].map({m: matrix.direction(m) for m in matrix.metrics})
        table["rank"] = (-direction * table["mean"]).groupby(table["metric"]).rank()
        found.append(table)
    return pd.concat(found, ignore_index=True)


def spreads(matrix: Matrix, clusters: Clusters, told: pd.DataFrame) -> pd.DataFrame:
    """Return for each column ``sd_seeds``, ``sd_groups``, ``rank_seeds`` and ``top_turns``.

    ``sd_seeds``: standard deviation of the means of the trained models; ``sd_groups``: of the means
    of the groups (patients or slides), over all models; ``rank_seeds``: the ranks that the
    explainer has, such as ``1–3``; ``top_turns``: whether the best explainer of its metric that is
    no control is not the same in every seed. NaN, None or False with one seed.

    Args:
        told: what ``by_seed`` returns.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        means = pd.DataFrame(clusters.sums / clusters.counts)
    rows = told.groupby(["metric", "explainer"], sort=False)
    ranks = rows["rank"].agg(["min", "max"]).reset_index(drop=True)
    several = told[SEED].nunique() > 1
    shown = [
        None if not several or pd.isna(low) else f"{low:g}" if low == high else f"{low:g}–{high:g}"
        for low, high in ranks.to_numpy()
    ]
    able = set(matrix.columns.loc[~matrix.columns["control"], "explainer"])
    ranked = told[told["explainer"].isin(able)].dropna(subset="rank")
    best = ranked.loc[ranked.groupby(["metric", SEED])["rank"].idxmin()]
    tops = best.groupby("metric")["explainer"].nunique()
    return pd.DataFrame(
        {
            "sd_seeds": rows["mean"].std().to_numpy() if several else np.nan,
            "sd_groups": means.std().to_numpy(),
            "rank_seeds": shown,
            "top_turns": matrix.columns["metric"].map(tops).fillna(1).gt(1).to_numpy(),
        }
    )
