"""Layers drawn anew: their order, what each becomes, and a network that stays alive."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from xaibench.models.gap_cnn import GapCnn
from xaibench.networks.randomisation import draw_anew, layers_of, pictures
from xaibench.randomness import image_seed

IMAGES = (pictures((3, 64, 64), seed=0) - 0.5) / 0.25


def gap_cnn(seed: int = 5) -> nn.Module:
    torch.manual_seed(seed)
    plugin = GapCnn(width=4)
    return plugin.build(task="binary", classes=("a", "b"), channels=3, size=(64, 64)).net.eval()


class Crossed(nn.Module):
    """Registered in another order than executed; with a part that is read and never called."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.first = nn.Conv2d(3, 4, 3)
        self.attention = nn.MultiheadAttention(4, 1, batch_first=True)
        self.offset = nn.Parameter(torch.randn(3, 1, 1))
        self.flat = nn.Parameter(torch.ones(2))

    def forward(self, x):
        x = self.first(x + self.offset).flatten(2).mT
        return self.last(self.attention(x, x, x)[0].mean(1)) * self.flat


def test_layers_stand_in_the_order_of_execution():
    net = Crossed().eval()
    assert layers_of(net, IMAGES[:1, :, :8, :8]) == [
        "", "first", "attention", "attention.out_proj", "last",
    ]  # fmt: skip
    assert not any(m._forward_pre_hooks for m in net.modules())
    names = layers_of(gap_cnn(), IMAGES[:1])
    assert names[0].startswith("stem")
    assert names[-1] == "fc"


def test_hooks_are_taken_away_after_an_exception():
    net = gap_cnn()
    with pytest.raises(RuntimeError):
        layers_of(net, IMAGES[:1, :2])
    assert not any(m._forward_pre_hooks for m in net.modules())


def test_a_layer_is_drawn_by_its_own_reset_seeded_by_its_name():
    """The same whichever others are drawn with it; the rest and torch's generator untouched."""
    one, other, found = gap_cnn(), gap_cnn(seed=6), gap_cnn()
    state = torch.get_rng_state()
    draw_anew(one, ["fc"], IMAGES, seed=3)
    draw_anew(other, layers_of(other, IMAGES[:1]), IMAGES, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    twin = nn.Linear(one.fc.in_features, 2)
    torch.manual_seed(image_seed(3, "fc"))
    twin.reset_parameters()
    for net in (one, other):
        assert torch.equal(net.fc.weight, twin.weight)
        assert torch.equal(net.fc.bias, twin.bias)
    for name, values in one.state_dict().items():
        assert torch.equal(values, found.state_dict()[name]) != name.startswith("fc")


def test_a_layer_without_a_reset_keeps_mean_and_spread():
    net = Crossed().eval()
    net.offset.data = torch.randn(3, 1, 1) * 5 + 100
    mean, before = net.offset.mean().item(), net.offset.clone()
    draw_anew(net, [""], IMAGES[:, :, :8, :8], seed=0)
    assert not torch.equal(net.offset, before)
    assert abs(net.offset.mean().item() - mean) < 25
    assert torch.equal(net.flat, torch.ones(2))  # what is the same everywhere has learnt nothing


def test_batch_norms_take_the_statistics_of_the_images():
    """Against those of what the convolution before it gives; modes and momenta as they were."""
    net = gap_cnn()
    draw_anew(net, layers_of(net, IMAGES[:1]), IMAGES, seed=0)
    stem = net.stem
    given = stem[0](IMAGES)
    assert stem[1].running_mean.numpy() == pytest.approx(given.mean((0, 2, 3)).detach(), abs=1e-5)
    assert stem[1].running_var.numpy() == pytest.approx(given.var((0, 2, 3)).detach(), rel=1e-4)
    assert not any(m.training for m in net.modules())
    assert {m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_batch_norms_that_are_not_drawn_keep_what_they_learnt():
    net, found = gap_cnn(), gap_cnn().state_dict()
    names = layers_of(net, IMAGES[:1])
    draw_anew(net, names[-3:], IMAGES, seed=0)
    kept = {k for k, v in net.state_dict().items() if torch.equal(v, found[k])}
    changed = {k.rpartition(".")[0] for k in set(found) - kept}
    assert changed <= set(names[-3:])
    assert "fc" in changed


@pytest.mark.parametrize("name", ["resnet10t", "efficientnet_b0"])
def test_a_deep_network_still_tells_images_apart(name):
    """Without the statistics EfficientNet-B0's logits are equal to the last bit."""
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=2).eval()
    draw_anew(net, layers_of(net, IMAGES[:1]), IMAGES, seed=0)
    with torch.no_grad():
        logits = net((pictures((3, 64, 64), seed=1)[:6] - 0.5) / 0.25)
    assert logits.std(0).min() > 0.01


def test_pictures_are_seeded_and_in_the_unit_range():
    first = pictures((1, 24, 40), seed=4)
    assert first.shape == (16, 1, 24, 40)
    assert torch.equal(first, pictures((1, 24, 40), seed=4))
    assert not torch.equal(first, pictures((1, 24, 40), seed=5))
    assert 0 <= first.min() < 0.25
    assert 0.75 < first.max() <= 1
