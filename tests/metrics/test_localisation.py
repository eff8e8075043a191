"""Pointing game, mass accuracy and IoU of the top against literal twins."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine.batch import Batch
from xaibench.metrics.base import LocalisationMetric
from xaibench.metrics.iou_top import IouTop
from xaibench.metrics.mass_accuracy import MassAccuracy
from xaibench.metrics.pointing_game import PointingGame

METRICS = [PointingGame(), PointingGame(tolerance=3), MassAccuracy(), IouTop(), IouTop(top=0.1)]


def score(metric: LocalisationMetric, batch: Batch, maps: torch.Tensor) -> torch.Tensor:
    return metric.score(toy_model(), batch, maps).values[f"{metric.name}@evidence"]


def random_maps() -> torch.Tensor:
    return torch.rand(5, 32, 32, generator=torch.Generator().manual_seed(4)) - 0.3


def masked_batch() -> Batch:
    """Masks: none, a square, an L, one pixel, everything."""
    batch = toy_batch()
    masks = torch.zeros(5, 32, 32, dtype=torch.bool)
    masks[1, 4:14, 9:19] = True
    masks[2, 2:30, 3:6] = True
    masks[2, 20:30, 3:25] = True
    masks[3, 31, 0] = True
    masks[4] = True
    return replace(batch, masks={"evidence": masks})


def pixels(mask: torch.Tensor) -> set[tuple[int, int]]:
    return {(y, x) for y in range(32) for x in range(32) if mask[y, x]}


def ranking(relevance: torch.Tensor) -> list[tuple[int, int]]:
    everywhere = [(y, x) for y in range(32) for x in range(32)]
    return sorted(everywhere, key=lambda p: -relevance[p].item())


@pytest.mark.parametrize("tolerance", [0, 1, 4, 40])
def test_pointing_game(tolerance):
    """Zhang et al. 2018: hit where the maximum is at most ``tolerance`` from a mask pixel."""
    batch, maps = masked_batch(), random_maps()
    values = score(PointingGame(tolerance), batch, maps)
    for i in range(1, 5):
        y, x = ranking(maps[i])[0]
        near = (max(abs(y - v), abs(x - u)) for v, u in pixels(batch.masks["evidence"][i]))
        assert values[i].item() == (min(near) <= tolerance)


def test_pointing_game_within_tolerance_of_one_pixel():
    """The maximum is moved step by step away from the only pixel of the mask, (31, 0)."""
    batch = masked_batch().take([3])
    for y, x, hit in [(31, 0, 1), (29, 2, 1), (28, 2, 0), (29, 3, 0), (28, 0, 0)]:
        maps = torch.zeros(1, 32, 32)
        maps[0, y, x] = 1
        assert score(PointingGame(tolerance=2), batch, maps).item() == hit


def test_mass_accuracy():
    """Arras et al. 2022, equation 2: positive relevance on the mask over all that is positive."""
    batch, maps = masked_batch(), random_maps()
    values = score(MassAccuracy(), batch, maps)
    for i in range(1, 5):
        inside = pixels(batch.masks["evidence"][i])
        positive = {p: max(maps[i][p].item(), 0) for p in ranking(maps[i])}
        share = sum(positive[p] for p in inside) / sum(positive.values())
        assert values[i].item() == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize("top", ["mask_area", 0.1, 0.5, 1.0])
def test_iou_top(top):
    """Intersection over union of the mask and the most relevant pixels."""
    batch, maps = masked_batch(), random_maps()
    values = score(IouTop(top), batch, maps)
    for i in range(1, 5):
        inside = pixels(batch.masks["evidence"][i])
        most = len(inside) if top == "mask_area" else math.floor(top * 1024 + 0.5)
        chosen = set(ranking(maps[i])[:most])
        iou = len(inside & chosen) / len(inside | chosen)
        assert values[i].item() == pytest.approx(iou, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_an_empty_mask_has_no_value_and_says_why(metric):
    batch = masked_batch()
    scores = metric.score(toy_model(), batch, random_maps())
    name = f"{metric.name}@evidence"
    assert scores.values[name].isnan().tolist() == [True] + [False] * 4
    assert "no evidence mask" in scores.undefined[name]


@pytest.mark.parametrize("metric", [PointingGame(), MassAccuracy(), IouTop()], ids=str)
def test_a_perfect_map_scores_one(metric):
    batch = masked_batch()
    values = score(metric, batch, batch.masks["evidence"].float())
    assert values[1:].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("metric", [PointingGame(), MassAccuracy(), IouTop()], ids=str)
def test_a_map_beside_the_evidence_scores_nothing(metric):
    batch = masked_batch().take([1, 3])
    values = score(metric, batch, (~batch.masks["evidence"]).float())
    assert values.tolist() == [0, 0]


def test_mass_accuracy_without_positive_relevance_has_no_value():
    assert score(MassAccuracy(), masked_batch(), -torch.ones(5, 32, 32)).isnan().all()


def test_ties_are_drawn_by_the_seed_of_the_image():
    """On a constant map the hit rate is the mask's share of the image, within 4 standard errors."""
    many = masked_batch().take([2] * 2000)
    many.seeds.copy_(torch.arange(2000))
    share = many.masks["evidence"][0].float().mean().item()
    maps = torch.zeros(2000, 32, 32)
    hits = score(PointingGame(), many, maps)
    assert abs(hits.mean().item() - share) < 4 * math.sqrt(share * (1 - share) / 2000)
    assert torch.equal(hits, score(PointingGame(), many, maps))
    assert torch.equal(hits[[7, 3]], score(PointingGame(), many.take([7, 3]), maps[:2]))
    # By the same token as many of the top pixels lie on the mask: |A n T| = share |T|.
    some = many.take(range(200))
    iou = score(IouTop(), some, maps[:200])
    common = 2 * iou / (1 + iou)
    assert abs(common.mean().item() - share) < 4 * common.std().item() / math.sqrt(200)


def test_every_mask_has_its_own_value():
    batch = masked_batch()
    masks = batch.masks | {"box_weak": ~batch.masks["evidence"]}
    metric = MassAccuracy()
    scores = metric.score(toy_model(), replace(batch, masks=masks), random_maps())
    assert sorted(scores.values) == sorted(metric.value_names(tuple(masks)))
    both = sum(v[1:4] for v in scores.values.values())
    assert both.tolist() == pytest.approx([1, 1, 1])
