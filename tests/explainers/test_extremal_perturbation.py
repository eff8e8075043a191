"""Extremal perturbation against a literal twin of its formulas, image by image, by torch's SGD."""

from __future__ import annotations

import math

import pytest
import torch
from odd_subjects import batch_of, linear_model, linear_weights, random_images, small_cnn
from torchvision.transforms.v2.functional import gaussian_blur

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import SmoothMasks, area_excess, blur_levels, degraded, fill_images
from xaibench.explainers.extremal_perturbation import ExtremalPerturbation


def literal_mask(parameters, size, step, sigma):
    """Fong et al., equation 5, pixel by pixel over the points of the grid around it."""
    rows, columns = parameters.shape
    radius = 1 + math.ceil(sigma)
    pixels = []
    for y in range(size[0]):
        for x in range(size[1]):
            f = []
            for i in range(y // step - radius, y // step + radius + 1):
                for j in range(x // step - radius, x // step + radius + 1):
                    cy, cx = (i + 0.5) * step - 0.5, (j + 0.5) * step - 0.5
                    z = math.hypot(y - cy, x - cx) / (sigma * step)
                    inside = 0 <= i < rows and 0 <= j < columns
                    value = parameters[i, j] if inside else parameters.new_zeros(())
                    f.append(math.exp(-2 * max(0.0, z - 0.5) ** 2) * value)
            f = torch.stack(f)
            pixels.append((f * torch.exp(20 * f)).sum() / torch.exp(20 * f).sum())
    return torch.stack(pixels).view(size)


@pytest.mark.parametrize(("size", "step", "sigma"), [((5, 8), 1, 1.0), ((9, 7), 3, 0.6)])
def test_smooth_masks_equal_the_literal_formula(size, step, sigma):
    smooth = SmoothMasks(size, step, sigma)
    parameters = torch.rand(2, *smooth.grid, generator=torch.Generator().manual_seed(0))
    masks = smooth.masks(parameters, smooth.kernel(torch.device("cpu")))
    for ours, own in zip(masks, parameters, strict=True):
        twin = literal_mask(own, size, step, sigma)
        assert ours.numpy() == pytest.approx(twin.numpy(), abs=1e-6)


def test_images_between_two_levels_of_blur():
    images = random_images(2, 3, (12, 17))
    levels = blur_levels(images, 2.0, 5)
    assert torch.equal(levels[:, -1], images)
    assert torch.allclose(levels[:, 0], gaussian_blur(images, [13, 13], [2.0, 2.0]))
    masks = torch.rand(2, 12, 17, generator=torch.Generator().manual_seed(0))
    masks[0, 0, :3] = torch.tensor([0.0, 1.0, 0.5])
    ours = degraded(levels, masks)
    for i, y, x in [(0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 5, 9), (1, 11, 16)]:
        at = float(masks[i, y, x]) * 4
        low = min(int(at), 3)
        twin = (1 - at + low) * levels[i, low, :, y, x] + (at - low) * levels[i, low + 1, :, y, x]
        assert ours[i, :, y, x].numpy() == pytest.approx(twin.numpy(), abs=1e-6)
    assert torch.allclose(ours[0, :, 0, 2], levels[0, 2, :, 0, 2])


def literal_excess(mask, area):
    """Equation 4: |vecsort(m) - r_a|^2, ties sharing the mean of what is asked of them."""
    values = mask.flatten().sort().values
    number = len(values)
    wanted = [0.0 if k < int(number * (1 - area)) else 1.0 for k in range(number)]
    start, known = 0, values.tolist()
    for k in range(1, number + 1):
        if k == number or known[k] - known[k - 1] > 1e-6:
            wanted[start:k] = [sum(wanted[start:k]) / (k - start)] * (k - start)
            start = k
    return ((values - torch.tensor(wanted)) ** 2).mean()


@pytest.mark.parametrize("area", [0.1, 0.35])
def test_the_area_s_term_equals_the_literal_formula(area):
    masks = torch.rand(3, 6, 9, generator=torch.Generator().manual_seed(0))
    masks[1, :4] = 0.5  # ties
    masks[2] = 0.7
    ours = area_excess(masks, torch.full((3,), area))
    twin = [float(literal_excess(mask, area)) for mask in masks]
    assert ours.tolist() == pytest.approx(twin, rel=1e-5)
    share = 1 - int(54 * (1 - area)) / 54
    assert float(ours[2]) == pytest.approx((0.7 - share) ** 2, rel=1e-5)


def test_a_model_that_sees_nothing_prefers_no_place():
    model, batch = linear_model(1, (12, 12)), batch_of(random_images(1, 1, (12, 12)))
    with torch.no_grad():
        model.net[1].weight.zero_()
    mask = ExtremalPerturbation(steps=40, rate=0.2, cells=4, sigma=0.4)(model, batch).maps[0]
    assert torch.allclose(mask, mask.flip(0), atol=1e-4)
    assert torch.allclose(mask, mask.flip(1), atol=1e-4)


def literal_map(model, batch, i, explainer):
    """One image and one area after the other, the regulariser and the steps as in the paper."""
    size = tuple(batch.images.shape[2:])
    side = min(size)
    smooth = SmoothMasks(size, max(1, round(side / explainer.cells)), explainer.sigma)
    kernel = smooth.kernel(torch.device("cpu"))
    image, target = batch.images[i : i + 1], batch.targets[i : i + 1]
    if explainer.fill == "graded_blur":
        levels = blur_levels(image, 20 / 224 * side, 8)
    else:
        levels = None
        hidden = fill_images(batch, explainer.fill)[i : i + 1]
    found = []
    for area in explainer.areas:
        parameters = torch.ones(1, *smooth.grid, requires_grad=True)
        optimiser = torch.optim.SGD([parameters], lr=explainer.rate, momentum=0.9, dampening=0.9)
        weight = 300.0
        for _ in range(explainer.steps):
            mask = smooth.masks(parameters, kernel)
            if levels is None:
                x = mask[:, None] * image + (1 - mask[:, None]) * hidden
            else:
                x = degraded(levels, mask)
            regulariser = literal_excess(mask[0], area)
            energy = model.score(x, target, explainer.space)[0] - weight * regulariser
            optimiser.zero_grad()
            (-energy).backward()
            optimiser.step()
            with torch.no_grad():
                parameters.clamp_(0, 1)
            weight *= 1.0035 ** (800 / explainer.steps)
        found.append(smooth.masks(parameters.detach(), kernel)[0])
    return torch.stack(found).mean(0)


@pytest.mark.parametrize(
    ("head", "channels", "size"), [("softmax", 3, (21, 34)), ("single_logit", 1, (24, 16))]
)
@pytest.mark.parametrize(
    "options",
    [
        {"cells": 8, "sigma": 1.0},
        {"areas": (0.2, 0.05), "fill": "black", "space": "prob", "cells": 6, "sigma": 1.5},
    ],
)
def test_equals_the_literal_twin(head, channels, size, options):
    model = small_cnn(channels, size, head=head)
    batch = batch_of(random_images(3, channels, size))
    explainer = ExtremalPerturbation(steps=8, rate=0.15, **options)
    maps = explainer(model, batch).maps
    for i in range(3):
        twin = literal_map(model, batch, i, explainer)
        assert maps[i].numpy() == pytest.approx(twin.numpy(), abs=1e-4)
        assert float(twin.max() - twin.min()) > 0.01


def test_a_linear_model_keeps_the_square_that_carries_the_score():
    """All weight lies on 6 x 6 of 24 x 24 pixels: an area of 1 / 16 is that square."""
    size = (24, 24)
    model = linear_model(1, size)
    with torch.no_grad():
        model.net[1].weight.zero_()
        square = torch.zeros(*size)
        square[6:12, 12:18] = 1
        model.net[1].weight += square.flatten()
    images = torch.full((1, 1, *size), 0.5) + 0.4 * square
    batch = batch_of(images, targets=torch.zeros(1, dtype=torch.int64))
    explainer = ExtremalPerturbation(areas=(1 / 16,), sigma=0.5, cells=24, fill="black")
    mask = explainer(model, batch).maps[0]
    inside = square.bool()
    assert float(mask[inside].mean()) > 0.9
    assert float(mask[~inside].mean()) < 0.02
    assert linear_weights(model, batch)[0, 0][~inside].abs().max() == 0


@pytest.mark.parametrize("area", [0.1, 0.3])
def test_the_mask_has_the_area_that_is_asked_for(area):
    explainer = ExtremalPerturbation(areas=(area,), steps=60, rate=0.13, cells=16, sigma=2.0)
    maps = explainer(toy_model(), toy_batch(images=2)).maps
    assert 0 <= float(maps.min()) <= float(maps.max()) <= 1
    assert maps.mean((1, 2)).numpy() == pytest.approx([area, area], abs=0.03)


def test_an_image_s_mask_is_its_own_whatever_the_batch():
    model, batch = toy_model(), toy_batch(images=3)
    explainer = ExtremalPerturbation(areas=(0.1, 0.2), steps=15, rate=0.5, cells=8, sigma=1.0)
    whole = explainer(model, batch).maps
    model.batch_size = 4  # areas of an image in different parts
    parts = explainer(model, batch).maps
    alone = explainer(model, batch.take([2])).maps[0]
    assert parts.numpy() == pytest.approx(whole.numpy(), abs=1e-5)
    assert alone.numpy() == pytest.approx(whole[2].numpy(), abs=1e-5)


def test_costs_as_it_says_and_leaves_the_model_alone():
    model, batch = toy_model(), toy_batch(images=2)
    explainer = ExtremalPerturbation(areas=(0.1, 0.2, 0.3), steps=4, cells=4, sigma=0.5)
    passes = explainer(model, batch).passes
    assert passes == explainer.cost(model, batch)
    assert (passes.forward, passes.backward) == (24, 24)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not batch.images.requires_grad
