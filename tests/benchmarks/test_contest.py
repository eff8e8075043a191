"""Contests: the arithmetic of ratios and limits, the order of turns, and what became of whom."""

from __future__ import annotations

import math
import time

import pytest
import torch

from benchmarks.bare import Bare
from benchmarks.contest import (
    OURS,
    Contestant,
    compete,
    largest_difference,
    limit,
    median_ratio,
)
from benchmarks.timing import alternate
from xaibench.checks.stage import toy_batch, toy_model
from xaibench.models.base import PassCount

CPU = torch.device("cpu")


def test_median_of_ratios_is_not_the_ratio_of_medians():
    # Rounds: 2 / 1, 9 / 3, 8 / 2. Medians would give 8 / 2 = 4.
    assert median_ratio([2.0, 9.0, 8.0], [1.0, 3.0, 2.0]) == 3.0
    assert median_ratio([1.0, 3.0], [2.0, 2.0]) == 1.0


@pytest.mark.parametrize(("above", "below"), [([], []), ([1.0], []), ([1.0, 2.0], [1.0, 0.0])])
def test_no_ratio_without_rounds_or_over_nothing(above, below):
    assert median_ratio(above, below) is None


def test_limit_counts_a_pass_with_gradient_once():
    # 10 images forward, 4 of them also backward: 6 bare forward, 4 bare forward and backward.
    assert limit(PassCount(10, 4), forward=2.0, both=5.0) == 6 * 2.0 + 4 * 5.0
    assert limit(PassCount(10, 0), forward=2.0, both=None) == 20.0


def test_each_round_begins_with_another():
    turns = []
    entrants = {name: lambda n=name: turns.append(n) for name in "abc"}
    seconds = alternate(entrants, 4, CPU)
    assert "".join(turns) == "abc" + "bca" + "cab" + "abc"
    assert {name: len(s) for name, s in seconds.items()} == {"a": 4, "b": 4, "c": 4}


def test_seconds_are_those_of_the_work():
    seconds = alternate({"sleep": lambda: time.sleep(0.02), "none": lambda: None}, 3, CPU)
    assert min(seconds["sleep"]) >= 0.02 > max(seconds["none"])


def test_difference_needs_the_same_gaps():
    one = torch.tensor([1.0, math.nan, 3.0])
    assert largest_difference(one, torch.tensor([1.0, math.nan, 2.5])) == 0.5
    assert largest_difference(one, torch.tensor([1.0, 2.0, 3.0])) == math.inf


def breaks():
    raise ValueError("no such thing")


def test_contest_says_what_became_of_each():
    model, images = toy_model(), toy_batch().images
    ours = lambda: model(images).detach()
    twice = lambda: (model(images), model(images) + 0.25)[1].detach()
    contestants = [
        Contestant(OURS, ours, model, note="ours"),
        Contestant("peer", twice, model),
        Contestant("other", twice, model, gap=None, note="not compared"),
        Contestant("absent", ours, model, ("no_such_package",)),
        Contestant("broken", breaks, model),
    ]
    bare = Bare(model, images, backward=False)
    contest = compete(contestants, bare, 3, CPU, backward=False)
    found = {r.contestant.name: r for r in contest.results}
    assert [r.note for r in contest.results] == [
        "ours",
        "",
        "not compared",
        "not installed: no_such_package",
        "failed: ValueError: no such thing",
    ]
    assert found[OURS].times_ours == 1.0
    assert found["peer"].difference == pytest.approx(0.25)
    assert found["other"].difference is None
    assert (found[OURS].passes.forward, found["peer"].passes.forward) == (5, 10)
    assert len(contest.bare) == 3
    assert contest.bare_both == []
    expected = [10 * seconds for seconds in contest.bare]
    assert found["peer"].limits == pytest.approx(expected)
    for name in ("absent", "broken"):
        assert found[name].seconds == []
        assert found[name].times_limit is None


def test_limit_of_gradients_is_bare_gradients():
    model, batch = toy_model(), toy_batch()

    def gradient():
        images = batch.images.clone().requires_grad_()
        return torch.autograd.grad(model(images).sum(), images)[0]

    bare = Bare(model, batch.images, backward=True)
    contest = compete([Contestant(OURS, gradient, model)], bare, 2, CPU, backward=True)
    (result,) = contest.results
    assert (result.passes.forward, result.passes.backward) == (5, 5)
    assert result.limits == pytest.approx([5 * seconds for seconds in contest.bare_both])


def test_bare_passes_are_full_batches_long_enough_to_time():
    model, images = toy_model(), toy_batch().images
    bare = Bare(model, images, backward=False)
    before = model.passes.copy()
    bare.forward()
    passed = model.passes.since(before).forward
    assert passed == bare.count
    assert passed % model.batch_size == 0
    assert passed > model.batch_size
