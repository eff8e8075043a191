"""Gradients through folded batch norms: the model's own, at the image and at any layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xaibench.checks.stage import toy_batch
from xaibench.engine import gradient_sums, layer_gradients, target_gradients
from xaibench.engine.gradient_model import gradient_model
from xaibench.explainers.grad_cam import GradCam
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.models.base import Classifier


class Net(nn.Module):
    """Two convolutions with norms and smooth activations, whose gradients rounding cannot turn."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.act = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU()
        self.block = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6), nn.SiLU())
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = self.block(self.act(self.norm(self.first(x))))
        return self.head(x.mean((2, 3)))


def _model(gradients="folded") -> Classifier:
    torch.manual_seed(0)
    net = Net()
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight, norm.bias, norm.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return Classifier(
        net,
        head="softmax",
        classes=("a", "b"),
        mean=(0.4,) * 3,
        std=(0.2,) * 3,
        cam_layer="block",
        linear_head="head",
        pool=None,
        input_shape=(3, 32, 32),
        gradients=gradients,
    ).eval()


def _norms(model: Classifier) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_gradients_at_images_are_the_models_and_counted_once():
    exact, model, batch = _model("exact"), _model(), toy_batch()
    wanted = target_gradients(exact, batch.images, batch.targets, "prob")
    found = target_gradients(model, batch.images, batch.targets, "prob")
    torch.testing.assert_close(found, wanted)
    assert model.passes == exact.passes
    assert (model.passes.forward, model.passes.backward) == (len(batch), len(batch))
    assert [_norms(each) for each in (model, gradient_model(model))] == [2, 0]
    assert gradient_model(exact) is exact


@pytest.mark.parametrize(
    ("layer", "left"),
    [("first", 1), ("norm", 0), ("act", 0), ("block", 0), ("block.0", 1), ("block.1", 0)],
)
def test_layers_keep_what_they_give(layer, left):
    exact, model, batch = _model("exact"), _model(), toy_batch()
    for found, wanted in zip(
        layer_gradients(model, batch, layer), layer_gradients(exact, batch, layer), strict=True
    ):
        torch.testing.assert_close(found, wanted)
    assert _norms(gradient_model(model, layer)) == left


def test_what_was_changed_since_is_copied_anew():
    model, batch = _model(), toy_batch()
    first = target_gradients(model, batch.images, batch.targets, "logit")
    assert gradient_model(model) is gradient_model(model)
    with torch.no_grad():
        model.net.first.weight.mul_(2)
    model.passes = model.passes.copy()
    again = target_gradients(model, batch.images, batch.targets, "logit")
    model.gradients = "exact"
    exact = target_gradients(model, batch.images, batch.targets, "logit")
    torch.testing.assert_close(again, exact)
    assert not torch.allclose(first, again)
    assert model.passes.forward == 3 * len(batch)


def test_who_watches_the_model_sees_its_passes():
    model, batch, seen = _model(), toy_batch(), []
    model.net.norm.register_forward_hook(lambda *_: seen.append(1))
    assert gradient_model(model) is model
    target_gradients(model, batch.images, batch.targets, "logit")
    assert seen == [1]


@pytest.mark.parametrize("explainer", [IntegratedGradients(4), GradCam()])
def test_maps_and_costs_are_those_of_exact_gradients(explainer):
    batch = toy_batch()
    found, wanted = explainer(_model(), batch), explainer(_model("exact"), batch)
    torch.testing.assert_close(found.maps, wanted.maps)
    assert found.passes == wanted.passes == explainer.cost(_model(), batch)


def test_no_graph_stands_before_the_layer():
    """Nothing of what is passed before the layer is kept for a backward pass."""
    model, batch, grad = _model("exact"), toy_batch(), []
    model.requires_grad_(False)
    model.net.act.register_forward_hook(lambda _, __, output: grad.append(output.requires_grad))
    model.net.block[2].register_forward_hook(lambda _, __, out: grad.append(out.requires_grad))
    layer_gradients(model, batch, "block.1")
    assert grad == [False, True]


def test_sums_of_gradients_are_the_models():
    batch = toy_batch()
    of = lambda model: gradient_sums(
        model,
        batch.targets,
        3,
        lambda image, copy: batch.images[image] * (copy + 1)[:, None, None, None] / 3,
        lambda gradients, image, copy: gradients,
        "logit",
    )
    torch.testing.assert_close(of(_model()), of(_model("exact")))
