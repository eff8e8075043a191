"""The leaderboard within strata of the explained images: evidence size, confidence, outcome.

``leaderboard_strata.csv`` and ``.md``. Does an explainer that is good on the whole stay so where
the evidence is small, the model unsure, or wrong? Each stratum is a table, and a family of tests,
of its own. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.captions import about, sentences
from xaibench.leaderboards.markdown import page
from xaibench.leaderboards.names import as_control, is_weak, weakly
from xaibench.leaderboards.statistics.contrasts import too_few
from xaibench.leaderboards.summary import counted, of_explainers, summarise
from xaibench.leaderboards.tables import Table
from xaibench.store.finished import areas
from xaibench.store.predictions import outcomes
from xaibench.store.schema import ITEM, SEED
from xaibench.store.training_seeds import numbered
from xaibench.types import MIN_GROUPS

UNSURE, SURE = 0.6, 0.9
NO_EVIDENCE = ("tag", "lungs")  # masks of a planted shortcut, and of where to look at all


@dataclass(frozen=True, eq=False)
class Stratification:
    """One way to divide the explained images.

    Attributes:
        kind: what divides them.
        names: of the strata, in their order, with those that no image is in.
        of_item: index ``[training_seed, image, target]``: the stratum of each, missing where it
            is in none.
    """

    kind: str
    names: list[str]
    of_item: pd.Series

    def parts(self, scores: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield each stratum that holds rows, with them."""
        stratum = self.of_item.reindex(_keys(scores)).to_numpy()
        for name in self.names:
            if (stratum == name).any():
                yield name, scores[stratum == name]


def by_confidence(scores: pd.DataFrame) -> Stratification:
    """Divide by the model's score of the target: below 0.6, up to 0.9, and above."""
    p = pd.Series(scores["p_target"].to_numpy(dtype=float), _keys(scores))
    p = p[~p.index.duplicated()]
    names = [f"below {UNSURE:g}", f"{UNSURE:g} to {SURE:g}", f"above {SURE:g}"]
    place = (p >= UNSURE).astype(int) + (p > SURE).astype(int)
    return Stratification("confidence", names, place.map(dict(enumerate(names))).where(p.notna()))


def by_outcome(items: pd.DataFrame) -> Stratification:
    """Divide by whether the model gets an image right; see ``predictions.outcomes``.

    Args:
        items: the predictions' row of each training seed, explained image and target.
    """
    right = outcomes(items).map({True: "correct", False: "wrong"}).astype(object)
    of_item = right.set_axis(_keys(items))
    return Stratification("outcome", ["correct", "wrong"], of_item[~of_item.index.duplicated()])


def by_evidence(items: pd.DataFrame, sizes: np.ndarray) -> Stratification:
    """Divide by the size of the evidence: terciles of the images that have any.

    Args:
        items: columns training_seed, image and target, one row a mask.
        sizes: (n,), the mask's share of the image's area; 0 where there is no evidence, but not
            everywhere.
    """
    area = pd.Series(sizes, _keys(items))
    area = area[~area.index.duplicated()]
    known = area[area > 0]
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    names = [
        f"small (up to {low:.1%} of the image)",
        f"medium (up to {high:.1%})",
        "large (more than that)",
    ]
    place = (known > low).astype(int) + (known > high).astype(int)
    return Stratification("evidence", names, place.map(dict(enumerate(names))))


def _keys(rows: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(numbered(rows)[[SEED, *ITEM]])


def stratifications(run: ScoredRun) -> tuple[list[Stratification], list[str]]:
    """Return the ways in which a run's images can be divided, and why not in the others."""
    found, lacking = [], []
    scores = of_explainers(run.scores)
    if run.predictions is None:
        return [by_confidence(scores)], ["not by evidence and outcome: no predictions are kept"]
    with run.maps() as file:
        names = list(file.get("masks", {})) if file else []
        able = [n for n in names if not is_weak(n) and not n.startswith(NO_EVIDENCE)]
        if able:
            name = "evidence" if "evidence" in able else able[0]
            each = list(run.items_of_seeds(file))
            # What a further seed's group lacks is as of the first.
            masks = [own.get(f"masks/{name}", file[f"masks/{name}"]) for own, _ in each]
            sizes = np.concatenate([areas(mask) for mask in masks])
            if sizes.any():
                found.append(by_evidence(pd.concat([items for _, items in each]), sizes))
        if not found:
            lacking.append("not by the size of the evidence: no image has an annotated mask")
    found.append(by_confidence(scores))
    every = run.every_prediction
    chosen = every[every["selected"].astype(bool)]
    return [*found, by_outcome(chosen)], lacking


def table(
    scores: pd.DataFrame, strata: list[Stratification], **options: object
) -> tuple[pd.DataFrame, list[str]]:
    """Return the leaderboard of each stratum, and the names of those that hold no image.

    Columns ``strata`` and ``stratum``, then those of ``summarise``. Where a stratum has too few
    groups to test, all that would claim anything is missing, and ``untested`` says so.

    Args:
        options: of ``summary.analyse``.
    """
    parts, empty = [], []
    for each in strata:
        its = dict(each.parts(of_explainers(scores)))
        empty += [f"{each.kind} {name}" for name in each.names if name not in its]
        for name, rows in its.items():
            groups = rows["group"].fillna(rows["image"]).nunique()
            if groups < MIN_GROUPS:
                part = counted(rows).assign(untested=too_few(groups))
            else:
                part = summarise(rows, **options).astype({"tests": "Int64"})
            parts.append(part.assign(strata=each.kind, stratum=name))
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    first = ["strata", "stratum"]
    return (whole[[*first, *whole.columns.drop(first)]] if parts else whole), empty


def markdown(rows: pd.DataFrame, notes: list[str]) -> str:
    """Return the strata as Markdown, a table each; a line where too few groups leave nothing."""
    texts = []
    for (kind, name), part in rows.groupby(["strata", "stratum"], sort=False):
        heading = f"{kind} {name}: {about(part.iloc[0])}"
        if part["groups"].iloc[0] < MIN_GROUPS:
            texts.append(f"## {heading}\n\n{part['untested'].iloc[0]}\n")
            continue
        shown = Table(part, pd.DataFrame(columns=["metric", "value", "reason"]), f"{kind} {name}")
        head = ["explainer"]
        for metric in shown.metrics:
            names, sign = shown.header(metric)
            head.append("".join(names) + sign + weakly(metric))
        lines = [
            [as_control(f"`{e}`", control), *(shown.cell(e, m).text() for m in shown.metrics)]
            for e, control in shown.controls.items()
        ]
        texts.append(page(heading, head, lines, sentences(part)))
    said = ["each stratum is a family of tests of its own: not corrected over the strata", *notes]
    return "\n".join([*texts, *(f"- {note}" for note in said)]) + "\n"


def make(run: ScoredRun, **options: object) -> pd.DataFrame:
    """Write ``leaderboard_strata.csv`` and ``.md`` of a run, where any image is in a stratum.

    Args:
        options: of ``summary.analyse``.
    """
    strata, notes = stratifications(run)
    rows, empty = table(run.scores, strata, **options)
    if rows.empty:
        return rows
    if empty:
        notes = [*notes, f"left out, since no explained image is in them: {', '.join(empty)}"]
    run.write_csv("leaderboard_strata.csv", rows)
    run.write("leaderboard_strata.md", markdown(rows, notes))
    return rows
