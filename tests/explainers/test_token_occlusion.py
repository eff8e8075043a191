"""Token occlusion against a forward pass written out over the tokens that are kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from vit_twin import images_of, literal_logits, literal_tokens, small_vit

from xaibench.checks.stage import toy_model
from xaibench.engine.dropped_tokens import dropped_scores
from xaibench.errors import UserError
from xaibench.explainers.token_occlusion import TokenOcclusion
from xaibench.models.base import PassCount
from xaibench.models.timm import Timm


def literal_score(model, image, target, kept):
    tokens = literal_tokens(model, image)
    chosen = torch.stack([tokens[0], *(tokens[1 + j] for j in kept)])
    return float(literal_logits(model, chosen)[0].softmax(0)[target])


def literal_map(model, image, target, window, stride):
    rows, columns = model.tokens.grids[0]
    full = literal_score(model, image, target, range(rows * columns))
    total, times = torch.zeros(rows, columns), torch.zeros(rows, columns)
    starts = lambda side: range(0, max(side - window, 0) + stride, stride)
    for top in starts(rows):
        for left in starts(columns):
            inside = [
                (i, j)
                for i in range(top, min(top + window, rows))
                for j in range(left, min(left + window, columns))
            ]
            gone = {i * columns + j for i, j in inside}
            kept = [t for t in range(rows * columns) if t not in gone]
            drop = full - literal_score(model, image, target, kept)
            for i, j in inside:
                total[i, j] += drop
                times[i, j] += 1
    mean = total / times
    height, width = image.shape[1] // rows, image.shape[2] // columns
    return mean.repeat_interleave(height, 0).repeat_interleave(width, 1)


@pytest.mark.parametrize(
    ("size", "window", "stride"),
    [((32, 48), 1, 1), ((48, 80), 2, 2), ((48, 64), 2, 1), ((48, 80), 3, 2)],
)
@torch.no_grad()
def test_equals_the_literal_twin(size, window, stride):
    model, batch = small_vit(size=size), images_of(size)
    model.batch_size = 4  # parts that begin in the middle of an image
    explainer = TokenOcclusion(window, stride)
    explainer.check(model)
    explanation = explainer(model, batch)
    assert explanation.maps.abs().max() > 1e-3
    for i, target in enumerate(batch.targets.tolist()):
        twin = literal_map(model, batch.images[i], target, window, stride)
        torch.testing.assert_close(explanation.maps[i], twin, rtol=1e-3, atol=1e-5)
    rows, columns = model.tokens.grids[0]
    along = lambda side: 1 + -(-(side - window) // stride)
    assert explainer.cost(model, batch) == PassCount(3 * along(rows) * along(columns))
    # The unmasked images are counted for nobody: all explainers of a block share them.
    assert explanation.passes == explainer.cost(model, batch)


@torch.no_grad()
def test_without_nothing_it_is_the_plain_score():
    model, batch = small_vit(), images_of()
    none = torch.zeros(2, 6, dtype=torch.bool)
    scores = dropped_scores(model, batch.images, batch.targets, none)
    plain = model.score(batch.images, batch.targets)
    torch.testing.assert_close(scores, plain[:, None].expand(-1, 2))


def test_a_head_that_does_not_see_patches_gives_zeros():
    model, batch = small_vit(), images_of()
    with torch.no_grad():
        for block in model.net.blocks:
            block.attn.proj.weight.zero_()
    assert TokenOcclusion()(model, batch).maps == pytest.approx(torch.zeros(3, 32, 48), abs=1e-6)


@torch.no_grad()
def test_of_a_mean_of_linear_tokens_it_is_the_difference_of_means():
    """Without blocks and norms the logit is the mean of w t_j: t_j is worth the change of it."""
    model, batch = small_vit("test_vit2"), images_of()
    net = model.net
    net.blocks, net.fc_norm = nn.Sequential(), nn.Identity()
    net.norm = net.norm_pre = nn.Identity()
    maps = TokenOcclusion(space="logit")(model, batch).maps
    for i, target in enumerate(batch.targets.tolist()):
        values = literal_tokens(model, batch.images[i])[1:] @ net.head.weight[target]
        for j in range(6):
            rest = torch.cat([values[:j], values[j + 1 :]]).mean()
            pixel = maps[i, 16 * (j // 3), 16 * (j % 3)]
            torch.testing.assert_close(pixel, values.mean() - rest, rtol=1e-3, atol=1e-5)


def test_whole_batch_equals_one_by_one_and_no_hook_is_left():
    model, batch = small_vit("deit_tiny_distilled_patch16_224", channels=1), images_of(channels=1)
    whole = TokenOcclusion()(model, batch).maps
    single = torch.cat([TokenOcclusion()(model, batch.take([i])).maps for i in range(3)])
    torch.testing.assert_close(whole, single, rtol=1e-4, atol=1e-6)
    assert not any(module._forward_hooks for module in model.modules())


def from_timm(architecture, size=(32, 48)):
    return Timm(architecture, weights="none").build(
        task="binary", classes=("a", "b"), channels=3, size=size
    )


@pytest.mark.parametrize(
    ("model", "explainer", "why"),
    [
        (toy_model, TokenOcclusion(), "has no tokens that can be left out; it needs a transformer"),
        (
            lambda: from_timm("swin_tiny_patch4_window7_224", (64, 96)),
            TokenOcclusion(),
            "has no tokens that can be left out",
        ),
        (lambda: from_timm("test_vit", (16, 16)), TokenOcclusion(), "one patch alone"),
        (lambda: from_timm("test_vit"), TokenOcclusion(3), "leaves out all of the model's 2 x 3"),
    ],
    ids=["cnn", "swin", "one", "all"],
)
def test_models_that_cannot_are_told_why(model, explainer, why):
    model = model()
    with pytest.raises(UserError, match=why):
        explainer.check(model)
    assert model.passes == PassCount(0, 0)


def test_a_stride_beyond_the_window_is_refused():
    with pytest.raises(UserError, match="make stride at most window"):
        TokenOcclusion(1, 2).validate()
