"""Which layers Grad-CAM reads, and that it reads what they gave."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import UserError
from xaibench.explainers.grad_cam import GradCam
from xaibench.models.timm import Timm


def _literal(model, batch, name):
    """relu(sum_k a_k A_k) from a copy of the activations, taken before anything overwrites them."""
    seen = {}

    def keep(_, __, output):
        seen["output"] = output
        seen["values"] = output.detach().clone()
        return output.clone()

    hook = model.module(name).register_forward_hook(keep)
    scores = model.score(batch.images.clone().requires_grad_(), batch.targets, "logit")
    hook.remove()
    gradient = torch.autograd.grad(scores.sum(), seen["output"])[0]
    small = (gradient.mean(dim=(2, 3), keepdim=True) * seen["values"]).sum(1, keepdim=True).relu()
    return F.interpolate(small, batch.images.shape[2:], mode="bilinear")[:, 0].detach()


@pytest.mark.parametrize("layer", ["bn1", "layer2.0.bn2", "layer4.1.bn2", "layer4"])
def test_an_operation_in_place_behind_the_layer_changes_nothing(layer):
    torch.manual_seed(0)
    net = Timm("resnet18", weights="none")
    model = net.build(task="binary", classes=("a", "b"), channels=3, size=(32, 32)).eval()
    batch = toy_batch()
    wanted = _literal(model, batch, layer)
    got = GradCam(layer=layer)(model, batch).maps
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("layer", ["fc", "flat"])
def test_a_layer_without_maps_is_refused(layer):
    with pytest.raises(UserError, match=r"which is no map; set `layer`.*convolutional"):
        GradCam(layer=layer).check(toy_model())


def test_a_check_costs_no_passes_and_leaves_no_hook():
    model = toy_model()
    GradCam().check(model)
    assert (model.passes.forward, model.passes.backward) == (0, 0)
    assert not any(m._forward_hooks for m in model.modules())
