"""AttnLRP against its rules written out layer by layer, and where it does not apply."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import UserError
from xaibench.explainers.attn_lrp import AttnLrp
from xaibench.models.base import Classifier

SIDE, PATCH = 24, 8


def transformer(name="vit_tiny_patch16_224", head="softmax", channels=3, **options) -> Classifier:
    torch.manual_seed(0)
    small = {"img_size": SIDE, "patch_size": PATCH, "embed_dim": 8, "in_chans": channels}
    if name.startswith("vit"):
        small |= {"depth": 2, "num_heads": 2, "class_token": True}
    outputs = 1 if head == "single_logit" else 2
    net = timm.create_model(name, num_classes=outputs, **small | options).eval()
    with torch.no_grad():  # far from initial zeros, so that every rule matters
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return Classifier(
        net,
        head=head,
        classes=("a", "b"),
        mean=(0.4,) * channels,
        std=(0.3,) * channels,
        cam_layer=None,
        linear_head="head",
        pool=None,
        input_shape=(channels, SIDE, SIDE),
        batch_size=4,
    ).eval()


def images_of(channels=3, count=3):
    batch = toy_batch(channels, count)
    cut = lambda maps: maps[..., :SIDE, :SIDE].contiguous()
    masks = {k: cut(v) for k, v in batch.masks.items()}
    return replace(batch, images=cut(batch.images), segments=cut(batch.segments), masks=masks)


def lrp_norm(norm, x, relevance):
    """y = (x - mean(x)) s w + b with s constant: a linear layer, so the epsilon rule over x."""
    n = x.shape[-1]
    scale = 1 / (x.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    y = norm(x)
    matrix = torch.eye(n) - torch.full((n, n), 1 / n)
    out = torch.zeros_like(x)
    for t in range(len(x)):
        for j in range(n):
            out[t] += x[t] * matrix[:, j] * scale[t] * norm.weight[j] / y[t, j] * relevance[t, j]
    return out


def lrp_linear(layer, x, relevance):
    y = layer(x)
    out = torch.zeros_like(x)
    for t in range(len(x)):
        for j in range(len(layer.weight)):
            out[t] += x[t] * layer.weight[j] / y[t, j] * relevance[t, j]
    return out


def lrp_attention(attn, x, relevance, through_softmax):
    """Relevance of the tokens that enter an attention, from that of what leaves it."""
    count, heads = len(x), attn.num_heads
    qkv = attn.qkv(x)
    q, k, v = (part.view(count, heads, -1) for part in qkv.chunk(3, dim=-1))
    logits = torch.einsum("ihd,jhd->hij", q, k) * attn.scale
    weights = logits.softmax(-1)
    mixed = torch.einsum("hij,jhd->ihd", weights, v)
    down = lrp_linear(attn.proj, mixed.flatten(1), relevance).view_as(mixed)
    rq, rk, rv = (torch.zeros_like(part) for part in (q, k, v))
    for h in range(heads):
        to_weights = torch.zeros(count, count)
        for i in range(count):
            for j in range(count):
                share = weights[h, i, j] * v[j, h] / mixed[i, h] * down[i, h]
                half = 2 if through_softmax else 1
                rv[j, h] += share / half
                to_weights[i, j] = share.sum() / 2
        if not through_softmax:
            continue
        for i in range(count):  # softmax: x_j (R_j - s_j sum R)
            total = to_weights[i].sum()
            to_logits = logits[h, i] * (to_weights[i] - weights[h, i] * total)
            # R of the product is its output times the Taylor gradient; it shares equally again.
            for j in range(count):
                share = q[i, h] * k[j, h] * attn.scale / logits[h, i, j] * to_logits[j]
                # The weights' relevance is w x gradient, so the gradient at the logit is the
                # softmax's derivative of it.
                rq[i, h] += share / 2
                rk[j, h] += share / 2
    together = torch.cat([part.flatten(1) for part in (rq, rk, rv)], dim=-1)
    return lrp_linear(attn.qkv, x, together)


def lrp_residual(x, branch, relevance):
    total = x + branch
    return x / total * relevance, branch / total * relevance


def twin(net, image, target, through_softmax):
    weight = net.patch_embed.proj.weight.flatten(1)
    patches = image.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH)
    patches = patches.permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1)
    embedded = patches @ weight.T + net.patch_embed.proj.bias
    tokens = torch.cat([net.cls_token[0], embedded]) + net.pos_embed[0]
    before = []
    for block in net.blocks:
        middle = tokens + block.attn(block.norm1(tokens)[None])[0]
        before.append((tokens, middle))
        tokens = middle + block.mlp(block.norm2(middle)[None])[0]
    normed = net.norm(tokens)
    logit = net.head(normed[0])[target]
    down = torch.zeros_like(tokens)
    down[0] = normed[0] * net.head.weight[target] / logit * logit
    down = lrp_norm(net.norm, tokens, down)
    for block, (start, middle) in zip(reversed(net.blocks), reversed(before), strict=True):
        hidden = block.mlp.fc1(block.norm2(middle))
        active = block.mlp.act(hidden)
        stays, goes = lrp_residual(middle, block.mlp.fc2(active), down)
        goes = lrp_linear(block.mlp.fc2, active, goes)  # the activation hands it on as it is
        goes = lrp_linear(block.mlp.fc1, block.norm2(middle), goes)
        down = stays + lrp_norm(block.norm2, middle, goes)
        branch = block.attn(block.norm1(start)[None])[0]
        stays, goes = lrp_residual(start, branch, down)
        goes = lrp_attention(block.attn, block.norm1(start), goes, through_softmax)
        down = stays + lrp_norm(block.norm1, start, goes)
    share = embedded / (embedded + net.pos_embed[0, 1:]) * down[1:]
    out = torch.zeros_like(patches)
    for i in range(len(patches)):
        for o in range(len(weight)):
            out[i] += patches[i] * weight[o] / embedded[i, o] * share[i, o]
    grid = SIDE // PATCH
    out = out.view(grid, grid, image.shape[0], PATCH, PATCH).permute(2, 0, 3, 1, 4)
    return out.reshape(image.shape).sum(0)


@pytest.mark.parametrize("variant", ["attn_lrp", "cp_lrp"])
def test_equal_to_the_rules_written_out(variant):
    model, batch = transformer().double(), images_of(count=2)
    batch = replace(batch, images=batch.images.double())
    maps = AttnLrp(variant).attribute(model, batch)
    for i, target in enumerate(batch.targets.tolist()):
        image = (batch.images[i] - model.mean[0]) / model.std[0]
        with torch.no_grad():
            wanted = twin(model.net, image, target, variant == "attn_lrp")
        torch.testing.assert_close(maps[i], wanted, rtol=1e-6, atol=1e-9)


def test_a_linear_head_on_one_patch_is_answered_with_contributions():
    """Without blocks and with the identity as norm all that is left is linear."""
    model, batch = transformer(depth=0, class_token=False, global_pool="avg", norm_layer=None), None
    net = model.net
    net.norm = net.fc_norm = torch.nn.Identity()
    torch.nn.init.zeros_(net.pos_embed)
    batch = images_of()
    maps = AttnLrp().attribute(model, batch)
    assert maps.shape == (3, SIDE, SIDE)
    images = batch.images.clone().requires_grad_()
    score = model.score(images, batch.targets, "logit").sum()
    (gradient,) = torch.autograd.grad(score, images)
    torch.testing.assert_close(maps, ((batch.images - model.mean) * gradient).sum(1))


def test_outputs_stay_and_the_model_is_given_back():
    model, batch = transformer(), images_of()
    before = model.score(batch.images, batch.targets)
    made = AttnLrp()(model, batch)
    assert made.passes == AttnLrp().cost(model, batch)
    assert not any(m._forward_hooks for m in model.modules())
    torch.testing.assert_close(model.score(batch.images, batch.targets), before)


def test_class_0_of_a_single_logit_is_the_opposite_of_class_1():
    model, batch = transformer(head="single_logit"), images_of()
    ones, zeros = torch.ones_like(batch.targets), torch.zeros_like(batch.targets)
    one, zero = (AttnLrp()(model, replace(batch, targets=t)).maps for t in (ones, zeros))
    torch.testing.assert_close(one, -zero)


def test_a_swin_is_explained():
    torch.manual_seed(0)
    net = timm.create_model(
        "swin_tiny_patch4_window7_224",
        img_size=SIDE,
        patch_size=2,
        window_size=3,
        embed_dim=8,
        depths=(2, 2),
        num_heads=(2, 2),
        num_classes=2,
    )
    model = transformer()
    model.net = net.eval()
    maps = AttnLrp()(model, images_of()).maps
    assert maps.abs().sum((1, 2)).min() > 0


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (toy_model, "attn_lrp: the network has no attention; zennit.epsilon_plus has rules"),
        (lambda: transformer("eva02_tiny_patch14_224", depth=1, patch_size=8, embed_dim=192),
         "there are no rules for the network's EvaAttention"),
    ],
)  # fmt: skip
def test_what_has_no_rules_is_said(model, why):
    with pytest.raises(UserError, match=why):
        AttnLrp().check(model())
