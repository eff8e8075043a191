"""Square occlusion against captum's Occlusion and against a loop over its windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from captum.attr import Occlusion

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import masked_scores
from xaibench.engine.windows.passes import WindowPass
from xaibench.errors import UserError
from xaibench.explainers import square_occlusion
from xaibench.explainers.square_occlusion import SquareOcclusion
from xaibench.models.base import Classifier

# 10 does not divide the side of 32, 32 covers it, (12, 5) leaves windows cut at the border.
APART = [(4, 4), (8, 8), (10, 10), (16, 16), (32, 32)]
OVERLAPPING = [(8, 4), (12, 5), (16, 8), (9, 6)]


def captum_map(model, batch, window, stride, fill):
    """Captum's map of the same score; it averages overlapping windows too."""
    channels = batch.images.shape[1]
    maps = Occlusion(model.score).attribute(
        batch.images,
        sliding_window_shapes=(channels, window, window),
        strides=(channels, stride, stride),
        baselines=fill,
        additional_forward_args=(batch.targets,),
    )
    return maps[:, 0].detach()


@torch.no_grad()
def literal_map(model, image, target, window, stride, fill):
    """Zeiler and Fergus: mean of f(x) - f(x with the window filled), over the windows of a pixel.

    Windows start at 0, stride, 2 stride, ... until one reaches the border.
    """
    height, width = image.shape[1:]
    total, count = np.zeros((height, width)), np.zeros((height, width))
    f = lambda x: float(model.score(x[None], target[None]))
    top = 0
    while True:
        left = 0
        while True:
            rows, columns = slice(top, top + window), slice(left, left + window)
            hidden = image.clone()
            hidden[:, rows, columns] = fill
            total[rows, columns] += f(image) - f(hidden)
            count[rows, columns] += 1
            if left + window >= width:
                break
            left += stride
        if top + window >= height:
            break
        top += stride
    return total / count


@pytest.mark.parametrize(("window", "stride"), APART + OVERLAPPING)
def test_equals_captum(window, stride):
    model, batch = toy_model(), toy_batch()
    fill = 0.0 if window % 4 else 0.35
    maps = SquareOcclusion(window, stride, fill)(model, batch).maps
    peer = captum_map(model, batch, window, stride, fill)
    assert maps == pytest.approx(peer, abs=1e-5)


@pytest.mark.parametrize(("window", "stride"), [(10, 10), (12, 5), (16, 8)])
@pytest.mark.parametrize("head", ["softmax", "single_logit", "multilabel"])
def test_equals_loop_over_windows(window, stride, head):
    model, batch = toy_model(head), toy_batch(images=2)
    maps = SquareOcclusion(window, stride, 0.35)(model, batch).maps
    for i in range(len(batch)):
        twin = literal_map(model, batch.images[i], batch.targets[i], window, stride, 0.35)
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-5)


def test_default_fill_is_the_mean_of_the_data():
    model, batch = toy_model(), toy_batch(images=2)
    maps = SquareOcclusion()(model, batch).maps
    mean = batch.dataset_mean[:, None, None]
    twin = literal_map(model, batch.images[1], batch.targets[1], 16, 8, mean)
    assert maps[1].numpy() == pytest.approx(twin, abs=1e-5)


def test_oblong_images():
    model, batch = toy_model(), toy_batch(images=1)
    batch = replace(
        batch,
        images=batch.images[..., :20],
        masks={name: mask[..., :20] for name, mask in batch.masks.items()},
        segments=batch.segments[..., :20],
    )
    maps = SquareOcclusion(8, 6, 0.5)(model, batch).maps
    twin = literal_map(model, batch.images[0], batch.targets[0], 8, 6, 0.5)
    assert maps[0].numpy() == pytest.approx(twin, abs=1e-5)


@pytest.mark.parametrize(("window", "stride", "windows"), [(16, 16, 4), (16, 8, 9), (10, 10, 16)])
def test_costs_one_pass_a_window(window, stride, windows):
    model, batch = toy_model(), toy_batch()
    passes = SquareOcclusion(window, stride)(model, batch).passes
    assert (passes.forward, passes.backward) == (windows * len(batch), 0)


@pytest.mark.parametrize("fill", ["blur", "black"])
def test_the_same_map_as_of_whole_passes(fill, monkeypatch):
    """On a network and windows that are worth recomputing apart."""
    torch.manual_seed(0)
    net = timm.create_model("resnet18", num_classes=2, zero_init_last=False)
    model = Classifier(
        net, head="softmax", classes=("a", "b"), mean=(0.5,) * 3, std=(0.25,) * 3, cam_layer=None,
        linear_head=None, pool=None, input_shape=(3, 96, 96),
    ).eval()  # fmt: skip
    images = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    flat = torch.zeros(1, 96, 96)
    batch = replace(
        toy_batch(images=1), images=images, masks={"evidence": flat > 0}, segments=flat.long()
    )
    explainer, recomputed = SquareOcclusion(16, 16, fill, "logit"), []
    run = WindowPass.logits
    spy = lambda *args: (recomputed.append(1), run(*args))[1]
    monkeypatch.setattr(WindowPass, "logits", spy)
    apart = explainer(model, batch)
    assert recomputed == [1]
    monkeypatch.setattr(square_occlusion, "window_scores", masked_scores)
    whole = explainer(model, batch)
    assert recomputed == [1]
    assert apart.maps == pytest.approx(whole.maps, abs=1e-5)
    assert apart.passes == whole.passes
    assert whole.maps.abs().max() > 1e-3


def test_stride_beyond_window_is_refused():
    with pytest.raises(UserError, match=r"stride 9 is larger than window 8.*at most window"):
        SquareOcclusion(window=8, stride=9).validate()
