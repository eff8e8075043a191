"""Grad-CAM and CAM on transformers, against grad-cam with its own reshaping, image by image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import pytorch_grad_cam as package
import torch
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch
from xaibench.errors import UserError
from xaibench.explainers.cam import Cam
from xaibench.explainers.grad_cam import GradCam
from xaibench.models.timm import Timm


def build(architecture, *, channels=3, size=(32, 48), classes=3, **options):
    torch.manual_seed(0)
    model = Timm(architecture, weights="none", **options)
    names = tuple(f"class {i}" for i in range(classes))
    return model.build(task="multiclass", classes=names, channels=channels, size=size).eval()


def images_of(size, channels=3, count=3):
    batch = toy_batch(channels, images=count)
    images = F.interpolate(batch.images, size)
    return replace(batch, images=images, masks={}, segments=torch.zeros(count, *size).long())


class Logit:
    def __init__(self, target: int) -> None:
        self.target = target

    def __call__(self, output):
        return output[self.target]


def directly(model, batch, layer, reshape):
    """grad-cam on one image after the other, without its scaling to [0, 1]."""
    maps = []
    for image, target in zip(batch.images, batch.targets.tolist(), strict=True):
        with package.GradCAM(model, [model.module(layer)], reshape_transform=reshape) as cam:
            cam(image[None], [Logit(target)])
            record = cam.activations_and_grads
            small = cam.get_cam_image(
                image[None], None, None, record.activations[0].numpy(), record.gradients[0].numpy()
            )
        small = torch.as_tensor(small).float().relu()[None]
        maps.append(F.interpolate(small, image.shape[1:], mode="bilinear")[0, 0])
    return torch.stack(maps)


def patches(prefix, rows, columns):
    return lambda x: x[:, prefix:].reshape(len(x), rows, columns, -1).permute(0, 3, 1, 2)


CHANNELS_LAST = lambda x: x.permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("architecture", "size", "layer", "reshape"),
    [
        ("test_vit", (32, 48), "blocks.5.norm1", patches(1, 2, 3)),
        ("test_vit2", (48, 32), "blocks.7", patches(1, 3, 2)),
        ("test_vit3", (48, 48), "norm", patches(1, 3, 3)),
        ("deit_tiny_distilled_patch16_224", (32, 48), "blocks.11.norm1", patches(2, 2, 3)),
        ("swin_tiny_patch4_window7_224", (64, 96), "norm", CHANNELS_LAST),
        ("swinv2_tiny_window8_256", (64, 96), "norm", CHANNELS_LAST),
    ],
)
def test_equals_grad_cam_called_directly(architecture, size, layer, reshape):
    model, batch = build(architecture, size=size), images_of(size)
    explainer = GradCam()
    explainer.check(model)
    assert explainer.facts(model) == {"layer": layer}
    maps = explainer(model, batch).maps
    assert maps.max() > 0
    wanted = directly(model, batch, layer, reshape)
    torch.testing.assert_close(maps, wanted, rtol=1e-4, atol=1e-6 * float(wanted.max()))


@pytest.mark.parametrize("layer", ["blocks.3", "blocks.4.norm2", "patch_embed", "blocks.2.attn"])
def test_a_layer_of_ones_own_choice(layer):
    model, batch = build("test_vit"), images_of((32, 48))
    explainer = GradCam(layer=layer)
    explainer.check(model)
    wanted = directly(model, batch, layer, patches(0 if layer == "patch_embed" else 1, 2, 3))
    torch.testing.assert_close(explainer(model, batch).maps, wanted, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("layer", ["blocks.5", "norm", "blocks.5.norm2"])
def test_a_layer_behind_which_patches_are_not_looked_at_is_refused(layer):
    with pytest.raises(UserError, match=rf"behind layer '{layer}' only the class token"):
        GradCam(layer=layer).check(build("test_vit"))


def test_a_layer_cut_into_windows_is_refused():
    model = build("swin_tiny_patch4_window7_224", size=(64, 96))
    with pytest.raises(UserError, match=r"no grid of the network|cut into windows"):
        GradCam(layer="layers.0.blocks.0.attn").check(model)


@pytest.mark.parametrize("architecture", ["test_vit", "test_vit2"])
def test_one_channel(architecture):
    model, batch = build(architecture, channels=1), images_of((32, 48), 1)
    assert set(GradCam()(model, batch).statuses) == {"ok"}


def test_whole_batch_equals_one_by_one():
    model, batch = build("test_vit"), images_of((32, 48))
    whole = GradCam()(model, batch).maps
    single = torch.cat([GradCam()(model, batch.take([i])).maps for i in range(len(batch))])
    torch.testing.assert_close(whole, single, rtol=1e-4, atol=1e-6 * float(whole.max()))


# --- CAM


def test_cam_of_a_swin_is_the_literal_sum():
    """Its small map averages to the logit less the bias (Zhou et al., equation 2)."""
    size = (64, 96)
    model, batch = build("swin_tiny_patch4_window7_224", size=size), images_of(size)
    Cam().check(model)
    assert Cam().facts(model) == {"layer": "norm"}
    with torch.no_grad():
        features = model.net.forward_features((batch.images - model.mean) / model.std)
        logits = model.logits(batch.images)
    head = model.module("head.fc")
    for i, target in enumerate(batch.targets.tolist()):
        small = torch.zeros(2, 3)
        for k in range(features.shape[-1]):
            small += head.weight[target, k].detach() * features[i, :, :, k]
        expected = logits[i, target] - head.bias[target].detach()
        torch.testing.assert_close(small.mean(), expected, rtol=1e-4, atol=1e-5)
        whole = F.interpolate(small[None, None], size, mode="bilinear")[0, 0]
        torch.testing.assert_close(Cam()(model, batch).maps[i], whole, rtol=1e-4, atol=1e-5)


def test_cam_of_a_transformer_that_averages_its_patches():
    """vit_relpos norms before it averages, with a norm behind: refused; without: the sum."""
    model = build("vit_relpos_small_patch16_224")
    with pytest.raises(UserError, match="changes the pooled features"):
        Cam().check(model)
    model.net.fc_norm = torch.nn.Identity()
    Cam().check(model)
    Cam(layer="blocks.11").check(model)
    with pytest.raises(UserError, match="changes the pooled features"):
        Cam(layer="blocks.10.norm1").check(model)
