"""Which training seed's model a table's rows are about, also where an older table does not tell."""

from __future__ import annotations

import pandas as pd

from xaibench.store.schema import SEED

_UNTOLD = -1  # no seed is negative


def with_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its column ``training_seed``, which is missing in an older one."""
    told = table[SEED] if SEED in table else pd.Series(pd.NA, table.index, dtype="Int64")
    return table.assign(**{SEED: told.astype("Int64")})


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a number in ``training_seed`` throughout: -1 where it is not told.

    pandas leaves out of its groups what is missing.
    """
    return table.assign(**{SEED: with_seeds(table)[SEED].fillna(_UNTOLD).astype("int64")})


def seeds_of(table: pd.DataFrame) -> list[int]:
    """Return the training seeds of the table in their order; none where it does not tell."""
    return [int(seed) for seed in with_seeds(table)[SEED].dropna().unique()]


def of_first(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first training seed: all of them where the table does not tell."""
    return table[numbered(table)[SEED].eq(seeds_of(table)[0])] if seeds_of(table) else table
