"""Means over rows by patient or slide, with standard errors that hold for few groups.

The mean of K columns over rows that belong to G groups is the intercept of a least-squares fit. Its
standard error is the bias-reduced cluster-robust one (CR2), its degrees of freedom are those of
Bell and McCaffrey by Satterthwaite's approximation, both in closed form for an intercept; with
equal groups they are the standard error of the mean of the G group means, and G - 1. Sources: Bell
and McCaffrey 2002, Survey Methodology 28(2); Pustejovsky and Tipton 2018, JBES 36(4), equations 6
and 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Clusters:
    """Sums and numbers of values of each group and column.

    Attributes:
        sums: (G, K), over the values that there are.
        counts: (G, K), how many there are.
    """

    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, groups: Sequence[str]) -> Clusters:
        """Add up rows by their group.

        Args:
            values: (R, K), NaN where there is none.
            groups: (R,), the patient or slide of each row; groups of one name are one.
        """
        codes, names = pd.factorize(np.asarray(groups), sort=True)
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(len(names)))
        known = np.isfinite(values)
        added = lambda table: np.add.reduceat(table[order], starts, axis=0)
        return cls(added(np.where(known, values, 0.0)), added(known.astype(float)))

    @classmethod
    def beside(cls, parts: Sequence[Clusters]) -> Clusters:
        """Return the columns of several, whose groups are the same, as one."""
        stacked = lambda name: np.concatenate([getattr(part, name) for part in parts], axis=1)
        return cls(stacked("sums"), stacked("counts"))

    def take(self, columns: np.ndarray) -> Clusters:
        """Return some of the columns, by a mask or by their places."""
        return Clusters(self.sums[:, columns], self.counts[:, columns])

    @cached_property
    def n(self) -> np.ndarray:
        """(K,): values in all."""
        return self.counts.sum(axis=0)

    @cached_property
    def groups(self) -> np.ndarray:
        """(K,): groups with a value."""
        return (self.counts > 0).sum(axis=0)

    @cached_property
    def mean(self) -> np.ndarray:
        """(K,): over rows, so that a group weighs as much as it has values; NaN without any."""
        with np.errstate(invalid="ignore"):
            return self.sums.sum(axis=0) / self.n

    @cached_property
    def shares(self) -> np.ndarray:
        """(G, K): each group's share of the values."""
        with np.errstate(invalid="ignore"):
            return self.counts / self.n

    @cached_property
    def variance(self) -> np.ndarray:
        """(K,): of the mean, CR2; NaN with fewer than two groups.

        sum over groups of (S_g - n_g m)^2 / (1 - n_g / N), divided by N^2.
        """
        residuals = self.sums - self.counts * self.mean
        with np.errstate(invalid="ignore", divide="ignore"):
            return (residuals**2 / (1 - self.shares)).sum(axis=0) / self.n**2

    @cached_property
    def df(self) -> np.ndarray:
        """(K,): Satterthwaite's degrees of freedom of the variance; G - 1 where groups are equal.

        With f_g = n_g / N: 1 / (sum f_g^2 + (sum u_g)^2 - sum u_g^2), u_g = f_g^2 / (1 - f_g).
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            u = self.shares**2 / (1 - self.shares)
            return 1 / ((self.shares**2).sum(0) + u.sum(0) ** 2 - (u**2).sum(0))
