"""RISE against a literal twin of the paper's masks, image by image and mask by mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from odd_subjects import batch_of, linear_model, linear_weights, random_images, small_cnn
from skimage.transform import resize

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.explainers.rise import Rise


def literal_masks(kept, shifts, size):
    """Petsiuk et al., 3.2: upsample to (s + 1) cells, cut out a window at a random shift."""
    cells = kept.shape[-1]
    height, width = -(-size[0] // cells), -(-size[1] // cells)
    masks = []
    for grid, (top, left) in zip(kept, shifts.tolist(), strict=True):
        large = ((cells + 1) * height, (cells + 1) * width)
        mask = resize(grid.double().numpy(), large, 1, mode="reflect", anti_aliasing=False)
        masks.append(mask[top : top + size[0], left : left + size[1]])
    return torch.from_numpy(np.stack(masks))


def literal_map(explainer, model, batch, i):
    """Equation 6, one mask after the other, in float64."""
    masks = explainer.random_masks(batch.take([i]))
    size = tuple(batch.images.shape[2:])
    fill = fill_images(batch, explainer.fill)[i].double()
    image, total, kept = batch.images[i].double(), torch.zeros(size).double(), 0.0
    for mask in literal_masks(masks.kept[0], masks.shifts[0], size):
        copy = image * mask + fill * (1 - mask)
        with torch.no_grad():
            score = model.score(copy[None].float(), batch.targets[i : i + 1], explainer.space)
        total += float(score) * mask
        kept = kept + mask
    if explainer.normalise == "sum":
        return total / kept
    return total / (explainer.masks * explainer.keep)


@pytest.mark.parametrize(
    ("head", "channels", "size"),
    [("softmax", 3, (33, 47)), ("single_logit", 1, (24, 40)), ("regression", 3, (32, 32))],
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalise": "sum", "fill": "black", "space": "logit"},
        {"cells": 5, "keep": 0.2, "fill": "blur"},
    ],
)
def test_equals_the_literal_twin(head, channels, size, options):
    model = small_cnn(channels, size, head=head)
    batch = batch_of(random_images(3, channels, size))
    explainer = Rise(40, **options)
    maps = explainer(model, batch).maps
    for i in range(len(batch)):
        twin = literal_map(explainer, model, batch, i)
        assert maps[i].numpy() == pytest.approx(twin.numpy(), rel=1e-5, abs=1e-5)
        assert np.ptp(twin.numpy()) > 1e-3


def test_a_linear_model_in_closed_form():
    """S = 1 / (p N) sum_n (f(fill) + <w (x - fill), m_n>) m_n, without any pass."""
    size = (20, 28)
    model, batch = linear_model(3, size), batch_of(random_images(2, 3, size))
    explainer = Rise(60, space="logit", fill=0.25)
    maps = explainer(model, batch).maps
    fills = torch.full_like(batch.images, 0.25)
    with torch.no_grad():
        alone = model.score(fills, batch.targets, "logit")
    drops = (linear_weights(model, batch) * (batch.images - fills)).sum(1)
    masks = explainer.random_masks(batch)
    for i in range(2):
        m = literal_masks(masks.kept[i], masks.shifts[i], size)
        scores = alone[i] + (m * drops[i]).sum((1, 2))
        wanted = (scores[:, None, None] * m).sum(0) / (60 * 0.5)
        assert maps[i].numpy() == pytest.approx(wanted.numpy(), rel=1e-4, abs=1e-4)


def test_masks_of_one_cell_show_or_hide_the_whole_image():
    model, batch = toy_model(), toy_batch(images=2)
    explainer = Rise(30, cells=1, fill="black")
    maps = explainer(model, batch).maps
    shown = explainer.random_masks(batch).kept.flatten(1).float().mean(1)
    with torch.no_grad():
        scores = model.score(batch.images, batch.targets)
    wanted = (scores * shown / 0.5)[:, None, None].expand_as(maps)
    assert maps.numpy() == pytest.approx(wanted.numpy(), rel=1e-5)


def test_shares_of_kept_cells_and_shifts_are_as_drawn():
    masks = Rise(400, cells=4, keep=0.3).random_masks(batch_of(random_images(3)))
    assert float(masks.kept.float().mean()) == pytest.approx(0.3, abs=0.01)
    assert masks.shifts.amin((0, 1)).tolist() == [0, 0]
    assert masks.shifts.amax((0, 1)).tolist() == [8, 11]  # cells of 9 x 12 pixels
    assert not torch.equal(masks.kept[0], masks.kept[1])


def test_masks_follow_the_image_s_seed_and_not_its_place():
    batch = batch_of(random_images(3))
    whole, alone = (Rise(20).random_masks(b) for b in (batch, batch.take([2])))
    assert torch.equal(whole.kept[2], alone.kept[0])
    assert torch.equal(whole.shifts[2], alone.shifts[0])


def test_more_masks_than_one_product_holds():
    model, batch = toy_model(), toy_batch(images=2)
    explainer = Rise(300, cells=3)
    twin = literal_map(explainer, model, batch, 1)
    assert explainer(model, batch).maps[1].numpy() == pytest.approx(twin.numpy(), rel=1e-4)


def test_costs_one_pass_a_mask():
    model, batch = toy_model(), toy_batch()
    passes = Rise(50)(model, batch).passes
    assert passes == Rise(50).cost(model, batch)
    assert (passes.forward, passes.backward) == (50 * 5, 0)
