"""Symmetric relevance gain: a loop over pixels, a closed form, and two deletions."""

from __future__ import annotations

import pytest
import torch
from pixel_twin import PIXELS, literal_curve, random_maps
from torch import nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.srg import Srg
from xaibench.models.base import Classifier


@pytest.mark.parametrize(
    ("head", "steps", "fill", "space"),
    [("softmax", 8, "dataset_mean", "prob"), ("single_logit", 7, "blur", "logit")],
)
def test_equals_loop_over_pixels(head, steps, fill, space):
    model, batch, maps = toy_model(head), toy_batch(), random_maps()
    values = Srg(steps, fill, space).score(model, batch, maps).values["srg"]
    fills = fill_images(batch, fill)
    for i in range(3):
        rising = sorted(range(PIXELS), key=lambda p, i=i: maps[i].flatten()[p].item())
        about = (model, batch.images[i], fills[i], batch.targets[i])
        *_, lerf = literal_curve(*about, rising, steps, space)
        *_, morf = literal_curve(*about, rising[::-1], steps, space)
        assert values[i].item() == pytest.approx(lerf - morf, abs=1e-6)


@pytest.mark.parametrize("constant", [False, True])
def test_is_the_difference_of_two_deletions(constant):
    model, batch = toy_model().double(), toy_batch()
    maps = torch.zeros(5, 32, 32) if constant else random_maps()
    scores = Srg(6, "image_mean").score(model, batch, maps)
    lerf = Deletion(6, "image_mean", order="lerf").score(model, batch, maps)
    morf = Deletion(6, "image_mean").score(model, batch, maps)
    twin = lerf.values["deletion"] - morf.values["deletion"]
    assert scores.values["srg"] == pytest.approx(twin, abs=1e-9)
    assert torch.equal(scores.curves["morf@pixels"].y, morf.curves["deletion"].y)
    assert torch.equal(scores.curves["lerf@pixels"].y, lerf.curves["deletion@lerf"].y)


def test_linear_model_in_closed_form():
    """Pixel by pixel, rank r of n adds v ((n - r - 1/2) - (r + 1/2)) / n = v (n - 1 - 2 r) / n."""
    batch, maps = toy_batch(images=3), random_maps(3)
    batch.targets.zero_()
    weights = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(5)) / 30
    linear = nn.Linear(weights.numel(), 1, bias=False)
    linear.weight.data = weights.flatten()[None]
    model = Classifier(
        nn.Sequential(nn.Flatten(), linear), head="regression", classes=("y",), mean=(0.0,) * 3,
        std=(1.0,) * 3, cam_layer=None, linear_head="1", pool=None, input_shape=(3, 32, 32),
    )  # fmt: skip
    values = Srg(PIXELS, "black").score(model, batch, maps).values["srg"]
    contributions = (batch.images * weights).sum(1).double()
    rank = torch.arange(PIXELS, dtype=torch.float64)
    for i in range(3):
        v = contributions[i].flatten()[maps[i].flatten().argsort(descending=True)]
        gain = (v * (PIXELS - 1 - 2 * rank) / PIXELS).sum().item()
        assert values[i].item() == pytest.approx(gain, abs=1e-5)


def test_costs_two_passes_a_step_between_the_shared_ends():
    model, batch = toy_model(), toy_batch()
    Srg(steps=6).score(model, batch, random_maps())
    assert model.passes.forward == 2 * 5 * len(batch)


def test_its_protocol_names_what_defines_it():
    said = "srg[fill=black,score=logit,steps=7,ties=seeded]"
    assert Srg(7, "black", "logit").protocol("srg", "slic") == said
    assert Srg().direction("srg") is True
