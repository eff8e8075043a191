"""Expected gradients, Blur IG and Guided IG: literal twins, peers, completeness, linear models."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from captum.attr import GradientShap
from scipy.ndimage import gaussian_filter
from toy_images import (
    ODD,
    assert_costs_what_it_says,
    assert_exact_on_linear,
    assert_sound,
    sized_batch,
)

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.engine.blurs import blur_matrices, blurred
from xaibench.explainers.blur_ig import BlurIg
from xaibench.explainers.expected_gradients import ExpectedGradients, path_points
from xaibench.explainers.guided_ig import GuidedIg
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.explainers.shap.base import package as shap
from xaibench.models.timm import Timm

ALL = [ExpectedGradients(6), BlurIg(6), GuidedIg(6)]


def gradient(model, image, target, space="logit"):
    """The gradient at one image, as an array of doubles."""
    at = torch.as_tensor(image).to(model.mean.dtype)[None].clone().requires_grad_()
    model.score(at, target[None], space).backward()
    return at.grad[0].double().numpy()


def score(model, images, targets, space="logit"):
    with torch.no_grad():
        return model.score(images, targets, space)


@pytest.mark.parametrize("explainer", ALL)
def test_costs_a_pass_each_way_a_step(explainer):
    assert_costs_what_it_says(explainer, toy_model(), toy_batch(images=3))


@pytest.mark.parametrize("explainer", ALL)
def test_sound(explainer):
    assert_sound(explainer)


@pytest.mark.parametrize("channels", ["sum", "mean_abs"])
@pytest.mark.parametrize("cls", [ExpectedGradients, BlurIg, GuidedIg])
def test_exact_on_a_linear_model(cls, channels):
    for steps in (1, 6):
        assert_exact_on_linear(cls(steps, channels=channels), sized_batch(ODD))


# Expected gradients


@pytest.mark.parametrize("head", ["softmax", "single_logit", "multilabel", "regression"])
@pytest.mark.parametrize("space", ["logit", "prob"])
def test_expected_gradients_equal_a_loop(head, space):
    model, batch = toy_model(head), toy_batch(images=2)
    maps = ExpectedGradients(6, "sum", space)(model, batch).maps
    chosen, along = path_points(batch.seeds, 4, 6)
    for i, image in enumerate(batch.images.double()):
        total = 0
        for number, a in zip(chosen[i], along[i], strict=True):
            reference = batch.references[number].double()
            at = reference + a * (image - reference)
            g = gradient(model, at, batch.targets[i], space)
            total = total + (image - reference).numpy() * g
        twin = (total / 6).sum(0)
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-5 * np.abs(twin).max())


@pytest.mark.parametrize("samples", [3, 8, 10])
def test_references_are_taken_equally_often_along_the_whole_path(samples):
    seeds = toy_batch(images=3).seeds
    chosen, along = path_points(seeds, 4, samples)
    for numbers, points in zip(chosen.tolist(), along.tolist(), strict=True):
        counts = [numbers.count(r) for r in range(4)]
        assert max(counts) - min(counts) <= 1
        for r in range(4):
            own = sorted(p for p, n in zip(points, numbers, strict=True) if n == r)
            assert [math.floor(p * len(own)) for p in own] == list(range(len(own)))
    assert len({tuple(row) for row in along.tolist()}) == 3


def test_expected_gradients_sum_to_the_change_of_score():
    """And come closer the more samples are taken."""
    model, batch = toy_model(), toy_batch()
    references = batch.reference_images()
    mean = [score(model, references, t.expand(len(references))).mean() for t in batch.targets]
    change = score(model, batch.images, batch.targets) - torch.stack(mean)
    gaps = []
    for samples in (16, 400):
        sums = ExpectedGradients(samples, "sum")(model, batch).maps.sum((1, 2))
        gaps.append(float((sums - change).abs().max() / change.abs().max()))
    assert gaps[1] < 0.01 < gaps[0]


def test_expected_gradients_are_the_mean_of_captum_s_gradient_shap():
    """Whose own draws are noisy: within 5 standard errors of the mean of many, at every pixel."""
    model, batch = toy_model(), toy_batch(images=1)
    ours = ExpectedGradients(2000, "sum")(model, batch).maps[0]
    peer = GradientShap(lambda x, t: model.score(x, t, "logit"))
    repeated = batch.images.expand(40, -1, -1, -1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        np_state = np.random.get_state()
        np.random.seed(0)
        try:
            drawn = peer.attribute(
                repeated,
                baselines=batch.references,
                n_samples=50,
                stdevs=0.0,
                additional_forward_args=(batch.targets.expand(40),),
            )
        finally:
            np.random.set_state(np_state)
    drawn = drawn.sum(1).detach()
    error = drawn.std(0) / 40**0.5
    assert ((ours - drawn.mean(0)).abs() <= 5 * error + 1e-4 * ours.abs().max()).all()


def test_expected_gradients_equal_shap_on_the_same_draws(monkeypatch):
    """shap's GradientExplainer, called image by image, given our references and points."""
    model, batch = toy_model("regression"), toy_batch(images=2)
    chosen, along = path_points(batch.seeds, 4, 8)
    maps = ExpectedGradients(8, "sum")(model, batch).maps
    peer = shap.GradientExplainer(model, batch.references)
    for i in range(2):
        numbers, points = iter(chosen[i].tolist() * 2), iter(along[i].tolist() * 2)
        monkeypatch.setattr(np.random, "choice", lambda _, numbers=numbers: next(numbers))
        monkeypatch.setattr(np.random, "uniform", lambda points=points: next(points))
        values = peer.shap_values(batch.images[i : i + 1], nsamples=8, rseed=0)
        twin = values[0, ..., int(batch.targets[i])].sum(0)
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-5 * np.abs(twin).max())


# Blur Integrated Gradients


@pytest.mark.parametrize("sigma", [0.0, 0.3, 5.0, 50.0])
@pytest.mark.parametrize(("border", "mode"), [("reflect", "reflect"), ("black", "constant")])
def test_blurs_equal_scipy_s(sigma, border, mode):
    """Of all strengths at once, wider than the image among them."""
    images = sized_batch(ODD, images=1).images
    sigmas = torch.tensor([sigma, 2.0, 70.0])
    rows, columns = (blur_matrices(sigmas, side, border) for side in ODD)
    found = blurred(images, rows[:1], columns[:1])
    twin = gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode=mode)
    assert found.numpy() == pytest.approx(twin, abs=1e-6)


@pytest.mark.parametrize("spacing", ["linear", "quadratic"])
@pytest.mark.parametrize(("border", "mode"), [("reflect", "reflect"), ("black", "constant")])
def test_blur_ig_equals_a_loop(spacing, border, mode):
    model, batch = toy_model(), sized_batch(ODD, images=2)
    maps = BlurIg(6, 9.0, spacing, border, "sum")(model, batch).maps
    power = 2 if spacing == "quadratic" else 1
    sigmas = [9.0 * (k / 6) ** power for k in range(7)]
    blur = lambda x, s: gaussian_filter(x, (0, s, s), mode=mode)
    for i, image in enumerate(batch.images.double().numpy()):
        total = 0
        for s, t in pairwise(sigmas):
            g = gradient(model, blur(image, (s + t) / 2), batch.targets[i])
            total = total + g * (blur(image, s) - blur(image, t))
        twin = total.sum(0)
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-5 * np.abs(twin).max())


def test_blur_ig_sums_to_the_change_of_score():
    model, batch = toy_model(), toy_batch()
    sums = BlurIg(400, 5.0, channels="sum")(model, batch).maps.sum((1, 2))
    most = [gaussian_filter(x, (0, 5, 5)) for x in batch.images.double().numpy()]
    least = torch.from_numpy(np.stack(most)).float()
    change = score(model, batch.images, batch.targets) - score(model, least, batch.targets)
    assert (sums - change).abs().max() <= 0.01 * change.abs().max()


# Guided Integrated Gradients


def literal_guided(model, image, baseline, target, steps, fraction, max_dist):
    """The authors' algorithm for one image: groups of values move until a step's L1 is reached."""
    x, end, model = baseline.copy(), image, copy.deepcopy(model).double()
    whole = np.abs(end - baseline).sum()
    attribution = np.zeros_like(image)
    for step in range(1, steps + 1):
        g = gradient(model, x, target)
        alpha = step / steps
        lowest, highest = max(alpha - max_dist, 0), min(alpha + max_dist, 1)
        x_min = baseline + lowest * (end - baseline)
        x_max = baseline + highest * (end - baseline)
        wanted = whole * (1 - alpha)
        begun = x.copy()
        with np.errstate(divide="ignore", invalid="ignore"):
            done = np.where(end != baseline, (x - baseline) / (end - baseline), highest)
        x = np.where(done < lowest, x_min, x)
        while np.abs(end - x).sum() > wanted + 1e-9:
            size = np.where(np.isclose(x, x_max, rtol=0, atol=1e-12), np.inf, np.abs(g))
            limit = np.quantile(size, fraction, method="lower")
            chosen = (size <= limit) & np.isfinite(size)
            reach = np.abs(x_max - x)[chosen].sum()
            gap = np.abs(end - x).sum() - wanted
            share = min(1.0, gap / reach)
            x = np.where(chosen, x + share * (x_max - x), x)
        attribution += g * (x - begun)
    return attribution


@pytest.mark.parametrize(
    ("fraction", "max_dist"), [(0.25, 0.02), (0.1, 1.0), (1.0, 0.5), (0.5, 0.1)]
)
@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_guided_ig_equals_the_authors_algorithm(fraction, max_dist, size):
    model, batch = toy_model("single_logit"), sized_batch(size, images=2)
    batch.images[0, :, :6] = 0  # at the baseline already
    maps = GuidedIg(8, fraction, max_dist, channels="sum")(model, batch).maps
    for i, image in enumerate(batch.images.double().numpy()):
        twin = literal_guided(
            model, image, np.zeros_like(image), batch.targets[i], 8, fraction, max_dist
        ).sum(0)
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-6 * np.abs(twin).max())
        assert (maps[i, :6] == 0).all() == (i == 0)


def test_guided_ig_of_a_residual_network_does_not_hang_on_the_batch():
    """In single precision the order of gradients, and a sixth of the largest value, does."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Timm("resnet10t", weights="none").build(
            task="binary", classes=("a", "b"), channels=3, size=(64, 64)
        )
    batch = sized_batch((64, 64), images=3)
    whole = GuidedIg(8)(model.eval(), batch).maps
    alone = torch.cat([GuidedIg(8)(model, batch.take([i])).maps for i in range(3)])
    assert (whole - alone).abs().max() <= 1e-6 * whole.abs().max()


def test_guided_ig_without_leeway_is_integrated_gradients():
    """By the left rule: gradients at 0, 1/n, ... of the straight path."""
    model, batch = toy_model(), toy_batch(images=2)
    guided = GuidedIg(200, max_dist=0.0, channels="sum")(model, batch).maps
    straight = IntegratedGradients(200, channels="sum")(model, batch).maps
    assert guided == pytest.approx(straight, abs=0.02 * float(straight.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("baseline", ["black", "dataset_mean"])
def test_guided_ig_sums_to_the_change_of_score(baseline):
    """But for what values run ahead and behind within a step, of the order of ``max_dist``."""
    model, batch = toy_model(), toy_batch()
    explainer = GuidedIg(400, max_dist=0.0025, baseline=baseline, channels="sum")
    sums = explainer(model, batch).maps.sum((1, 2))
    begin = fill_images(batch, baseline)
    change = score(model, batch.images, batch.targets) - score(model, begin, batch.targets)
    assert (sums - change).abs().max() <= 0.01 * change.abs().max()


def test_guided_ig_of_the_baseline_itself_is_nothing():
    model, batch = toy_model(), toy_batch(images=1)
    batch.images.zero_()
    assert (GuidedIg(4)(model, batch).maps == 0).all()
