"""Infidelity: captum with the same perturbations, loops over them, closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from subjects import images_batch, linear_model, net_model, signed_maps

from xaibench.engine import NoiseRemoved, SquaresRemoved, fill_images
from xaibench.metrics.infidelity import Infidelity
from xaibench.randomness import NEIGHBOURHOOD, copy_seeds, random_normal

SIZE = (15, 18)


def squares(batch, i, samples, largest=0.35):
    boxes = SquaresRemoved(samples, largest, "black")._boxes(batch.seeds[i : i + 1], SIZE)[0]
    masks = torch.zeros(samples, *SIZE)
    for mask, (top, bottom, left, right) in zip(masks, boxes.tolist(), strict=True):
        assert 0 <= top < bottom <= SIZE[0]
        assert 0 <= left < right <= SIZE[1]
        assert bottom - top == right - left <= math.floor(largest * 15 + 0.5)
        mask[top:bottom, left:right] = 1
    return masks


def noise(batch, i, samples, sigma=0.1):
    seeds = copy_seeds(batch.seeds[i : i + 1].repeat(samples), torch.arange(samples))
    return sigma * random_normal(seeds, 270, NEIGHBOURHOOD).view(samples, *SIZE)


@pytest.mark.parametrize("scale", ["optimal", "none"])
@pytest.mark.parametrize("kind", ["square", "noise"])
def test_equals_captum_with_the_same_perturbations(kind, scale):
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    maps, samples = signed_maps(batch), 9
    metric = Infidelity(kind, samples, scale=scale, space="logit")
    values = metric.score(model, batch, maps).values["infidelity"]
    fills = fill_images(batch, "dataset_mean")

    for i in range(3):

        def perturb(images, i=i):
            if kind == "square":
                masks = squares(batch, i, samples)[:, None].expand(-1, 3, -1, -1)
                return masks, torch.where(masks > 0, fills[i], images)
            taken = noise(batch, i, samples).float()[:, None].expand(-1, 3, -1, -1)
            return taken, images - taken

        theirs = captum_infidelity(
            model, perturb, batch.images[i : i + 1],
            maps[i].expand(1, 3, -1, -1) / 3,  # a third for each channel
            target=int(batch.targets[i]), n_perturb_samples=samples, normalize=scale == "optimal",
        )  # fmt: skip
        assert values[i].item() == pytest.approx(theirs.item(), rel=1e-3)


@torch.no_grad()
def test_equals_loop_over_squares():
    model, batch = net_model("single_logit", size=SIZE), images_batch(size=SIZE, images=2)
    maps = signed_maps(batch)
    values = Infidelity(samples=6, fill="black").score(model, batch, maps).values["infidelity"]
    for i in range(2):
        f = lambda x, i=i: model.score(x[None], batch.targets[i : i + 1]).item()
        foretold, drops = [], []
        for mask in squares(batch, i, 6):
            foretold.append((mask.double() * maps[i]).sum().item())
            drops.append(f(batch.images[i]) - f(batch.images[i] * (1 - mask)))
        beta = sum(a * b for a, b in zip(foretold, drops, strict=True)) / sum(
            a * a for a in foretold
        )
        error = [(beta * a - b) ** 2 for a, b in zip(foretold, drops, strict=True)]
        assert values[i].item() == pytest.approx(sum(error) / 6, abs=1e-6)


def test_linear_model_in_closed_form():
    """Contributions foretell squares, summed weights foretell noise, in any unit if scaled."""
    batch = images_batch(size=SIZE)
    batch.targets.zero_()
    weights = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(0)) / 10
    model = linear_model(weights)
    exact = (weights * (batch.images - fill_images(batch, "dataset_mean"))).sum(1)
    slope = weights.sum(0).expand(3, -1, -1)
    for metric, maps in (
        (Infidelity(scale="none"), exact), (Infidelity(), -7 * exact),
        (Infidelity("noise", scale="none"), slope), (Infidelity("noise"), 0.01 * slope),
    ):  # fmt: skip
        found = metric.score(model, batch, maps).values["infidelity"]
        assert found.tolist() == pytest.approx([0.0] * 3, abs=1e-9)
    doubled = Infidelity(scale="none").score(model, batch, 2 * exact).values["infidelity"]
    nothing = Infidelity().score(model, batch, 0 * exact).values["infidelity"]
    sums = SquaresRemoved(100, 0.35, "dataset_mean").explained(batch, exact)
    assert doubled.tolist() == pytest.approx(sums.square().mean(1).tolist(), rel=1e-3)
    assert nothing.tolist() == pytest.approx(sums.square().mean(1).tolist(), rel=1e-3)


def test_noise_foretells_what_its_sum_with_the_map_is():
    batch = images_batch(size=SIZE)
    maps = signed_maps(batch)
    found = NoiseRemoved(4, 0.1).explained(batch.take([1, 0, 1]), maps[[1, 0, 2]])
    for row, (image, one) in enumerate([(1, 1), (0, 0), (1, 2)]):
        literal = [(n * maps[one]).sum().item() for n in noise(batch, image, 4)]
        assert found[row].tolist() == pytest.approx(literal, abs=1e-9)


def test_its_protocol_direction_and_bounds():
    said = "infidelity[fill=dataset_mean,largest=0.35,perturbation=square,samples=100,"
    assert Infidelity().protocol("infidelity", "s") == f"{said}scale=optimal,score=prob]"
    said = "infidelity[perturbation=noise,samples=100,scale=optimal,score=prob,sigma=0.1]"
    assert Infidelity("noise").protocol("infidelity", "s") == said
    assert Infidelity().direction("infidelity") is False
    assert Infidelity().bounds == (0.0, 1.0)
    assert Infidelity(scale="none").bounds == Infidelity(space="logit").bounds == (0.0, math.inf)
