"""Integrated Gradients: completeness, captum called directly, closed forms, points by change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from captum.attr import IntegratedGradients as Peer
from torch import nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import Batch, fill_images
from xaibench.errors import UserError
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.metrics.completeness import Completeness
from xaibench.models.base import Classifier, PassCount

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


class Quadratic(nn.Module):
    """Two outputs, each sum_i a_i x_i^2 + b_i x_i of the image's values."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.randn(2, 3 * 32 * 32)) for _ in range(2))

    def forward(self, images):
        x = images.flatten(1)
        return x**2 @ self.a.T + x @ self.b.T


def _plain(net: nn.Module) -> Classifier:
    return Classifier(
        net,
        head="regression",
        classes=("a", "b"),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        cam_layer=None,
        linear_head=None,
        pool=None,
        input_shape=(3, 32, 32),
    ).eval()


@pytest.mark.parametrize(("rule", "steps"), [("gausslegendre", 2), ("riemann_middle", 1)])
def test_a_quadratic_is_exact(rule, steps):
    """Its gradient is linear along the path: a (x^2 - b^2) + b (x - b) of each value."""
    torch.manual_seed(0)
    net, batch = Quadratic(), toy_batch(images=3)
    explainer = IntegratedGradients(steps, 0.25, "sum", rule=rule)
    maps = explainer(_plain(net), batch).maps
    a, b = (each.detach()[batch.targets].view_as(batch.images) for each in (net.a, net.b))
    wanted = (a * (batch.images**2 - 0.25**2) + b * (batch.images - 0.25)).sum(1)
    assert maps == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("rule", ["gausslegendre", "riemann_left", "trapezoid", "by_change"])
def test_of_a_linear_model_nothing_is_missing(rule):
    torch.manual_seed(0)
    model = _plain(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)))
    batch = toy_batch(images=3)
    maps = IntegratedGradients(9, channels="sum", rule=rule)(model, batch).maps
    errors = Completeness("black").score(model, batch, maps).values["completeness"]
    assert errors.max() < 1e-5


@pytest.mark.parametrize("rule", ["riemann_left", "riemann_middle", "riemann_right"])
def test_other_rules_equal_captums(rule):
    model, batch = toy_model(), toy_batch()
    peer = Peer(lambda x, t: model.score(x, t, "logit")).attribute(
        batch.images, baselines=0, additional_forward_args=(batch.targets,), n_steps=9, method=rule
    )
    maps = IntegratedGradients(9, channels="sum", rule=rule)(model, batch).maps
    assert maps == pytest.approx(peer.sum(1), abs=1e-5)


def _by_hand(model: Classifier, batch: Batch, steps: int, parts: int) -> torch.Tensor:
    """Points by change, image by image and step by step."""
    maps = []
    for image, target in zip(batch.images.split(1), batch.targets.split(1), strict=True):
        score = lambda at, target=target: model.score(at, target, "logit")
        ends = torch.stack([score(image * k / parts).detach() for k in range(parts + 1)])[:, 0]
        changes = ends.diff().abs().double()
        quotas = changes / changes.sum() * (steps - parts)
        counts = 1 + quotas.floor().long()
        for part in (quotas - quotas.floor()).argsort(descending=True)[: steps - counts.sum()]:
            counts[part] += 1
        total = torch.zeros_like(image)
        for part, count in enumerate(counts.tolist()):
            for step in range(count):
                at = (image * (part + (step + 0.5) / count) / parts).requires_grad_()
                total += torch.autograd.grad(score(at).sum(), at)[0] / (count * parts)
        maps.append((total * image).sum(1))
    return torch.cat(maps)


def test_by_change_equals_a_literal_twin():
    model, batch = toy_model(), toy_batch()
    found = IntegratedGradients(20, channels="sum", rule="by_change", parts=4)(model, batch)
    assert found.maps == pytest.approx(_by_hand(model, batch, 20, 4), abs=1e-5)
    assert found.passes == PassCount((20 + 5) * len(batch), 20 * len(batch))
    assert found.passes == IntegratedGradients(20, rule="by_change", parts=4).cost(model, batch)


class Step(nn.Module):
    """A logit that rises within a small part of the path alone."""

    def forward(self, images):
        level = images.mean((1, 2, 3))[:, None]
        return torch.cat([-level, ((level - 0.3) * 200).sigmoid()], dim=1)


def test_by_change_misses_less_where_the_score_jumps():
    model, batch = _plain(Step()), toy_batch(images=3)
    batch = replace(
        batch,
        images=torch.full_like(batch.images, 0.9),
        targets=torch.ones_like(batch.targets),
    )
    errors = {
        rule: Completeness("black")
        .score(model, batch, IntegratedGradients(24, channels="sum", rule=rule)(model, batch).maps)
        .values["completeness"]
        .max()
        for rule in ("riemann_middle", "by_change")
    }
    assert errors["by_change"] < 0.1 * errors["riemann_middle"]


@pytest.mark.parametrize(
    ("explainer", "said"),
    [
        (IntegratedGradients(1, rule="trapezoid"), "rule trapezoid takes at least 2; raise steps"),
        (IntegratedGradients(7, rule="by_change"), "at least 8; raise steps or lower parts"),
    ],
)
def test_too_few_steps_are_refused(explainer, said):
    with pytest.raises(UserError, match=said):
        explainer.validate()
