"""Weights in bfloat16: sums of filters and biases are kept."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from xaibench.masking.folding import folded
from xaibench.masking.rounding import round_weights, rounded_filters

GENERATOR = torch.Generator().manual_seed(0)


def literal(weight: torch.Tensor) -> torch.Tensor:
    """One filter at a time: the second smallest takes the loss, then the smallest the rest."""
    out = weight.clone()
    for o in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            exact = weight[o, i].flatten().tolist()
            near = [float(torch.tensor(v).bfloat16()) for v in exact]
            places = sorted(range(len(exact)), key=lambda k: abs(exact[k]))
            for k in (places[1], places[0]) if len(exact) > 1 else ():
                value = near[k] + sum(e - n for e, n in zip(exact, near, strict=True))
                near[k] = float(torch.tensor(value, dtype=torch.float64).bfloat16())
            out[o, i] = torch.tensor(near).view(weight.shape[2:])
    return out


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (6, 1, 5, 5), (4, 8, 1, 1), (2, 2, 1, 2)])
def test_equals_a_literal_twin(shape):
    weight = torch.randn(shape, generator=GENERATOR)
    assert torch.equal(rounded_filters(weight).float(), literal(weight))


def test_an_edge_detector_stays_blind_to_brightness():
    edge = torch.randn(64, 1, 3, 3, generator=GENERATOR)
    edge -= edge.mean((2, 3), keepdim=True)
    plain = edge.bfloat16().float().sum((2, 3)).abs().mean()
    kept = rounded_filters(edge).float().sum((2, 3)).abs().mean()
    assert kept < plain / 20
    assert (rounded_filters(edge).float() - edge).abs().max() < 0.02


def test_by_hand():
    """1 + 2^-9 rounds to 1, and 2^-8 and 2^-6 have room for what it lost."""
    weight = torch.tensor([1 + 2**-9, 2**-8, 2**-6, 1.0]).view(1, 1, 2, 2)
    assert rounded_filters(weight).float().flatten().tolist() == [1, 2**-8, 2**-6 + 2**-9, 1]


def test_biases_and_norms_stay_in_float32():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False)
    ).eval()
    net[0].bias.data.fill_(1 + 2**-12)
    net[1].running_mean.fill_(1 + 2**-12)
    round_weights(net)
    with torch.inference_mode():
        black = net[0](torch.zeros(1, 3, 3, 3, dtype=torch.bfloat16))
        assert net[0].bias.flatten().tolist() == [1 + 2**-12] * 4
        assert black.dtype == net(torch.rand(1, 3, 8, 8).bfloat16()).dtype == torch.bfloat16
    assert black.flatten().tolist() == [1] * 4  # rounded once, behind the addition
    assert net[1].running_mean.tolist() == [1 + 2**-12] * 4
    assert net[2].bias is None


@pytest.mark.parametrize("architecture", ["resnet18", "densenet121"])
def test_pooled_features_move_less_than_with_plain_rounding(architecture):
    torch.manual_seed(0)
    net = timm.create_model(architecture, num_classes=2).train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.5)
    images = torch.rand(16, 3, 64, 64)
    with torch.no_grad():
        for _ in range(8):
            net(images)
        net = folded(net.eval())
        pooled = lambda n, x: n.forward_features(x).float().mean((2, 3))
        exact = pooled(net, images)
        plain, kept = folded(net).bfloat16(), folded(net)
        round_weights(kept)
        errors = [(pooled(n, images.bfloat16()) - exact).pow(2).mean() for n in (kept, plain)]
    assert errors[0] < errors[1]
