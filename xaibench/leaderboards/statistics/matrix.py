"""Scores of one table as a matrix: rows that are paired, columns that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from xaibench.store.schema import ITEM, SEED
from xaibench.store.training_seeds import numbered


@dataclass(frozen=True, eq=False)
class Matrix:
    """The values of one data set, split and model.

    Attributes:
        values: index ``[training_seed, image, target]``, columns ``(metric, explainer)``; NaN where
            a row has no value. A row is what all columns are compared on.
        groups: the patient or slide of each row; the image itself where none is known.
        columns: one row a column of ``values``, in its order: metric, explainer, control,
            higher_is_better, protocol.
    """

    values: pd.DataFrame
    groups: np.ndarray
    columns: pd.DataFrame

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Matrix:
        """Make it of rows about maps; values of failed rows count as missing."""
        rows = numbered(rows.assign(value=usable_values(rows)))
        key = [SEED, *ITEM]
        about = ["control", "higher_is_better", "protocol"]
        columns = rows.drop_duplicates(["metric", "explainer"])[["metric", "explainer", *about]]
        columns = columns.astype({"control": bool})  # rows of the model alone make it an object
        order = pd.MultiIndex.from_frame(columns[["metric", "explainer"]])
        wide = rows.pivot(index=key, columns=["metric", "explainer"], values="value")[order]
        items = rows.drop_duplicates(key).set_index(key)["group"].loc[wide.index].reset_index()
        groups = items["group"].fillna(items["image"]).to_numpy()
        return cls(wide, groups, columns.reset_index(drop=True))

    @property
    def seeds(self) -> np.ndarray:
        """Return the training seed of each row."""
        return self.values.index.get_level_values(SEED).to_numpy()

    @cached_property
    def metrics(self) -> list[str]:
        return list(self.columns["metric"].unique())

    def of_metric(self, metric: str) -> pd.DataFrame:
        """Return one column an explainer."""
        return self.values[metric]

    def direction(self, metric: str) -> float:
        """Return 1 where higher is better, -1 where lower is, NaN where neither is."""
        return self._directions[metric]

    @cached_property
    def _directions(self) -> dict[str, float]:
        firsts = self.columns.drop_duplicates("metric")
        signs = firsts["higher_is_better"].astype("boolean").map({True: 1.0, False: -1.0})
        return dict(zip(firsts["metric"], signs.astype(float), strict=True))


def usable_values(rows: pd.DataFrame) -> pd.Series:
    """Return the values of rows that have one: NaN where the map or the metric failed."""
    values = rows["value"].astype(float)
    return values.where(rows["status"].isin(["ok", "constant"]) & np.isfinite(values))
