"""Hierarchical perturbation against a literal twin: block by block, level by level."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from odd_subjects import batch_of, linear_model, linear_weights, random_images, small_cnn
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.explainers.hierarchical_perturbation import HierarchicalPerturbation


def literal_map(model, batch, i, *, finest=2, fill="block_mean", space="prob"):
    """Cooper et al., section 3, and how many copies it asks for."""
    image, target = batch.images[i], batch.targets[i : i + 1]
    height, width = image.shape[1:]
    side = min(height, width)
    score = lambda x: float(model.score(x[None], target, space))
    hidden = None if fill == "block_mean" else fill_images(batch, fill)[i]
    relevance, passes = torch.zeros(height, width), 0
    cells = int(math.ceil(math.log2(side)) / 2)
    for level in range(99):
        cells *= 2
        if level and side / cells < finest:
            break
        low, high = float(relevance.min()), float(relevance.max())
        if level and low == high:
            break
        added = torch.zeros(height, width)
        for y in range(-1, cells):
            for x in range(-1, cells):
                block = torch.zeros(1, 1, cells, cells)
                block[..., max(0, y) : y + 2, max(0, x) : x + 2] = 1
                block = F.interpolate(block, (height, width), mode="nearest")[0, 0] > 0
                if level and float(relevance[block].max()) < low + (high - low) / 2:
                    continue
                copy = image.clone()
                for channel in range(len(copy)):
                    mean = copy[channel][block].mean()
                    copy[channel][block] = mean if hidden is None else hidden[channel][block]
                with torch.no_grad():
                    added[block] += max(0.0, score(image) - score(copy))
                passes += 1
        relevance += added
    return relevance, passes


@pytest.mark.parametrize(
    ("head", "channels", "size"),
    [("softmax", 3, (21, 34)), ("single_logit", 1, (24, 16)), ("multilabel", 3, (32, 32))],
)
@pytest.mark.parametrize("options", [{}, {"fill": "black", "space": "logit", "finest": 3}])
def test_equals_the_literal_twin(head, channels, size, options):
    model = small_cnn(channels, size, head=head)
    batch = batch_of(random_images(3, channels, size))
    explanation = HierarchicalPerturbation(**options)(model, batch)
    twins = [literal_map(model, batch, i, **options) for i in range(3)]
    for ours, (twin, _) in zip(explanation.maps, twins, strict=True):
        # Scores, and so their differences, are rounded at the size of scores.
        assert ours.numpy() == pytest.approx(twin.numpy(), abs=1e-5 * max(1, float(twin.max())))
        assert np.ptp(twin.numpy()) > 1e-3
    assert explanation.passes.forward == sum(passes for _, passes in twins)


def test_the_first_level_of_a_linear_model_in_closed_form():
    """relu(sum over the block of w (x - fill)), over the four blocks of each cell."""
    size = (12, 20)
    model, batch = linear_model(1, size), batch_of(random_images(2, 1, size))
    maps = HierarchicalPerturbation(finest=3, fill=0.5, space="logit")(model, batch).maps
    drops = (linear_weights(model, batch) * (batch.images - 0.5)).sum(1)
    cells = F.avg_pool2d(drops[:, None], (3, 5))[:, 0] * 15  # 4 x 4 cells of 3 x 5 pixels
    blocks = (F.avg_pool2d(F.pad(cells, (1, 1, 1, 1))[:, None], 2, 1)[:, 0] * 4).relu()
    around = F.avg_pool2d(blocks[:, None], 2, 1)[:, 0] * 4
    wanted = around.repeat_interleave(3, 1).repeat_interleave(5, 2)
    assert maps.numpy() == pytest.approx(wanted.numpy(), abs=1e-4)


@pytest.mark.parametrize(
    ("side", "levels"), [(224, [8, 16, 32, 64]), (96, [6, 12, 24, 48]), (32, [4, 8, 16]), (3, [2])]
)
def test_levels_are_the_paper_s(side, levels):
    assert HierarchicalPerturbation()._levels(side) == levels


def test_an_image_that_no_block_changes_ends_at_the_first_level():
    model = toy_model()
    batch = toy_batch(images=2)
    batch.images.fill_(0.4)
    explanation = HierarchicalPerturbation()(model, batch)
    assert explanation.statuses == ("constant", "constant")
    assert explanation.passes.forward == 2 * 25


def test_images_refine_each_where_it_is_found():
    model, batch = toy_model(), toy_batch()
    batch.images[2] = 0.4
    explainer = HierarchicalPerturbation()
    whole = explainer(model, batch)
    single = [explainer(model, batch.take([i])) for i in range(5)]
    for i, one in enumerate(single):
        assert one.maps[0].numpy() == pytest.approx(whole.maps[i].numpy(), abs=1e-5)
    assert sum(one.passes.forward for one in single) == whole.passes.forward
    assert len({one.passes.forward for one in single}) > 2
    assert explainer.cost(model, batch) is None


def test_a_score_that_is_no_number_spoils_its_image_alone():
    model, batch = toy_model(), toy_batch(images=3)
    wanted = HierarchicalPerturbation()(model, batch).maps
    batch.images[1, 0, 0, 0] = torch.nan
    batch.shared.clear()
    explanation = HierarchicalPerturbation()(model, batch)
    assert explanation.statuses == ("ok", "nan", "ok")
    assert explanation.maps[[0, 2]].numpy() == pytest.approx(wanted[[0, 2]].numpy(), abs=1e-6)
