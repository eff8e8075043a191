"""One data set, split and model: its rows as a matrix, beside what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from xaibench.leaderboards.protocols import Protocol
from xaibench.leaderboards.statistics.matrix import Matrix
from xaibench.leaderboards.summary import Analysis, of_explainers
from xaibench.store.schema import ITEM, KEYS, SEED
from xaibench.store.training_seeds import numbered


@dataclass(frozen=True, eq=False)
class Part:
    """What one table is about.

    Attributes:
        summary: its rows of ``Analysis.summary``.
        seeds: its rows of ``Analysis.seeds``.
        matrix: its values.
        p_target: (R,), the unmasked score of each row's target; NaN where it is not known.
    """

    summary: pd.DataFrame
    seeds: pd.DataFrame
    matrix: Matrix
    p_target: np.ndarray

    @classmethod
    def each(cls, analysis: Analysis, scores: pd.DataFrame) -> Iterator[Part]:
        """Yield every part, in the order of the scores.

        Args:
            analysis: what ``analyse`` makes of the scores.
        """
        parts = of_explainers(scores).groupby(KEYS, sort=False)
        for (keys, rows), matrix in zip(parts, analysis.matrices, strict=True):
            of = lambda table, keys=keys: table[(table[KEYS] == list(keys)).all(axis=1)]
            yield cls(of(analysis.summary), of(analysis.seeds), matrix, _p_target(rows, matrix))

    @property
    def about(self) -> dict[str, str]:
        return self.summary[KEYS].iloc[0].to_dict()

    @cached_property
    def ranked(self) -> list[str]:
        """The metrics that rank explainers: those with a direction that are no likeness."""
        ranks = self.summary.groupby("metric", sort=False)["rank"].count()
        return list(ranks.index[ranks > 0])

    @cached_property
    def explainers(self) -> list[str]:
        """Those that are no controls."""
        roles = self.summary.drop_duplicates("explainer")
        return list(roles.loc[~roles["control"], "explainer"])

    @cached_property
    def protocols(self) -> dict[str, Protocol]:
        """The protocol of each metric."""
        told = self.matrix.columns.drop_duplicates("metric").set_index("metric")["protocol"]
        return {metric: Protocol.parse(text) for metric, text in told.items()}

    def worth(self, means: pd.Series, metric: str) -> pd.Series:
        """Return the means of explainers that are no controls, turned so that larger is better.

        Args:
            means: by explainer.
        """
        return self.matrix.direction(metric) * means.reindex(self.explainers).astype(float)


def _p_target(rows: pd.DataFrame, matrix: Matrix) -> np.ndarray:
    if "p_target" not in rows:
        return np.full(len(matrix.values), np.nan)
    firsts = numbered(rows).drop_duplicates([SEED, *ITEM]).set_index([SEED, *ITEM])
    return firsts["p_target"].loc[matrix.values.index].to_numpy(dtype=float)
