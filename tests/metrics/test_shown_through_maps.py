"""Drop, increase and gain of confidence, and ADCC: twins, closed forms, pytorch-grad-cam."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.metrics.adcc import Adcc
from xaibench.metrics.average_drop import AverageDrop
from xaibench.metrics.average_gain import AverageGain
from xaibench.metrics.increase_in_confidence import IncreaseInConfidence
from xaibench.models.base import Classifier

METRICS = [AverageDrop(), AverageDrop(fill="blur"), IncreaseInConfidence(), AverageGain(), Adcc()]
SHOWN = METRICS[:4]


def random_maps(count: int = 5) -> torch.Tensor:
    return torch.randn(count, 32, 32, generator=torch.Generator().manual_seed(7))


def explain(model, batch) -> torch.Tensor:
    """Maps of a sound explainer."""
    images = batch.images.clone().requires_grad_()
    score = model.score(images, batch.targets, "logit").sum()
    return (torch.autograd.grad(score, images)[0] * batch.images).sum(1)


def values(metric, model, batch, maps) -> dict[str, list[float]]:
    if isinstance(metric, Adcc):
        found = metric.compare(model, {}, batch, maps, explain)
    else:
        found = metric.score(model, batch, maps)
    return {name: value.tolist() for name, value in found.values.items()}


@torch.no_grad()
def literal_scores(model, batch, maps, i, fill) -> tuple[float, float, torch.Tensor]:
    """Score of the image and of the image times its map, pixel by pixel."""
    most = max(maps[i].flatten().tolist())
    behind = fill_images(batch, fill)[i]
    shown = behind.clone()
    for y in range(32):
        for x in range(32):
            m = max(maps[i, y, x].item(), 0) / most
            for c in range(len(shown)):
                shown[c, y, x] = m * batch.images[i, c, y, x] + (1 - m) * behind[c, y, x]
    target = batch.targets[i : i + 1]
    whole = model.score(batch.images[i : i + 1], target).item()
    return whole, model.score(shown[None], target).item(), shown


@pytest.mark.parametrize(
    ("head", "channels", "fill"), [("softmax", 3, "dataset_mean"), ("single_logit", 1, "black")]
)
def test_equal_a_loop_over_pixels(head, channels, fill):
    """Chattopadhay et al. 2018 and Zhang et al. 2024, image by image."""
    model, batch, maps = toy_model(head, channels), toy_batch(channels), random_maps()
    drop, rise, gain = (
        values(metric(fill), model, batch, maps)[metric.name]
        for metric in (AverageDrop, IncreaseInConfidence, AverageGain)
    )
    for i in range(5):
        p, o, _ = literal_scores(model, batch, maps, i, fill)
        assert drop[i] == pytest.approx(max(0, p - o) / p, abs=1e-5)
        assert gain[i] == pytest.approx(max(0, o - p) / (1 - p), abs=1e-5)
        assert rise[i] == (p < o)
    assert 0 < sum(rise) < 5


def test_adcc_equals_a_loop_over_pixels():
    """Poppi et al. 2021: 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop))."""
    model, batch = toy_model(), toy_batch()
    maps = explain(model, batch)
    found = values(Adcc(), model, batch, maps)
    for i in range(5):
        p, o, shown = literal_scores(model, batch, maps, i, "dataset_mean")
        again = explain(model, replace(batch.take([i]), images=shown[None]))[0]
        one, other = (
            [max(v, 0) / max(each.flatten().tolist()) for v in each.flatten().tolist()]
            for each in (maps[i], again)
        )
        coherency = (1 + np.corrcoef(one, other)[0, 1]) / 2
        complexity = sum(one) / len(one)
        drop = max(0, p - o) / p
        assert found["adcc@coherency"][i] == pytest.approx(coherency, abs=1e-5)
        assert found["adcc@complexity"][i] == pytest.approx(complexity, abs=1e-6)
        assert found["adcc@average_drop"][i] == pytest.approx(drop, abs=1e-5)
        adcc = 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop))
        assert found["adcc"][i] == pytest.approx(adcc, abs=1e-5)


def linear_model(weights: torch.Tensor) -> Classifier:
    linear = nn.Linear(weights.numel(), 1, bias=False)
    linear.weight.data = weights.flatten()[None]
    return Classifier(
        nn.Sequential(nn.Flatten(), linear), head="regression", classes=("y",), mean=(0.0,),
        std=(1.0,), cam_layer=None, linear_head="1", pool=None, input_shape=(1, 32, 32),
    )  # fmt: skip


def test_linear_model_in_closed_form():
    """p(x m) = sum w x m: a map that shows a part of equal contributions loses the others."""
    batch = toy_batch(1)
    batch.targets.zero_()
    batch.images.fill_(0.5)
    model = linear_model(torch.full((32, 32), 0.5 / 512))  # p(x) = 0.5
    maps = torch.full((5, 32, 32), -1.0)
    maps[:, :8] = 2  # a quarter of the pixels, and what is negative counts for nothing
    assert values(AverageDrop("black"), model, batch, maps)["average_drop"] == pytest.approx(
        [0.75] * 5, abs=1e-6
    )
    assert values(AverageGain("black"), model, batch, maps)["average_gain"] == [0] * 5
    # White instead of black where the map leaves out: p(x m) = 0.125 + 0.75.
    assert values(AverageGain(1.0), model, batch, maps)["average_gain"] == pytest.approx(
        [0.75] * 5, abs=1e-6
    )
    assert (
        values(IncreaseInConfidence(1.0), model, batch, maps)["increase_in_confidence"] == [1] * 5
    )
    # A map that depends on nothing but the sign of the weights is wholly coherent.
    found = Adcc("black").compare(model, {}, batch, maps, lambda *_: maps)
    assert found.values["adcc@coherency"].tolist() == pytest.approx([1] * 5)
    assert found.values["adcc@complexity"].tolist() == pytest.approx([0.25] * 5)
    assert found.values["adcc"].tolist() == pytest.approx([3 / (1 + 1 / 0.75 + 4)] * 5, abs=1e-6)


def test_equal_grad_cam_image_by_image():
    """pytorch-grad-cam gives differences of probabilities; its images are normalised."""
    arcc = pytest.importorskip("pytorch_grad_cam.metrics.arcc")
    mult = pytest.importorskip("pytorch_grad_cam.metrics.cam_mult_image")
    model, maps = toy_model(), random_maps().clamp_min(0)
    # The mean of the normalisation, which is zero there.
    batch = replace(toy_batch(), dataset_mean=model.mean.flatten())
    maps = maps / maps.flatten(1).amax(1)[:, None, None]
    found = values(Adcc(), model, batch, maps)
    drop = values(AverageDrop(), model, batch, maps)["average_drop"]
    rise = values(IncreaseInConfidence(), model, batch, maps)["increase_in_confidence"]
    net = nn.Sequential(model.net, nn.Softmax(1))
    for i in range(5):
        x = (batch.images[i : i + 1] - model.mean) / model.std
        target = int(batch.targets[i])
        asked = (x, maps[i : i + 1].numpy(), [lambda out, t=target: out[t]], net)
        whole = model.score(batch.images[i : i + 1], batch.targets[i : i + 1]).item()
        theirs = mult.DropInConfidence()(*asked).item() / whole
        assert drop[i] == pytest.approx(theirs, abs=1e-5)
        assert rise[i] == mult.IncreaseInConfidence()(*asked).item()
        assert found["adcc@complexity"][i] == pytest.approx(
            arcc.Complexity()(maps[i : i + 1].numpy()).item(), abs=1e-6
        )

        def again(input_tensor, targets, i=i):
            seen = replace(batch.take([i]), images=input_tensor * model.std + model.mean)
            return explain(model, seen).clamp_min(0).numpy()

        theirs = arcc.Coherency()(x, maps[i : i + 1].numpy(), None, net, again).item()
        assert found["adcc@coherency"][i] == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_without_positive_relevance_there_is_no_value_and_why(metric):
    model, batch, maps = toy_model(), toy_batch(), random_maps()
    maps[2] = -1
    found = values(metric, model, batch, maps)[metric.name]
    assert [math.isnan(v) for v in found] == [False, False, True, False, False]


@pytest.mark.parametrize("metric", SHOWN, ids=str)
def test_costs_one_pass_an_image(metric):
    model, batch = toy_model(), toy_batch()
    values(metric, model, batch, random_maps())
    assert metric.cost(model, batch) == model.passes
    assert (model.passes.forward, model.passes.backward) == (5, 0)


def test_protocols_and_directions():
    said = "average_drop[fill=dataset_mean,relevance=positive]"
    assert AverageDrop().protocol("average_drop", "") == said
    assert Adcc("black").protocol("adcc", "") == "adcc[fill=black,relevance=positive]"
    directions = {name: Adcc().direction(name) for name in Adcc().value_names(())}
    assert list(directions.values()) == [True, True, False, False]
    assert [m.direction(m.name) for m in SHOWN] == [False, False, True, True]
