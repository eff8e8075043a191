"""Draws from a split that keep what matters."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from sklearn.model_selection import train_test_split

from xaibench.errors import UserError


def stratified_fraction(
    labels: Int[np.ndarray, " n"], fraction: float, seed: int
) -> Int[np.ndarray, " kept"]:
    """Return the sorted indices of a seeded draw that keeps the share of each label.

    Args:
        fraction: in (0, 1]; 1 keeps all.
    """
    everything = np.arange(len(labels))
    if fraction == 1:
        return everything
    try:
        kept, _ = train_test_split(
            everything, train_size=fraction, stratify=labels, random_state=seed
        )
    except ValueError as error:
        raise UserError(
            f"a stratified fraction of {fraction} of {len(labels)} images cannot be drawn: {error}"
        ) from None
    return np.sort(kept)
