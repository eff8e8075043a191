"""Metrics of maps against masks: rank accuracy, top k, AUC, localisation; twins and Quantus."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine.batch import Batch
from xaibench.metrics.attribution_localisation import AttributionLocalisation
from xaibench.metrics.auc_localisation import AucLocalisation
from xaibench.metrics.base import LocalisationMetric
from xaibench.metrics.iou_top import IouTop
from xaibench.metrics.mass_accuracy import MassAccuracy
from xaibench.metrics.relevance_rank_accuracy import RelevanceRankAccuracy
from xaibench.metrics.top_k_intersection import TopKIntersection
from xaibench.models.base import PassCount

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    quantus = pytest.importorskip("quantus")

METRICS = [
    RelevanceRankAccuracy(),
    TopKIntersection(),
    TopKIntersection(top=0.3),
    AucLocalisation(),
    AttributionLocalisation(),
]
HEIGHT, WIDTH = 9, 14


def score(metric: LocalisationMetric, batch: Batch, maps: torch.Tensor) -> list[float]:
    model = toy_model()
    values = metric.score(model, batch, maps).values[f"{metric.name}@evidence"].tolist()
    assert (model.passes.forward, model.passes.backward) == (0, 0)
    return values


def masked_batch() -> Batch:
    """Masks of 9 x 14 pixels: none, a square, an L, one pixel, everything."""
    masks = torch.zeros(5, HEIGHT, WIDTH, dtype=torch.bool)
    masks[1, 2:7, 3:8] = True
    masks[2, 1:8, 2:4] = True
    masks[2, 6:8, 2:12] = True
    masks[3, 8, 13] = True
    masks[4] = True
    whole = toy_batch()
    images = whole.images[..., :HEIGHT, :WIDTH]
    segments = whole.segments[:, :HEIGHT, :WIDTH]
    return replace(whole, images=images, segments=segments, masks={"evidence": masks})


def random_maps() -> torch.Tensor:
    return torch.randn(5, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(6))


def tied_maps() -> torch.Tensor:
    return (2 * random_maps()).round()


def pixels(batch: Batch, maps: torch.Tensor, i: int) -> list[tuple[float, bool]]:
    """Relevance and whether it is on the mask, of each pixel."""
    mask = batch.masks["evidence"][i]
    return list(zip(maps[i].flatten().tolist(), mask.flatten().tolist(), strict=True))


def test_rank_accuracy_equals_a_loop():
    """Arras et al. 2022, equation 3."""
    batch, maps = masked_batch(), random_maps()
    values = score(RelevanceRankAccuracy(), batch, maps)
    for i in range(1, 5):
        ranked = sorted(pixels(batch, maps, i), reverse=True)
        k = sum(inside for _, inside in ranked)
        assert values[i] == pytest.approx(sum(inside for _, inside in ranked[:k]) / k)


def test_rank_accuracy_is_a_function_of_the_iou():
    batch, maps = masked_batch(), tied_maps()
    r = torch.tensor(score(RelevanceRankAccuracy(), batch, maps)[1:])
    assert score(IouTop(), batch, maps)[1:] == pytest.approx((r / (2 - r)).tolist(), abs=1e-6)


@pytest.mark.parametrize(("top", "k"), [(0.001, 1), (0.02, 3), (0.3, 38), (1.0, 126)])
def test_top_k_equals_a_loop(top, k):
    batch, maps = masked_batch(), random_maps()
    values = score(TopKIntersection(top), batch, maps)
    for i in range(1, 5):
        ranked = sorted(pixels(batch, maps, i), reverse=True)
        assert values[i] == pytest.approx(sum(inside for _, inside in ranked[:k]) / k)


@pytest.mark.parametrize("maps", [random_maps(), tied_maps()], ids=["random", "tied"])
def test_auc_equals_a_loop_over_all_pairs(maps):
    """Mann and Whitney: a pair in the right order counts 1, a tie one half."""
    batch = masked_batch()
    values = score(AucLocalisation(), batch, maps)
    for i in range(1, 4):
        both = pixels(batch, maps, i)
        inside = [r for r, there in both if there]
        outside = [r for r, there in both if not there]
        wins = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
        assert values[i] == pytest.approx(wins / len(inside) / len(outside), abs=1e-12)


def test_attribution_localisation_equals_a_loop():
    """Kohlbrenner et al. 2020: (R_in / R_tot) (S_tot / S_in)."""
    batch, maps = masked_batch(), random_maps()
    values = score(AttributionLocalisation(), batch, maps)
    mass = score(MassAccuracy(), batch, maps)
    for i in range(1, 5):
        both = pixels(batch, maps, i)
        total = sum(max(r, 0) for r, _ in both)
        inside = sum(max(r, 0) for r, there in both if there)
        size = sum(there for _, there in both)
        assert values[i] == pytest.approx(inside / total * len(both) / size, abs=1e-9)
        assert values[i] == pytest.approx(mass[i] * len(both) / size, abs=1e-9)


def test_closed_forms():
    """A map that is the mask; one that is what the mask leaves; one that says nothing."""
    batch = masked_batch().take([1, 2])
    mask = batch.masks["evidence"]
    shares = mask.flatten(1).double().mean(1)
    right, wrong, nothing = mask.float(), (~mask).float(), torch.ones(2, HEIGHT, WIDTH)
    for metric in METRICS:
        at_most = 1 / shares if metric == AttributionLocalisation() else torch.ones(2)
        if metric == TopKIntersection(top=0.3):
            at_most = mask.flatten(1).sum(1) / 38
        assert score(metric, batch, right) == pytest.approx(at_most.tolist(), abs=1e-6)
    for metric in [RelevanceRankAccuracy(), AucLocalisation(), AttributionLocalisation()]:
        assert score(metric, batch, wrong) == [0, 0]
    assert score(AucLocalisation(), batch, nothing) == [0.5, 0.5]
    assert score(AttributionLocalisation(), batch, nothing) == pytest.approx([1, 1])


def test_ties_are_drawn_by_the_seed_of_the_image():
    """On a constant map the mean is the mask's share of the image, within 4 standard errors."""
    many = masked_batch().take([1] * 800)
    many.seeds.copy_(torch.arange(800))
    share = many.masks["evidence"][0].double().mean().item()
    for metric in [RelevanceRankAccuracy(), TopKIntersection(0.1)]:
        values = torch.tensor(score(metric, many, torch.zeros(800, HEIGHT, WIDTH)))
        assert abs(values.mean().item() - share) < 4 * values.std().item() / math.sqrt(800)
        assert values.std() > 0


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_an_empty_mask_has_no_value_and_says_why(metric):
    scores = metric.score(toy_model(), masked_batch(), random_maps())
    name = f"{metric.name}@evidence"
    whole = isinstance(metric, AucLocalisation)
    assert scores.values[name].isnan().tolist() == [True, False, False, False, whole]
    assert "no evidence mask" in scores.undefined[name]


@pytest.mark.parametrize(
    ("metric", "peer"),
    [
        (RelevanceRankAccuracy(), quantus.RelevanceRankAccuracy()),
        (TopKIntersection(top=38 / 126), quantus.TopKIntersection(k=38)),
        (AucLocalisation(), quantus.AUC()),
    ],
    ids=["relevance_rank_accuracy", "top_k_intersection", "auc_localisation"],
)
def test_equals_quantus_image_by_image(metric, peer):
    batch, maps = masked_batch().take([1, 2, 3]), random_maps()[:3]
    theirs = [
        peer(
            model=None,
            x_batch=np.zeros((1, 1, HEIGHT, WIDTH), np.float32),
            y_batch=np.zeros(1, int),
            a_batch=each[None, None].double().numpy(),
            s_batch=mask[None, None].numpy(),
        )[0]
        for each, mask in zip(maps, batch.masks["evidence"], strict=True)
    ]
    assert score(metric, batch, maps) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_costs_nothing(metric):
    assert metric.cost(toy_model(), masked_batch()) == PassCount()


def test_protocols():
    said = {m.name: m.protocol(f"{m.name}@evidence", "") for m in METRICS if m != METRICS[2]}
    assert said == {
        "relevance_rank_accuracy": "relevance_rank_accuracy@evidence[ties=seeded]",
        "top_k_intersection": "top_k_intersection@evidence[ties=seeded,top=0.02]",
        "auc_localisation": "auc_localisation@evidence[ties=half]",
        "attribution_localisation": (
            "attribution_localisation@evidence[relevance=positive,weighted=mask_share]"
        ),
    }
    assert all(m.direction(f"{m.name}@evidence") for m in METRICS)
