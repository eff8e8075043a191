"""Several draws of a control: the mean of as many single ones, and no score over fewer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.explainers.base import Explainer
from xaibench.explainers.random import Random
from xaibench.metrics.base import MapMetric, Scores
from xaibench.metrics.cumulative_drop import CumulativeDrop
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.mass_accuracy import MassAccuracy
from xaibench.models.base import PassCount
from xaibench.randomness import draw_seeds
from xaibench.runs.explaining import Explained, scored_batch
from xaibench.runs.rows import Block
from xaibench.runs.scoring import Scorer
from xaibench.store.cells import Cell

ABOUT = {"run": "r", "dataset": "toy", "split": "test", "model": "toy", "label": "a"}
ABOUT |= {"training_seed": 0}
IMAGES, DRAWS = 4, 3
METRICS = {
    "deletion": Deletion(steps=5),
    "cumulative_drop": CumulativeDrop(),
    "mass_accuracy": MassAccuracy(),
}


def block(draw: int = 0) -> Block:
    batch = toy_batch(images=IMAGES)
    batch = replace(batch, seeds=draw_seeds(batch.seeds, draw))
    own = lambda i: {"image": batch.ids[i], "group": batch.groups[i], "target": "a"}
    return Block(batch, tuple(ABOUT | own(i) | {"p_target": 0.7} for i in range(IMAGES)))


def cell_of(explainer, metrics, draw=0):
    # In float64: what rounds otherwise in a batch of another size is rounded away in the scores.
    scorer = Scorer(toy_model().double(), metrics, "slic")
    return scorer.score_cells({Cell("mine", 0): explainer}, block(draw))[0]


def test_draws_equal_the_mean_of_single_runs():
    together = cell_of(Random(draws=DRAWS), METRICS)
    alone = [cell_of(Random(draws=1), METRICS, draw) for draw in range(DRAWS)]
    assert len(together.scores) == IMAGES * 4
    for row, *single in zip(together.scores, *(each.scores for each in alone), strict=True):
        twin = sum(each["value"] for each in single) / DRAWS
        assert row["value"] == pytest.approx(twin, abs=1e-8, nan_ok=True)
        assert row | {"value": 0, "params": ""} == single[0] | {"value": 0, "params": ""}
    assert len({each.scores[0]["value"] for each in alone}) == DRAWS
    for row, *single in zip(together.curves, *(each.curves for each in alone), strict=True):
        for axis in ("x", "y"):
            twin = np.mean([each[axis] for each in single], axis=0)
            assert row[axis] == pytest.approx(twin, abs=1e-8)


def test_the_first_draw_is_kept_and_scoring_costs_all_of_them():
    one, three = (cell_of(Random(draws=k), METRICS) for k in (1, DRAWS))
    assert np.array_equal(one.maps, three.maps)
    assert three.timing["score_forward"] == DRAWS * one.timing["score_forward"] > 0
    assert three.timing["explain_forward"] == one.timing["explain_forward"] == 0


@dataclass(frozen=True)
class Passing(Explainer):
    """A map of one pass; spoilt for an image in one draw, or flat in all of them."""

    name: ClassVar[str] = "passing"
    draws: int = DRAWS
    spoilt: tuple[int, int] = (-1, -1)
    flat: bool = False

    def attribute(self, model, batch):
        model.logits(batch.images)
        maps = batch.images.mean(1) * (0.0 if self.flat else 1.0)
        draw, image = self.spoilt
        if draw >= 0:
            maps[batch.seeds == draw_seeds(block().batch.seeds, draw)[image], 0, 0] = torch.nan
        return maps


def test_further_draws_are_made_under_scoring():
    timing = cell_of(Passing(), {"mass_accuracy": MassAccuracy()}).timing
    assert timing["explain_forward"] == IMAGES
    assert timing["score_forward"] == (DRAWS - 1) * IMAGES


@pytest.mark.parametrize("draw", range(DRAWS))
def test_an_image_with_one_failed_draw_has_no_score(draw):
    metrics = {"deletion": Deletion(steps=4)}
    rows = cell_of(Passing(spoilt=(draw, 2)), metrics).scores
    assert [math.isnan(row["value"]) for row in rows] == [False, False, True, False]
    assert (rows[2]["status"], rows[2]["reason"]) == (
        "nan",
        "the map has values that are not finite",
    )
    assert {rows[i]["status"] for i in (0, 1, 3)} == {"ok"}


@dataclass(frozen=True)
class Shy(MapMetric):
    """No value where the map's first pixel is below a half."""

    name: ClassVar[str] = "shy"
    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def score(self, model, batch, maps):
        value = maps[:, 0, 0]
        return Scores({"shy": value.where(value > 0.5, torch.nan)}, undefined={"shy": "too dark"})


def test_a_draw_without_a_value_leaves_the_mean_without_one():
    firsts = torch.stack([Random()(toy_model(), block(k).batch).maps[:, 0, 0] for k in range(2)])
    there = (firsts > 0.5).all(0).tolist()
    assert True in there
    assert [True, False] in (firsts > 0.5).T.tolist() or [False, True] in (firsts > 0.5).T.tolist()
    rows = cell_of(Random(draws=2), {"shy": Shy()}).scores
    assert [not math.isnan(row["value"]) for row in rows] == there
    assert {(r["status"], r["reason"]) for r in rows} == {("ok", None), ("undefined", "too dark")}


def test_ties_of_each_draw_go_their_own_way():
    """Constant maps are the same in every draw, their orders are not."""
    rows = cell_of(Passing(flat=True), {"deletion": Deletion(steps=9)}).scores
    single = [
        cell_of(Passing(draws=1, flat=True), {"deletion": Deletion(steps=9)}, draw).scores
        for draw in range(DRAWS)
    ]
    values = np.array([[row["value"] for row in each] for each in single])
    assert (np.ptp(values, axis=0) > 0).all()
    assert [row["value"] for row in rows] == pytest.approx(values.mean(0), abs=1e-8)


def test_what_is_scored_lies_by_explainer_draw_and_image():
    model, batch = toy_model(), block().batch
    made = [Explained.of(e, model, batch).drawn(model, batch) for e in (Random(draws=2), Passing())]
    scored, maps = scored_batch(made, batch)
    assert scored.ids == batch.ids * 5
    seeds = [draw_seeds(batch.seeds, k) for k in (0, 1, 0, 1, 2)]
    assert torch.equal(scored.seeds, torch.cat(seeds))
    assert torch.equal(maps[: 2 * IMAGES], torch.cat(made[0].draws))
    assert [each.count for each in made] == [2 * IMAGES, DRAWS * IMAGES]
    assert made[1].explanation.passes == PassCount(IMAGES, 0)
