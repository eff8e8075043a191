"""Chefer's relevance against loops over layers, heads and tokens; targets; costs."""

from __future__ import annotations

import pytest
import torch
from vit_twin import images_of, literal_logits, literal_map, literal_tokens, small_vit

from xaibench.checks.stage import toy_model
from xaibench.errors import UserError
from xaibench.explainers.gradient_attention import GradientAttention
from xaibench.models.base import PassCount


def literal_relevance(model, image, target):
    """Chefer et al. 2021, equations 5 and 6: R = I; R += mean_h((dy/dA * A)^+) R."""
    logits, layers = literal_logits(model, literal_tokens(model, image))
    z = logits[0] if model.head == "single_logit" else logits[target]
    y = -z if model.head == "single_logit" and target == 0 else z
    gradients = torch.autograd.grad(y, layers)
    tokens = layers[0].shape[-1]
    relevance = torch.eye(tokens)
    for attention, gradient in zip(layers, gradients, strict=True):
        mean = torch.zeros(tokens, tokens)
        for a, g in zip(attention.detach(), gradient, strict=True):
            for i in range(tokens):
                for j in range(tokens):
                    mean[i, j] += max(0.0, float(a[i, j] * g[i, j])) / len(attention)
        relevance = relevance + mean @ relevance
    return relevance


@pytest.mark.parametrize("single_logit", [False, True])
def test_equals_the_literal_twin(single_logit):
    task, classes = ("binary", 2) if single_logit else ("multiclass", 3)
    model = small_vit(task=task, classes=classes, single_logit=single_logit)
    batch = images_of()
    maps = GradientAttention()(model, batch).maps
    assert maps.max() > 1e-3
    for image, target, found in zip(batch.images, batch.targets.tolist(), maps, strict=True):
        twin = literal_map(literal_relevance(model, image, target)[0, 1:])
        torch.testing.assert_close(found, twin, rtol=1e-3, atol=1e-5 * float(maps.max()))


def test_each_class_has_its_own_map():
    model, batch = small_vit(), images_of()
    maps = []
    for target in range(3):
        batch.targets.fill_(target)
        maps.append(GradientAttention()(model, batch).maps)
    assert not torch.allclose(maps[0], maps[1], rtol=0.1)
    assert not torch.allclose(maps[1], maps[2], rtol=0.1)


def test_a_class_without_weights_has_no_relevance():
    model, batch = small_vit(), images_of()
    with torch.no_grad():
        model.net.head.weight[1].zero_()
    batch.targets.fill_(1)
    assert not GradientAttention()(model, batch).maps.any()


def test_a_model_that_reads_its_patches_has_no_relevance_without_gradient():
    """The identity in R is taken away: without it every patch would have 1/6 for being itself."""
    model, batch = small_vit("test_vit2"), images_of()
    assert GradientAttention()(model, batch).maps.max() > 0
    with torch.no_grad():
        model.net.head.weight.zero_()
    assert not GradientAttention()(model, batch).maps.any()


def test_costs_one_pass_each_way_as_declared():
    model, batch = small_vit(), images_of()
    passes = GradientAttention()(model, batch).passes
    assert passes == GradientAttention().cost(model, batch) == PassCount(3, 3)


def test_whole_batch_equals_one_by_one_and_the_model_is_as_found():
    model, batch = small_vit(channels=1), images_of(channels=1)
    whole = GradientAttention()(model, batch).maps
    single = torch.cat([GradientAttention()(model, batch.take([i])).maps for i in range(3)])
    torch.testing.assert_close(whole, single, rtol=1e-4, atol=1e-5 * float(whole.max()))
    assert all(block.attn.fused_attn for block in model.net.blocks)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_a_convolutional_network_is_refused():
    with pytest.raises(UserError, match="no self-attention"):
        GradientAttention().check(toy_model())
