"""What must be said beside a leaderboard, so that its table can stand alone in a paper."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from xaibench.leaderboards.names import EDGE, RANDOM, WEAK, control_of, how_many, is_weak
from xaibench.leaderboards.statistics.contrasts import too_few
from xaibench.store.finished import true_name
from xaibench.types import MIN_GROUPS

MARKS = {
    "beats_random": ("°", f"not better than `{RANDOM}`"),
    "beats_edge": ("†", f"not better than `{EDGE}`, an edge detector without a model"),
    "depends": ("‡", "not shown to depend on what was randomised"),
}
TURNS = "⇄"
MOST_LETTERS = 8  # in a cell that can still be read
CONTROLS = [RANDOM, "center_prior", EDGE]


def about(row: pd.Series) -> str:
    """Return which data, model and split, and how many images, groups and trained models."""
    return (
        f"data set {true_name(row['dataset'])}, model {row['model']}, split {row['split']}, "
        f"{how_many(row)}"
    )


def sentences(summary: pd.DataFrame) -> list[str]:
    """Return how the table was made: interval, test, correction, and what its signs mean.

    Args:
        summary: of one data set, split and model.
    """
    first = summary.iloc[0]
    alone = first["groups"] == first["images"]
    percent, several = f"{first['confidence']:.0%}", first["seeds"] > 1
    over = f" and over the {first['seeds']} trained models" if several else ""
    said = [
        f"Cells: mean [{percent} interval over groups (patients or slides){over}, cluster-robust "
        "with Satterthwaite's degrees of freedom]; [–]: too few groups for one"
    ]
    if alone:
        said.append(
            "Each image is a group of its own: patients or slides are not known, or have one image "
            "each"
        )
    if first["groups"] < MIN_GROUPS:
        return [*said, f"Nothing is marked: {too_few(first['groups'])}"]
    if not first["tests"]:
        return [*said, "Nothing is marked: there is nothing to compare"]
    scope = " (about these trained models)" if several else ""
    said.append(
        f"Tests{scope}: paired by image, signs of whole groups flipped, the largest |t| of all "
        f"{first['tests']} comparisons of this table, so that the chance of any false mark in it "
        f"is at most {1 - first['confidence']:.0%}"
    )
    if summary["best"].any():
        said.append(
            "Bold: the best explainer that is no control, and all that cannot be told from it; "
            "explainers that share a letter cannot be told apart"
        )
    for metric, count in lettered_out(summary).items():
        said.append(
            f"No letters under `{metric}`, where {count} were needed: `leaderboard_pairs.csv` says "
            "which pairs can be told apart"
        )
    for column, (sign, meaning) in MARKS.items():
        if (summary[column] == False).any():  # noqa: E712  (NA is neither)
            said.append(f"{sign} {meaning}")
    if several and summary["turns"].any():
        said.append(f"{TURNS} a difference beyond chance has the other sign in some training seed")
    if several and summary["top_turns"].any():
        said.append(f"{TURNS} in a head: the best explainer is not the same in every training seed")
    return said


def lettered_out(summary: pd.DataFrame) -> dict[str, int]:
    """Return the metrics that have a cell of too many letters, and how many letters they need."""
    needed = {}
    for metric, rows in summary.groupby("metric", sort=False):
        known = rows["letters"].dropna()  # without a value there are none
        letters = [re.findall(r"[a-z]\d*", cell) for cell in known]
        if max(map(len, letters), default=0) > MOST_LETTERS:
            needed[metric] = len({letter for cell in letters for letter in cell})
    return needed


def notes(summary: pd.DataFrame) -> list[str]:
    """Return what else must be said: missing controls and values, masks, definitions."""
    said = []
    missing = [name for name in CONTROLS if name not in set(summary["explainer"])]
    if missing:
        said.append(f"controls that this table lacks: {', '.join(f'`{m}`' for m in missing)}")
    said.append("n=a/b: a value on only a of the b maps that have one by definition")
    rates = {"constant": "constant maps", "nan": "maps that are not finite", "failed": "no value"}
    for column, what in rates.items():
        worst = summary.groupby("explainer", sort=False)[column].max()
        said += [f"{what} of `{e}`: {rate:.1%}" for e, rate in worst.items() if rate > 0]
    metrics = list(summary["metric"].unique())
    chances = {control_of(metric) for metric in metrics}
    shown = summary[~summary["metric"].isin(chances)]
    spans: dict[str, list[str]] = {}
    for metric, rows in shown.groupby("metric", sort=False):
        defined = sorted({*(rows["rows"] - rows["undefined"])})
        if rows["undefined"].any():
            span = "–".join(str(n) for n in {defined[0]: 0, defined[-1]: 0})
            unit = "images" if rows["rows"].max() == rows["images"].iloc[0] else "maps"
            spans.setdefault(f"{span} of {rows['rows'].max()} {unit}", []).append(metric)
    said += [f"{_named(names)}: defined on {span}" for span, names in spans.items()]
    likenesses = [metric for metric in metrics if control_of(metric) in metrics]
    if likenesses:
        means = summary.groupby("metric")["mean"].mean()
        told = ", ".join(f"`{m}` {means[control_of(m)]:.3f}" for m in likenesses)
        said.append(
            "likenesses are tested against the middle between 1 and what maps that have nothing in "
            f"common score: {told}"
        )
    if any(is_weak(metric) for metric in metrics):
        said.append(WEAK)
    for protocol, rows in shown.drop_duplicates("metric").groupby("protocol", sort=False):
        said.append(f"{_named(rows['metric'])}: `{protocol}`")
    return said


def _named(metrics: Iterable[str]) -> str:
    return ", ".join(f"`{metric}`" for metric in metrics)
