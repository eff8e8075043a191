"""How tables and figures name things."""

from __future__ import annotations

import pandas as pd

RANDOM = "random"
EDGE = "edge"
WEAK = "weak mask: a prior about where the evidence tends to lie, not an annotation of it"


def is_weak(metric: str) -> bool:
    """Say whether a metric's mask is a prior, not an annotation."""
    return metric.endswith("_weak")


def weakly(mask: str) -> str:
    """Return `` (weak mask)`` for a mask or metric that is weak, else nothing."""
    return " (weak mask)" * is_weak(mask)


def as_control(name: str, control: bool) -> str:
    """Return an explainer's name, marked where it is a control."""
    return f"{name} (control)" if control else name


def how_many(row: pd.Series) -> str:
    """Return ``64 images in 13 groups``, with the numbers of maps and of trained models.

    Args:
        row: of the leaderboard; rows / seeds maps of each model.
    """
    seeds = int(row.get("seeds", 1))
    maps = row["rows"] // seeds
    told = "" if maps == row["images"] else f"{maps} maps of "
    models = f", {seeds} trained models" if seeds > 1 else ""
    return f"{told}{row['images']} images in {row['groups']} groups{models}"


def arrow(higher_is_better: bool | None) -> str:
    """Return the sign of the better direction with a space before it; empty without one."""
    return "" if pd.isna(higher_is_better) else " ↑" if higher_is_better else " ↓"


def control_of(metric: str) -> str:
    """Return the name of the random control of a likeness: what unlike maps score."""
    return f"{metric}_control"
