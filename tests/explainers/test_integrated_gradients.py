"""Integrated Gradients: completeness, captum called directly, and a linear model's closed form."""

from __future__ import annotations

import pytest
import torch
from captum.attr import IntegratedGradients as Peer
from torch import nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.models.base import Classifier

HEADS = ["softmax", "single_logit", "multilabel"]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    ("space", "baseline", "steps"),
    [("logit", "black", 50), ("prob", "black", 100), ("logit", 0.5, 100), ("prob", "blur", 200)],
)
def test_completeness(head, space, baseline, steps):
    """Sundararajan et al., proposition 1: the map sums to f(x) - f(baseline)."""
    model, batch = toy_model(head), toy_batch()
    explainer = IntegratedGradients(steps, baseline, "sum", space)
    sums = explainer(model, batch).maps.sum(dim=(1, 2))
    with torch.no_grad():
        start = model.score(fill_images(batch, baseline), batch.targets, space)
        change = model.score(batch.images, batch.targets, space) - start
    # 1 % of the change; of the largest in the batch, since some changes are nearly 0.
    assert (sums - change).abs().max() <= 0.01 * change.abs().max()


@pytest.mark.parametrize("head", HEADS)
def test_equals_captum_called_directly(head):
    model, batch = toy_model(head), toy_batch()
    peer = Peer(lambda x, t: model.score(x, t, "logit")).attribute(
        batch.images, baselines=0, additional_forward_args=(batch.targets,), n_steps=50
    )
    signed = IntegratedGradients(channels="sum")(model, batch).maps
    unsigned = IntegratedGradients()(model, batch).maps
    assert signed == pytest.approx(peer.sum(1), abs=1e-5)
    assert unsigned == pytest.approx(peer.abs().mean(1), abs=1e-5)


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_linear_model_in_closed_form(steps):
    """On f(x) = w.x the relevance of a pixel is (x - b) w, whatever the number of steps."""
    batch = toy_batch(images=2)
    linear = nn.Linear(3 * 32 * 32, 2)
    model = Classifier(
        nn.Sequential(nn.Flatten(), linear),
        head="regression",
        classes=("a", "b"),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        cam_layer=None,
        linear_head="1",
        pool=None,
        input_shape=(3, 32, 32),
    )
    w = linear.weight[batch.targets].detach().view_as(batch.images)
    maps = IntegratedGradients(steps, "dataset_mean", "sum")(model, batch).maps
    baseline = batch.dataset_mean[None, :, None, None]
    assert maps == pytest.approx(((batch.images - baseline) * w).sum(1), abs=1e-6)


def test_costs_steps_passes_each_way():
    model, batch = toy_model(), toy_batch()
    passes = IntegratedGradients(steps=20)(model, batch).passes
    assert (passes.forward, passes.backward) == (20 * len(batch), 20 * len(batch))
