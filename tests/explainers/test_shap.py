"""The family shap: the package called directly, image by image; literal twins; linear models."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from toy_images import (
    ODD,
    assert_costs_what_it_says,
    assert_exact_on_linear,
    assert_sound,
    linear_model,
    sized_batch,
)

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.explainers.shap.base import numpy_seeded
from xaibench.explainers.shap.base import package as shap
from xaibench.explainers.shap.gradient import Gradient
from xaibench.explainers.shap.kernel import Kernel
from xaibench.explainers.shap.partition import Partition
from xaibench.explainers.shap.permutation import Permutation

ALL = [Gradient(12), Partition(20), Permutation(2), Kernel(300)]
HEADS = ["softmax", "single_logit", "multilabel", "regression"]


def few_segments(batch, count):
    """The batch with ``count`` segments an image, bands of rows."""
    height, width = batch.images.shape[2:]
    bands = (torch.arange(height) * count // height)[:, None].expand(len(batch), height, width)
    return replace(batch, segments=bands.contiguous())


def all_scores(model, images, space="prob"):
    """Scores of every class: what a user of the package hands it."""
    with torch.no_grad():
        targets = range(2)
        of = lambda t: model.score(images, torch.full((len(images),), t), space)
        return torch.stack([of(t) for t in targets], dim=1).double().numpy()


COMPILED = ("shap.partition", "shap.permutation")  # numba compiles them first, for seconds


@pytest.mark.parametrize(
    "explainer",
    [pytest.param(e, marks=[pytest.mark.slow] * (e.name in COMPILED), id=e.name) for e in ALL],
)
def test_sound(explainer):
    assert_sound(explainer)


@pytest.mark.parametrize("explainer", [*ALL, Partition(21)], ids=lambda e: e.name)
def test_costs_what_it_says(explainer):
    assert_costs_what_it_says(explainer, toy_model(), toy_batch(images=2))


@pytest.mark.parametrize("explainer", [Gradient(12), Permutation(2), Kernel(300)])
def test_exact_on_a_linear_model(explainer):
    assert_exact_on_linear(explainer, few_segments(sized_batch(ODD), 6))


@pytest.mark.parametrize("explainer", ALL, ids=lambda e: e.name)
def test_leaves_numpy_s_generator_as_it_was(explainer):
    np.random.seed(1)
    wanted = np.random.random()
    np.random.seed(1)
    explainer(toy_model(), toy_batch(images=2))
    assert np.random.random() == wanted


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("channels", ["sum", "mean_abs"])
def test_gradient_equals_the_package(head, channels):
    model, batch = toy_model(head), toy_batch(images=2)
    maps = Gradient(12, channels, "prob")(model, batch).maps

    class Scores(torch.nn.Module):
        def forward(self, images):
            of = lambda t: model.score(images, torch.full((len(images),), t))
            return torch.stack([of(0), of(1)], dim=1)

    peer = shap.GradientExplainer(Scores(), batch.references)
    for i in range(2):
        with numpy_seeded(0):
            seed = int(batch.seeds[i]) % 2**32
            values = peer.shap_values(batch.images[i : i + 1], nsamples=12, rseed=seed)
        twin = values[0, ..., int(batch.targets[i])]
        twin = twin.sum(0) if channels == "sum" else np.abs(twin).mean(0)
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-5 * np.abs(twin).max())


@pytest.mark.parametrize("head", ["softmax", "single_logit"])
def test_partition_equals_the_package(head):
    """The score of the target alone, since the package divides by the largest change of any."""
    model, batch = toy_model(head), sized_batch(ODD, images=2)
    maps = Partition(60, 10, 0.4)(model, batch).maps
    masker = shap.maskers.Image(np.full((*ODD, 3), 0.4, np.float32))
    for i in range(2):
        target = int(batch.targets[i])
        images = batch.images[i : i + 1].permute(0, 2, 3, 1).numpy()
        score = lambda x, target=target: all_scores(model, torch.from_numpy(x).permute(0, 3, 1, 2))[
            :, target
        ]
        with numpy_seeded(int(batch.seeds[i])):
            peer = shap.PartitionExplainer(score, masker)
            twin = peer(images, max_evals=60, batch_size=10, silent=True).values[0].sum(-1)
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-5 * np.abs(twin).max())
        both = torch.stack([batch.images[i], torch.full((3, *ODD), 0.4)])
        whole, none = all_scores(model, both)[:, target]
        assert float(maps[i].sum()) == pytest.approx(whole - none, abs=1e-5)


def test_partition_to_the_last_pixel_of_a_linear_model():
    """Where the tree is divided to its end, a value's share is w (x - fill)."""
    batch = sized_batch((4, 3), channels=1, images=2)
    model, weights = linear_model(batch)
    maps = Partition(4000, fill=0.2)(model, batch).maps
    assert Partition(4000).cost(model, batch) is None
    twin = ((batch.images - 0.2) * weights).sum(1)
    assert maps == pytest.approx(twin, abs=1e-5 * float(twin.abs().max()))


def shapley(game, count):
    """Mean change of a game as each player joins, over all orders."""
    total = np.zeros(count)
    orders = list(permutations(range(count)))
    for order in orders:
        kept, before = np.zeros(count), game(np.zeros(count))
        for player in order:
            kept[player] = 1
            after = game(kept)
            total[player] += after - before
            before = after
    return total / len(orders)


@pytest.mark.parametrize("head", HEADS)
def test_kernel_of_all_coalitions_is_the_shapley_value(head):
    model, batch = toy_model(head), few_segments(toy_batch(images=2), 4)
    maps = Kernel(100, 0.4)(model, batch).maps
    fills = fill_images(batch, 0.4)
    for i, segments in enumerate(batch.segments):

        def game(kept, i=i, segments=segments):
            shown = torch.from_numpy(kept)[segments] > 0
            mixed = torch.where(shown, batch.images[i], fills[i])
            return all_scores(model, mixed[None])[0, int(batch.targets[i])]

        twin = shapley(game, 4)[segments]
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-5 * np.abs(twin).max())


def peer_values(kind, model, batch, i, count):
    """What the package gives for one image, masks made and scored by hand."""
    fills, segments = fill_images(batch, 0.4), batch.segments[i]

    def game(kept):
        shown = torch.from_numpy(kept)[:, segments] > 0.5
        mixed = torch.where(shown[:, None], batch.images[i], fills[i])
        return all_scores(model, mixed)[:, int(batch.targets[i])]

    seed, ones = int(batch.seeds[i]), np.ones((1, count))
    with numpy_seeded(seed):
        if kind == "kernel":
            peer = shap.KernelExplainer(game, np.zeros((1, count)))
            return peer.shap_values(ones, nsamples=120, l1_reg=False, silent=True)[0]
        masker = shap.maskers.Independent(np.zeros((1, count)))
        peer = shap.PermutationExplainer(game, masker, seed=seed % 2**32)
        return peer(ones, max_evals=2 * (2 * count + 1)).values[0]


@pytest.mark.parametrize("kind", ["kernel", "permutation"])
def test_on_segments_equals_the_package(kind):
    model, batch = toy_model(), few_segments(toy_batch(images=2), 12)
    explainer = Kernel(120, 0.4) if kind == "kernel" else Permutation(2, 0.4)
    maps = explainer(model, batch).maps
    for i, segments in enumerate(batch.segments):
        twin = peer_values(kind, model, batch, i, 12)[segments]
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-5 * np.abs(twin).max())
        assert len(np.unique(twin)) > 6


def test_kernel_of_too_few_samples_still_gives_a_map():
    model, batch = toy_model(), few_segments(toy_batch(images=1), 12)
    explainer = Kernel(4)
    assert explainer(model, batch).maps.isfinite().all()
    assert explainer.on_linear_model(batch.images, batch) is None


def test_kernel_cannot_say_its_cost_where_coalitions_may_be_drawn_twice():
    model, batch = toy_model(), few_segments(toy_batch(images=1), 8)
    assert Kernel(200).cost(model, batch) is None  # of 254
    assert_costs_what_it_says(Kernel(300), model, batch)
    assert_costs_what_it_says(Kernel(2), model, few_segments(batch, 1))
