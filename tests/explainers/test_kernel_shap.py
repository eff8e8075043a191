"""KernelSHAP against Shapley values by all orders, literal loops and captum's own explainer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from captum.attr import KernelShap as CaptumKernelShap
from odd_subjects import batch_of, linear_model, linear_weights, random_images, small_cnn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import coalitions, fill_images, shapley_values
from xaibench.errors import UserError
from xaibench.explainers.kernel_shap import KernelShap


def few_segments(size, *numbers):
    """Stripes of columns, as many as asked for each image."""
    column = torch.arange(size[1])
    return torch.stack([(column * n // size[1]).expand(size) for n in numbers]).contiguous()


def value(model, batch, i, fills, coalition, space="prob"):
    """The score with the segments outside the coalition replaced."""
    keep = torch.isin(batch.segments[i], torch.tensor(sorted(coalition), dtype=torch.int64))
    mixed = torch.where(keep, batch.images[i], fills[i])
    with torch.no_grad():
        return float(model.score(mixed[None], batch.targets[i : i + 1], space))


def by_all_orders(v, number):
    """The definition: the mean over all orders of what a segment adds to those before it."""
    known = {}
    score = lambda s: known.setdefault(s, v(s))
    total = np.zeros(number)
    for order in itertools.permutations(range(number)):
        before = frozenset()
        for i in order:
            total[i] += score(before | {i}) - score(before)
            before = before | {i}
    return total / math.factorial(number)


@pytest.mark.parametrize(("head", "channels"), [("softmax", 3), ("single_logit", 1)])
def test_every_coalition_gives_exact_shapley_values(head, channels):
    size = (33, 47)
    model = small_cnn(channels, size, head=head)
    numbers = (5, 3, 2, 1)
    images = random_images(4, channels, size)
    batch = batch_of(images, segments=few_segments(size, *numbers))
    fills = fill_images(batch, "dataset_mean")
    maps = KernelShap(30)(model, batch).maps
    for i, number in enumerate(numbers):
        v = lambda s, i=i: value(model, batch, i, fills, s)
        twin = by_all_orders(v, number)[batch.segments[i].numpy()]
        assert maps[i].numpy() == pytest.approx(twin, abs=2e-6)
    assert maps[0].std() > 1e-3


def literal_regression(model, batch, i, explainer):
    """The weighted sum of squares, coalition by coalition, the constraint by Lagrange."""
    number = int(batch.segments[i].max()) + 1
    part = batch.take([i])
    asked = explainer.coalitions(part)
    fills = fill_images(batch, explainer.fill)
    v = lambda s: value(model, batch, i, fills, s, explainer.space)
    nothing, everything = v(()), v(range(number))
    a, b = np.zeros((number, number)), np.zeros(number)
    for row, weight in zip(asked.kept[0], asked.weights[0].tolist(), strict=True):
        z = row.double().numpy()
        a += weight * np.outer(z, z)
        b += weight * z * (v(np.flatnonzero(z).tolist()) - nothing)
    system = np.block([[2 * a, np.ones((number, 1))], [np.ones((1, number)), np.zeros((1, 1))]])
    return np.linalg.solve(system, [*(2 * b), everything - nothing])[:number]


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("options", [{}, {"space": "logit", "fill": "black"}])
def test_equals_the_literal_regression(paired, options):
    model, batch = toy_model(), toy_batch(images=2)
    explainer = KernelShap(120, paired, **options)
    maps = explainer(model, batch).maps
    for i in range(2):
        twin = literal_regression(model, batch, i, explainer)
        assert maps[i].numpy() == pytest.approx(twin[batch.segments[i].numpy()], abs=5e-6)


@pytest.mark.parametrize("samples", [254, 100])
def test_a_linear_model_in_closed_form(samples):
    """phi = sum over the segment of w (x - fill), from every coalition as from a few."""
    size = (16, 24)
    model = linear_model(1, size)
    images = random_images(2, 1, size)
    batch = batch_of(images, segments=few_segments(size, 8, 6))
    explainer = KernelShap(samples, space="logit", fill=0.3)
    maps = explainer(model, batch).maps
    weights = linear_weights(model, batch)
    drops = (weights * (images - 0.3)).sum(1)
    for i in range(2):
        for k in range(int(batch.segments[i].max()) + 1):
            inside = batch.segments[i] == k
            assert maps[i][inside].numpy() == pytest.approx(float(drops[i][inside].sum()), abs=1e-4)
    assert maps.numpy() == pytest.approx(
        explainer.on_linear_model(weights, batch).numpy(), abs=1e-4
    )


@pytest.mark.parametrize("samples", [6, 40, 400])
def test_values_add_up_to_the_whole_exactly(samples):
    model, batch = toy_model(), toy_batch()
    maps = KernelShap(samples)(model, batch).maps.double()
    with torch.no_grad():
        whole = model.score(batch.images, batch.targets)
        alone = model.score(fill_images(batch, "dataset_mean"), batch.targets)
    for i, segments in enumerate(batch.segments):
        values = [float(maps[i][segments == k][0]) for k in range(int(segments.max()) + 1)]
        assert sum(values) == pytest.approx(float(whole[i] - alone[i]), abs=1e-6)


class GivenCoalitions(CaptumKernelShap):
    """captum's explainer on the coalitions it is given, both ends first as it takes them."""

    def __init__(self, forward, kept):
        super().__init__(forward)

        def generator(*_, **__):
            yield torch.ones(1, kept.shape[1]).long()
            yield torch.zeros(1, kept.shape[1]).long()
            yield from kept[:, None].long()

        self.perturb_func = generator


@pytest.mark.parametrize("paired", [True, False])
def test_equals_captum_on_the_same_coalitions(paired):
    """captum's weight of 10^6 at both ends is its constraint, up to 1e-4."""
    model, batch = toy_model(), toy_batch(images=2)
    explainer = KernelShap(100, paired, fill="black")
    maps = explainer(model, batch).maps
    for i in range(2):
        kept = explainer.coalitions(batch.take([i])).kept[0]
        peer = GivenCoalitions(model.score, kept).attribute(
            batch.images[i : i + 1],
            baselines=0,
            additional_forward_args=(batch.targets[i : i + 1],),
            feature_mask=batch.segments[i][None, None],
            n_samples=102,
        )
        assert maps[i].numpy() == pytest.approx(peer[0, 0].detach().numpy(), abs=1e-4)
        assert float(peer.detach().std()) > 1e-3


def test_sizes_are_drawn_from_the_kernel():
    """p(z) is proportional to 1 / (z (M - z)); each segment is in half of all coalitions."""
    seeds, numbers = torch.arange(40) + 7, torch.full((40,), 11)
    asked = coalitions(seeds, numbers, 500, paired=False)
    kept = asked.kept
    found = torch.bincount(kept.sum(2).flatten(), minlength=12).double() / kept[:, :, 0].numel()
    wanted = torch.tensor([0.0, *(1 / (z * (11 - z)) for z in range(1, 11)), 0.0])
    assert found.numpy() == pytest.approx((wanted / wanted.sum()).numpy(), abs=0.01)
    assert kept.double().mean((0, 1)).numpy() == pytest.approx(np.full(11, 0.5), abs=0.02)
    assert (asked.weights == 1).all()


def test_pairs_are_complements():
    kept = coalitions(torch.tensor([3, 4]), torch.tensor([12, 9]), 50, paired=True).kept
    assert torch.equal(kept[0, ::2], ~kept[0, 1::2])
    assert torch.equal(kept[1, ::2, :9], ~kept[1, 1::2, :9])
    assert not kept[1, :, 9:].any()


def test_every_coalition_is_asked_once_with_the_kernel_s_weight():
    asked = coalitions(torch.tensor([0]), torch.tensor([4]), 30, paired=True)
    kept, weights = asked.kept, asked.weights
    assert asked.counts.tolist() == [14]
    assert len({tuple(row) for row in kept[0].tolist()}) == 14
    for row, weight in zip(kept[0], weights[0].tolist(), strict=True):
        z = int(row.sum())
        assert weight == pytest.approx(3 / (math.comb(4, z) * z * (4 - z)))


def test_coalitions_follow_the_image_and_not_the_batch():
    """An image with few segments draws the same beside one with many, and in any company."""
    seeds, numbers = torch.tensor([5, 9, 2]), torch.tensor([13, 40, 3])
    together = coalitions(seeds, numbers, 60, paired=True)
    assert together.counts.tolist() == [60, 60, 6]
    for i, (count, number) in enumerate(zip([60, 60, 6], [13, 40, 3], strict=True)):
        alone = coalitions(seeds[i : i + 1], numbers[i : i + 1], 60, paired=True)
        assert torch.equal(together.kept[i, :count, :number], alone.kept[0])


def test_too_few_samples_leave_the_equal_share():
    """Two complements tell two groups apart, nothing within them."""
    kept = torch.tensor([[[True, True, False, False], [False, False, True, True]]])
    values = shapley_values(
        kept, torch.ones(1, 2), torch.tensor([[0.7, 0.1]]), torch.tensor([0.8]), torch.tensor([4])
    )
    assert values[0].tolist() == pytest.approx([0.35, 0.35, 0.05, 0.05])


def test_a_score_that_is_no_number_spoils_its_image_alone():
    model, batch = toy_model(), toy_batch(images=3)
    wanted = KernelShap(40)(model, batch).maps
    batch.images[1, 0, 0, 0] = torch.nan
    batch.shared.clear()
    explanation = KernelShap(40)(model, batch)
    assert explanation.statuses == ("ok", "nan", "ok")
    assert explanation.maps[[0, 2]].numpy() == pytest.approx(wanted[[0, 2]].numpy(), abs=1e-6)


@pytest.mark.parametrize(("samples", "numbers"), [(30, (5, 3, 1)), (64, (20, 4, 7))])
def test_costs_as_it_says(samples, numbers):
    size = (16, 24)
    batch = batch_of(random_images(3, 3, size), segments=few_segments(size, *numbers))
    model = small_cnn(3, size)
    explainer = KernelShap(samples)
    passes = explainer(model, batch).passes
    assert passes == explainer.cost(model, batch)
    assert passes.forward == sum(min(samples, 2**n - 2) for n in numbers)


def test_one_segment_alone_has_the_whole_difference():
    size = (16, 24)
    batch = batch_of(random_images(2, 3, size), segments=torch.zeros(2, *size, dtype=torch.int64))
    model = small_cnn(3, size)
    maps = KernelShap(30, fill="black")(model, batch).maps
    with torch.no_grad():
        change = model.score(batch.images, batch.targets)
        change = change - model.score(batch.images * 0, batch.targets)
    assert maps.numpy() == pytest.approx(change[:, None, None].expand_as(maps).numpy(), abs=1e-6)


def test_pairs_ask_for_an_even_number():
    with pytest.raises(UserError, match="11 samples are no whole number of pairs; make `samples`"):
        KernelShap(11).validate()
    KernelShap(11, paired=False).validate()
