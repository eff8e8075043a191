"""Raw attention against the softmax of one layer, written out."""

from __future__ import annotations

import pytest
import torch
from vit_twin import images_of, literal_logits, literal_map, literal_tokens, small_vit

from xaibench.checks.stage import toy_model
from xaibench.errors import UserError
from xaibench.explainers.raw_attention import RawAttention
from xaibench.models.base import PassCount


@pytest.mark.parametrize("block", [-1, 0, 3])
@torch.no_grad()
def test_equals_the_literal_twin(block):
    model, batch = small_vit(), images_of()
    maps = RawAttention(block)(model, batch).maps
    for image, found in zip(batch.images, maps, strict=True):
        layer = literal_logits(model, literal_tokens(model, image))[1][block]
        row = [sum(float(head[0, 1 + j]) for head in layer) / len(layer) for j in range(6)]
        torch.testing.assert_close(found, literal_map(torch.tensor(row)), rtol=1e-4, atol=1e-6)


def test_costs_one_pass_as_declared():
    model, batch = small_vit(), images_of()
    assert RawAttention()(model, batch).passes == RawAttention().cost(model, batch)
    assert RawAttention().cost(model, batch) == PassCount(3, 0)


@pytest.mark.parametrize("block", [6, -7])
def test_a_layer_that_is_not_there_is_refused(block):
    with pytest.raises(UserError, match=rf"`block` is from -6 to 5, got {block}"):
        RawAttention(block).check(small_vit())


def test_a_convolutional_network_is_refused():
    with pytest.raises(UserError, match="no self-attention"):
        RawAttention().check(toy_model())
