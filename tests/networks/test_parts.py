"""Where timm's networks have stages, maps, pool and head; grey stems; hidden layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch
from xaibench.errors import UserError
from xaibench.explainers.cam import Cam
from xaibench.explainers.grad_cam import GradCam
from xaibench.models.timm import Timm

SMALL = "resnet10t"
# architecture -> the module that gives the last feature map, the stages' last modules
PARTS = {
    "resnet18": ("layer4", ["bn1", "layer1", "layer2", "layer3", "layer4"]),
    "resnet50": ("layer4", ["bn1", "layer1", "layer2", "layer3", "layer4"]),
    "densenet121": (
        "features.norm5",
        [f"features.{n}" for n in ("norm0", *(f"denseblock{i}" for i in (1, 2, 3)), "norm5")],
    ),
    "efficientnet_b0": ("bn2", ["blocks.0", "blocks.1", "blocks.2", "blocks.4", "bn2"]),
    "tf_efficientnet_lite0": ("bn2", ["blocks.0", "blocks.1", "blocks.2", "blocks.4", "bn2"]),
}


def build(architecture=SMALL, *, classes=2, channels=3, weights="none", size=(32, 32), **options):
    torch.manual_seed(0)
    model = Timm(architecture, weights=weights, **options)
    model.validate()
    names = tuple(f"class {i}" for i in range(classes))
    return model.build(task="multiclass", classes=names, channels=channels, size=size).eval()


@pytest.fixture(scope="module", params=PARTS)
def named(request):
    return request.param, build(request.param)


def images_of_64(count=3):
    """On which the last maps have 2x2 places."""
    batch = toy_batch(images=count)
    return replace(
        batch,
        images=F.interpolate(batch.images, 64),
        masks={},
        segments=batch.segments.repeat(1, 2, 2),
    )


def test_cam_is_the_literal_sum_over_the_last_map(named):
    architecture, model = named
    batch = images_of_64()
    seen = []
    hook = model.module(PARTS[architecture][0]).register_forward_hook(
        lambda _, __, output: seen.append(output.detach().clone())
    )
    logits = model.logits(batch.images).detach()
    hook.remove()
    head = model.module(model.linear_head)
    maps = torch.stack(
        [sum(w * f for w, f in zip(head.weight[t].detach(), fs, strict=True))
         for t, fs in zip(batch.targets, seen[0], strict=True)]
    )  # fmt: skip
    Cam().check(model)
    whole = F.interpolate(maps[:, None], batch.images.shape[2:], mode="bilinear")[:, 0]
    assert torch.allclose(Cam()(model, batch).maps, whole, rtol=1e-4, atol=1e-5)
    chosen = logits.gather(1, batch.targets[:, None])[:, 0] - head.bias.detach()[batch.targets]
    assert torch.allclose(maps.mean((1, 2)), chosen, rtol=1e-3, atol=1e-4)


def test_grad_cam_reads_the_last_map(named):
    """There it is the positive part of the CAM, by the area of the map (Selvaraju et al., 3.1)."""
    architecture, model = named
    assert model.cam_layer == PARTS[architecture][0]
    if architecture in ("resnet50", "efficientnet_b0"):
        return  # the same parts as in resnet18 and tf_efficientnet_lite0
    batch = images_of_64(2)
    with model.as_found():
        maps = GradCam()(model, batch).maps
        small = 4 * maps  # 2x2 places: the mean gradient is a quarter of the weight
        # Rectified before it is upsampled, unlike CAM: the same where it has the corners.
        corners = Cam()(model, batch).maps[:, ::63, ::63].relu()
        assert torch.allclose(small[:, ::63, ::63], corners, rtol=1e-3, atol=1e-4)


def test_stages_go_from_the_stem_to_the_head_and_hold_all_else(named):
    architecture, model = named
    assert [stage[-1] for stage in model.stages] == PARTS[architecture][1]
    inside = tuple(f"{name}." for stage in model.stages for name in stage)
    left = {n for n, _ in model.net.named_parameters() if not n.startswith(inside)}
    assert left == {f"{model.head_module}.weight", f"{model.head_module}.bias"}
    assert model.head_module == model.linear_head


def test_parameters_of_a_transformer_itself_are_of_its_first_stage():
    model = build("vit_tiny_patch16_224")
    assert model.stages[0] == ("cls_token", "pos_embed", "patch_embed", "blocks.0")
    assert model.stages[-1] == ("blocks.11", "norm")


def test_both_heads_of_a_distilled_transformer_are_in_no_stage():
    model = build("deit_tiny_distilled_patch16_224")
    assert model.stages[-1] == ("blocks.11", "norm")


# --- grey stems


@pytest.mark.parametrize(("grey_stem", "share"), [("sum", 1.0), ("mean", 1 / 3)])
@pytest.mark.parametrize("where", ["file", "hub"])
def test_a_grey_stem_is_the_sum_or_the_mean_of_three(
    tmp_path, monkeypatch, grey_stem, share, where
):
    net = timm.create_model(SMALL, num_classes=2)
    path = tmp_path / "w.safetensors"
    save_file({k: v.clone() for k, v in net.state_dict().items()}, path)
    weights = str(path)
    if where == "hub":
        create = timm.create_model
        local = {"pretrained_cfg_overlay": {"file": str(path), "num_classes": 2}}
        monkeypatch.setattr("xaibench.models.timm._cached", lambda _: True)
        monkeypatch.setattr(timm, "create_model", lambda *a, **k: create(*a, **k, **local))
        weights = "imagenet"
    model = build(channels=1, weights=weights, grey_stem=grey_stem)
    three = net.conv1[0].weight
    expected = share * (three[:, :1] + three[:, 1:2] + three[:, 2:])
    assert torch.allclose(model.net.conv1[0].weight, expected, atol=1e-6)
    assert torch.equal(model.net.layer4[0].conv1.weight, net.layer4[0].conv1.weight)


def test_a_summed_stem_answers_to_grey_as_three_did_to_its_copies(tmp_path):
    net = timm.create_model(SMALL, num_classes=2).eval()
    torch.save(net.state_dict(), tmp_path / "w.pt")
    model = build(channels=1, weights=str(tmp_path / "w.pt"))
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model.net(x), net(x.expand(-1, 3, -1, -1)), atol=1e-5)


# --- hidden layers


def test_a_hidden_layer_makes_a_head_of_three():
    model = build(classes=3, hidden=7)
    head = model.module(model.head_module)
    assert [type(layer) for layer in head] == [nn.Linear, nn.ReLU, nn.Linear]
    assert (head[0].in_features, head[0].out_features, head[2].out_features) == (512, 7, 3)
    assert model.logits(torch.rand(2, 3, 32, 32)).shape == (2, 3)
    assert model.linear_head is None
    with pytest.raises(UserError, match=r"cam needs global average pooling.*use grad_cam"):
        Cam().check(model)


def test_weights_of_a_linear_head_leave_the_hidden_one_fresh_and_its_own_fit(tmp_path):
    net = timm.create_model(SMALL, num_classes=1000)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    model = build(hidden=7, weights=str(tmp_path / "w.pt"))
    assert torch.equal(model.net.layer4[0].conv1.weight, net.layer4[0].conv1.weight)
    torch.save(model.net.state_dict(), tmp_path / "own.pt")
    again = build(hidden=7, weights=str(tmp_path / "own.pt"))
    assert torch.equal(again.net.fc[2].weight, model.net.fc[2].weight)


def test_an_architecture_without_a_linear_head_takes_no_hidden_layer():
    with pytest.raises(UserError, match="hidden: efficientformer_l1 has no linear head"):
        build("efficientformer_l1", hidden=7, size=(224, 224))


@pytest.mark.parametrize("architecture", ["tf_efficientnet_lite0", "resnet18"])
def test_a_fresh_head_begins_near_zero(architecture):
    """timm's EfficientNets draw a head of one output so wide that its logits begin at tens."""
    torch.manual_seed(0)
    plugin = Timm(architecture=architecture, weights="none", single_logit=True)
    model = plugin.build(task="binary", classes=("no", "yes"), channels=1, size=(64, 64))
    head = model.module(model.linear_head)
    assert head.weight.abs().max() <= 1 / head.in_features**0.5
    torch.manual_seed(0)
    raw = timm.create_model(architecture, num_classes=1, in_chans=1)
    as_timm = raw.get_classifier().weight
    # Where timm's own draw is narrow, it stays to the bit.
    assert torch.equal(as_timm, head.weight) == (architecture == "resnet18")
