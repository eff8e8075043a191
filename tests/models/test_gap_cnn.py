"""The residual network with global average pooling: its map, its head, its CAM."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch
from xaibench.errors import UserError
from xaibench.explainers.cam import Cam
from xaibench.models.gap_cnn import GapCnn


def build(channels=1, size=(32, 32), task="binary", classes=("no", "yes"), **options):
    torch.manual_seed(0)
    return GapCnn(**options).build(task=task, classes=classes, channels=channels, size=size).eval()


def last_map(model, images):
    seen = []
    hook = model.module(model.cam_layer).register_forward_hook(lambda *a: seen.append(a[2]))
    with torch.no_grad():
        model.logits(images)
    hook.remove()
    return seen[0]


def test_an_image_of_256_gives_a_map_of_16_by_16_by_512():
    model = build(size=(256, 256))
    assert last_map(model, model.example()).shape == (1, 512, 16, 16)
    assert model.module(model.linear_head).weight.shape == (2, 512)


@pytest.mark.parametrize("size", [(33, 50), (16, 16)])
def test_any_size_and_width(size):
    model = build(channels=3, size=size, width=4)
    assert last_map(model, model.example()).shape[1] == 32
    assert model.logits(model.example()).shape == (1, 2)


@pytest.mark.parametrize(
    ("options", "head", "outputs"),
    [({}, "softmax", 2), ({"single_logit": True}, "single_logit", 1)],
)
def test_two_classes_on_two_outputs_or_one(options, head, outputs):
    model = build(width=4, **options)
    assert model.head == head
    assert model.logits(model.example()).shape == (1, outputs)


def test_a_block_adds_its_input():
    """With its second convolution's norm at zero a block of one shape is relu(x)."""
    block = build(width=4).net.stage1[0]
    torch.nn.init.zeros_(block.second[1].weight)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("single_logit", [False, True])
def test_cam_is_the_literal_sum_over_the_maps(single_logit):
    model, batch = build(width=4, single_logit=single_logit), toy_batch(channels=1)
    Cam().check(model)
    features, weight = last_map(model, batch.images), model.net.fc.weight.detach()
    twin = torch.zeros(len(batch.images), *features.shape[2:])
    for i, target in enumerate(batch.targets.tolist()):
        sign = (2 * target - 1) if single_logit else 1
        for k in range(features.shape[1]):
            twin[i] += sign * weight[0 if single_logit else target, k] * features[i, k]
    twin = F.interpolate(twin[:, None], batch.images.shape[2:], mode="bilinear")[:, 0]
    assert torch.allclose(Cam()(model, batch).maps, twin, atol=1e-5)


def test_its_stages_hold_all_but_the_head():
    model = build(width=4)
    inside = tuple(f"{name}." for stage in model.stages for name in stage)
    left = {name for name, _ in model.net.named_parameters() if not name.startswith(inside)}
    assert left == {"fc.weight", "fc.bias"}
    assert [stage[0] for stage in model.stages] == ["stem", "stage1", "stage2", "stage3", "stage4"]
    with pytest.raises(UserError, match="no module 'stage5'"):
        model.module("stage5")
