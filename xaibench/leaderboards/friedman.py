"""Friedman's test of each metric over patients or slides, and Nemenyi's of each two explainers.

Every group ranks the explainers, controls among them, by the mean of its own rows; the test asks
whether these ranks could be alike by chance, Nemenyi's which two explainers' mean ranks differ by
more than that. This is the test behind a critical difference diagram (Demšar 2006, "Statistical
comparisons of classifiers over multiple data sets", JMLR 7), with groups in place of data sets.

It is not the test of the leaderboard (``contrasts``), and may disagree with it: here a group counts
once however many images it has, and how much better does not count, only whether; only groups
with a value of every explainer take part; and the error is kept within one metric, not over the
whole table. With several trained models a group's rows are those of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata

from xaibench.leaderboards.part import Part
from xaibench.leaderboards.raters import MIN_EXPLAINERS, too_few_explainers
from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.contrasts import too_few
from xaibench.types import MIN_GROUPS

COLUMNS = ["metric", "statistic", "p", "blocks", "left_out", "explainers", "mean_ranks", "reason"]
PAIRS = ["metric", "a", "b", "rank_a", "rank_b", "p"]


@dataclass(frozen=True, eq=False)
class Friedman:
    """What the test comes to under one metric; NaN, and no pairs, where it was not made.

    Attributes:
        statistic: chi-squared distributed with one degree less than there are explainers.
        p: of the test alone, not corrected for other metrics.
        blocks: groups that have a value of every explainer.
        left_out: groups that lack one.
        ranks: mean rank over blocks, by explainer; 1 is best.
        pairs: Nemenyi's p-values, explainers x explainers; family-wise within the metric.
        reason: why it was not made, or None.
    """

    statistic: float
    p: float
    blocks: int
    left_out: int
    ranks: pd.Series
    pairs: pd.DataFrame
    reason: str | None


def friedman(worth: pd.DataFrame) -> Friedman:
    """Make the test; refused with fewer than 6 blocks or 3 explainers, or where all ties.

    Args:
        worth: groups x explainers, larger is better, NaN for none; an explainer without any value
            is left out.
    """
    worth = worth.dropna(axis=1, how="all")
    whole = worth.dropna()
    blocks, explainers = whole.shape
    ranks = rankdata(-whole.to_numpy(), axis=1).reshape(whole.shape)
    reason = None
    if explainers < MIN_EXPLAINERS:
        reason = too_few_explainers(explainers)
    elif blocks < MIN_GROUPS:
        reason = too_few(blocks)
    elif (ranks == ranks[0, 0]).all():
        reason = "every explainer ties with every other in every group"
    counts = {"blocks": blocks, "left_out": len(worth) - blocks, "reason": reason}
    if reason:
        return Friedman(
            np.nan, np.nan, ranks=pd.Series(dtype=float), pairs=pd.DataFrame(), **counts
        )
    import scikit_posthocs  # draws as well, which takes a second to import

    found = friedmanchisquare(*whole.to_numpy().T)
    pairs = scikit_posthocs.posthoc_nemenyi_friedman(whole.to_numpy())
    pairs = pairs.set_axis(whole.columns, axis=0).set_axis(whole.columns, axis=1)
    means = pd.Series(ranks.mean(axis=0), whole.columns)
    return Friedman(float(found.statistic), float(found.pvalue), ranks=means, pairs=pairs, **counts)


def of_part(part: Part) -> dict[str, Friedman]:
    """Return the test of each metric that ranks explainers."""
    return {metric: friedman(_worth(part, metric)) for metric in part.ranked}


def _worth(part: Part, metric: str) -> pd.DataFrame:
    wide = part.matrix.of_metric(metric)
    clusters = Clusters.of(wide.to_numpy(), part.matrix.groups)
    with np.errstate(invalid="ignore"):
        means = clusters.sums / clusters.counts
    return pd.DataFrame(part.matrix.direction(metric) * means, columns=list(wide.columns))


def tables(found: dict[str, Friedman]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row a metric (``COLUMNS``), and a row for each two explainers (``PAIRS``).

    ``mean_ranks`` is text, the best first: ``lime 1.50; grad_cam 2.25``.
    """
    rows, pairs = [], []
    for metric, test in found.items():
        ranks = test.ranks.sort_values(kind="stable")
        told = "; ".join(f"{name} {rank:.2f}" for name, rank in ranks.items())
        rows.append(
            {"metric": metric, "statistic": test.statistic, "p": test.p, "blocks": test.blocks}
            | {"left_out": test.left_out, "explainers": len(ranks)}
            | {"mean_ranks": told or None, "reason": test.reason}
        )
        for at, a in enumerate(ranks.index):
            for b in ranks.index[at + 1 :]:
                pairs.append((metric, a, b, ranks[a], ranks[b], test.pairs.loc[a, b]))
    return pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(pairs, columns=PAIRS)
