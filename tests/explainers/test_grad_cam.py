"""Grad-CAM against its formula by autograd and against the grad-cam package's own output."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
import pytorch_grad_cam as package
import torch
from torch.nn import functional as F

from xaibench.checks.comparing import TOLERANCE
from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import UserError
from xaibench.explainers.grad_cam import _VARIANTS, GradCam
from xaibench.models.timm import Timm

HEADS = ["softmax", "single_logit", "multilabel"]


def literal_maps(model, batch, layer: str):
    """Selvaraju et al., equations 1 and 2: relu(sum_k a_k A_k), a_k the mean of dy/dA_k.

    y is the target's logit; -z for class 0 of a single logit z.
    """
    maps = []
    for image, target in zip(batch.images, batch.targets.tolist(), strict=True):
        seen = []
        handle = model.module(layer).register_forward_hook(
            lambda *io, seen=seen: seen.append(io[2])
        )
        logits = model(image[None])[0]
        handle.remove()
        z = logits[0] if model.head == "single_logit" else logits[target]
        y = -z if model.head == "single_logit" and target == 0 else z
        activation = seen[0]
        (gradient,) = torch.autograd.grad(y, activation)
        small = torch.zeros(activation.shape[2:])
        for k in range(activation.shape[1]):
            small += gradient[0, k].mean() * activation[0, k].detach()
        small = small.clamp_min(0)[None, None]
        maps.append(F.interpolate(small, size=image.shape[1:], mode="bilinear")[0, 0])
    return torch.stack(maps)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("layer", ["last_act", "last", "stem"])
def test_equals_literal_formula(head, target, layer):
    model, batch = toy_model(head), toy_batch()
    batch.targets.fill_(target)
    maps = GradCam(layer=layer)(model, batch).maps
    assert maps == pytest.approx(literal_maps(model, batch, layer), abs=1e-6)


def test_equals_literal_formula_on_resnet():
    torch.manual_seed(0)
    model = Timm("resnet18", weights="none")
    model = model.build(task="binary", classes=("a", "b"), channels=3, size=(32, 32)).eval()
    batch = toy_batch(images=2)
    assert GradCam().facts(model) == {"layer": "layer4"}
    maps = GradCam()(model, batch).maps
    assert maps.max() > 0
    assert maps == pytest.approx(literal_maps(model, batch, "layer4"), abs=1e-6)


class Logit:
    """What the package differentiates: the output of one class."""

    def __init__(self, target: int, sign: int) -> None:
        self.target, self.sign = target, sign

    def __call__(self, output):
        return self.sign * output[self.target]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("variant", sorted(_VARIANTS))
def test_scaled_to_one_it_is_the_packages_output(head, variant):
    """The package shifts and scales each small map to [0, 1] before it upsamples."""
    model, batch = toy_model(head), toy_batch()
    single = head == "single_logit"
    targets = [Logit(0, 2 * t - 1) if single else Logit(t, 1) for t in batch.targets.tolist()]
    with _VARIANTS[variant](model, [model.module("last_act")]) as cam:
        peer = torch.from_numpy(cam(batch.images, targets))
    maps = GradCam(variant)(model, batch).maps
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    some = (high > 0).flatten()  # a small map of zeros alone cannot be scaled
    assert some.sum() >= 2
    assert ((maps - low) / (high - low))[some] == pytest.approx(peer[some], abs=1e-5)


def test_every_variant_of_the_package_is_offered_once():
    assert set(get_args(get_type_hints(GradCam)["variant"])) == set(_VARIANTS)
    assert len(set(_VARIANTS.values())) == len(_VARIANTS)
    assert all(issubclass(v, package.base_cam.BaseCAM) for v in _VARIANTS.values())


@pytest.mark.parametrize("variant", sorted(_VARIANTS))
def test_every_variant_is_finite_and_not_negative_and_ignores_its_batch(variant):
    model, batch = toy_model(), toy_batch()
    explainer = GradCam(variant)
    maps = explainer(model, batch).maps
    assert maps.isfinite().all()
    assert maps.min() >= 0
    assert maps.max() > 0
    single = torch.cat([explainer(model, batch.take([i])).maps for i in range(len(batch))])
    assert (maps - single).abs().max() <= TOLERANCE * maps.max()


def test_costs_one_pass_each_way():
    passes = GradCam()(toy_model(), toy_batch()).passes
    assert (passes.forward, passes.backward) == (5, 5)


def test_a_wrong_layer_is_named_with_those_that_exist():
    with pytest.raises(UserError, match=r"no module 'lsat_act'; it has: stem, .*last_act"):
        GradCam(layer="lsat_act").check(toy_model())


def test_a_model_without_a_layer_asks_for_one():
    model = toy_model()
    model.cam_layer = None
    with pytest.raises(UserError, match="set grad_cam's `layer`"):
        GradCam().check(model)
