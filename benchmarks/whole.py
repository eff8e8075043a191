"""Explaining and scoring as a run does it, cell by cell, beside its passes as bare ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from benchmarks.bare import Bare
from benchmarks.contest import limit
from benchmarks.standard import explainers, metrics
from benchmarks.subjects import Subject
from benchmarks.tables import markdown
from benchmarks.timing import timed
from xaibench.config.sections import SegmentOptions
from xaibench.runs.cells import scored_together
from xaibench.runs.rows import Block
from xaibench.runs.scoring import Scorer
from xaibench.store.cells import Cell


@dataclass(frozen=True)
class CellCost:
    """What one or several explainers' cells of all images took.

    Attributes:
        limit: seconds of the same passes, forward and backward, as bare ones.
    """

    explainers: str
    seconds: float
    limit: float
    forward_passes: int
    backward_passes: int


def block_of(subject: Subject, images: int) -> Block:
    """Return so many images as a run's block, of which nothing is known yet."""
    batch = subject.fresh(images)
    about = {"run": "benchmark", "dataset": subject.source, "split": "test", "model": "benchmark"}
    about |= {"training_seed": 0}
    rows = [
        about | {"image": i, "group": i, "label": None, "target": "class", "p_target": 0.5}
        for i in batch.ids
    ]
    return Block(batch, tuple(rows))


def explain_and_score(subject: Subject, images: int, *, samples: int, steps: int) -> list[CellCost]:
    """Return the cost of each group of cells, a bare measurement before and after each.

    Args:
        samples: of LIME.
        steps: of deletion and insertion.
    """
    model, device = subject.model, subject.model.device
    block, its = block_of(subject, images), explainers(samples)
    bare = [Bare(model, subject.batch.images, backward=both) for both in (False, True)]

    def bare_seconds() -> tuple[float, float]:
        forward, both = bare
        return (
            timed(forward.forward, device) / forward.count,
            timed(both.both, device) / both.count,
        )

    scorer = Scorer(model, metrics(steps), SegmentOptions().id)
    costs = []
    before = bare_seconds()
    for cells in scored_together([Cell(n, 0) for n in its], images, model.batch_size):
        passed = model.passes.copy()
        chosen = {cell: its[cell.explainer] for cell in cells}
        seconds = timed(lambda chosen=chosen: scorer.score_cells(chosen, block), device)
        passes = model.passes.since(passed)  # before the bare ones, which count too
        after = bare_seconds()
        forward, both = ((a + b) / 2 for a, b in zip(before, after, strict=True))
        names = ", ".join(cell.explainer for cell in cells)
        floor = limit(passes, forward, both)
        costs.append(CellCost(names, seconds, floor, passes.forward, passes.backward))
        before = after
    return costs


def summary(costs: Sequence[CellCost], images: int, about: str) -> dict[str, object]:
    """Return the section of the JSON file, with its table: ratios of sums, not means of ratios."""
    total = CellCost(
        "all",
        sum(c.seconds for c in costs),
        sum(c.limit for c in costs),
        sum(c.forward_passes for c in costs),
        sum(c.backward_passes for c in costs),
    )
    rows = [
        [
            c.explainers,
            f"{c.seconds / images:.3g}",
            f"{c.forward_passes / images:.0f} + {c.backward_passes / images:.0f}",
            f"{c.seconds / c.limit:.2f}" if c.limit else "–",
        ]
        for c in (*costs, total)
    ]
    columns = ["explainers", "s/image", "passes forward + backward", "× limit"]
    title = f"**Explain and score {images} images**: {about}"
    return {
        "images": images,
        "about": about,
        "cells": [asdict(c) for c in costs],
        "times_limit": total.seconds / total.limit,
        "table": f"{title}\n\n{markdown(columns, rows)}",
    }


def warm_up(subject: Subject) -> None:
    """Go through every explainer and metric once, so that nothing is loaded later."""
    block = block_of(subject, 1)
    cells = {Cell(name, 0): e for name, e in explainers(2 * subject.model.batch_size).items()}
    Scorer(subject.model, metrics(4), SegmentOptions().id).score_cells(cells, block)
    if subject.model.device.type == "cuda":
        torch.cuda.synchronize()
