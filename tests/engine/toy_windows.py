"""Networks, images and boxes for the tests of windows."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from timm.layers import Conv2dSame
from torch import nn
from torch.nn import functional as F

from xaibench.engine import BoxMasks
from xaibench.engine.network import forward_network
from xaibench.engine.windows import scores
from xaibench.engine.windows.plan import local_steps
from xaibench.models.base import Classifier
from xaibench.types import Head

SIZE = (19, 21)
# One pixel, a common window, two that stick out, one in a corner, nothing, outside, a whole image.
BOXES = [[7, 8, 20, 21], [8, 16, 0, 8], [-3, 5, 10, 18], [28, 40, 29, 50], [0, 4, 0, 4],
         [5, 5, 0, 30], [70, 80, 3, 9], [-9, 99, -9, 99], [16, 24, 16, 24]]  # fmt: skip


def classifier(net: nn.Module, head: Head = "softmax", channels: int = 3, **others) -> Classifier:
    """Wrap a network that is as trained: batch norms with statistics, no branch scaled to zero."""
    generator = torch.Generator().manual_seed(0)
    drawn = lambda t, low: t.copy_(low + torch.rand(t.shape, generator=generator))
    with torch.no_grad():
        for norm in net.modules():
            if isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats:
                drawn(norm.running_mean, -0.5), drawn(norm.running_var, 0.5)
                drawn(norm.weight, 0.5), drawn(norm.bias, -0.5)
    return Classifier(
        net, head=head, classes=("a", "b"), mean=(0.5,) * channels, std=(0.25,) * channels,
        cam_layer=None, linear_head=None, pool=None, input_shape=(channels, 32, 32), **others,
    ).eval()  # fmt: skip


def question(images: int = 2, size=(32, 40), boxes=BOXES, channels: int = 3, count=None) -> tuple:
    """Return random images, fills, targets and boxes, the same in every image."""
    generator = torch.Generator().manual_seed(1)
    x, fills = torch.rand(2, images, channels, *size, generator=generator)
    counts = torch.full((images,), len(boxes) if count is None else count)
    return x, fills, torch.arange(images) % 2, BoxMasks(torch.tensor(boxes), size, counts)


def patches_of(model: Classifier) -> set[str]:
    """Return the names of the steps that were done on patches the last time."""
    passes = scores._PASSES[forward_network(model).net][1]
    return set() if passes is None else {node.name for node in passes._reach}


def recompute_everything(monkeypatch) -> None:
    """Make patches of whatever can be made of patches, whether that saves anything or not."""
    plan = lambda flow, shapes, window, *_: local_steps(flow, shapes, window)
    monkeypatch.setattr(scores, "best_plan", plan)


class Mixed(nn.Module):
    """Branches of several reaches, added, multiplied and joined; steps in place; a mean pool."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.wide = nn.Conv2d(8, 8, 5, 1, 4, dilation=2, groups=4)
        self.act = nn.ReLU(inplace=True)
        self.mean = nn.AvgPool2d(3, 1, 1)
        self.norm = nn.BatchNorm2d(16)
        self.down = nn.Conv2d(16, 12, 2, 2)
        self.scale = nn.Parameter(torch.tensor([0.5, 2.0, -1.0] * 4).view(12, 1, 1))
        self.head = nn.Linear(12, outputs)

    def forward(self, x):
        x = self.stem(x)
        y = self.wide(x)
        y += self.mean(x)
        y = torch.cat([self.act(y), 2 * x], dim=1)
        y = F.max_pool2d(self.down(F.relu(self.norm(y))) * self.scale, 2)
        return self.head(y.mean((2, 3)))


def mixed(head: Head = "softmax", **others) -> Classifier:
    torch.manual_seed(0)
    return classifier(Mixed(1 if head == "single_logit" else 2), head, **others)


@st.composite
def kernels(draw, channels=4):
    """Draw a convolution or a pool that slides over maps of ``channels`` channels."""
    side = lambda least, most: (draw(st.integers(least, most)), draw(st.integers(least, most)))
    kernel, stride, dilation = side(1, 4), side(1, 3), side(1, 2)
    kind = draw(st.sampled_from(["conv", "same", "tf_same", "max", "average"]))
    half = (kernel[0] // 2, kernel[1] // 2)
    if kind in ("max", "average"):
        ceil = draw(st.booleans())
        if kind == "max":
            return nn.MaxPool2d(kernel, stride, half, dilation, ceil_mode=ceil)
        counted = draw(st.booleans())
        return nn.AvgPool2d(kernel, stride, half, ceil_mode=ceil, count_include_pad=counted)
    groups = draw(st.sampled_from([1, 2, 4]))
    if kind == "same":
        odd = (kernel[0] | 1, kernel[1] | 1)  # torch warns of even ones
        return nn.Conv2d(channels, 4, odd, 1, "same", dilation, groups)
    if kind == "tf_same":
        return Conv2dSame(channels, 4, kernel, stride, 0, dilation, groups)
    return nn.Conv2d(channels, 4, kernel, stride, side(0, 3), dilation, groups)


@st.composite
def stacks(draw):
    """Draw a convolutional network without a head, seeded."""
    layers = draw(st.lists(kernels(), min_size=1, max_size=3))
    with torch.random.fork_rng():
        torch.manual_seed(draw(st.integers(0, 9)))
        net = nn.Sequential(nn.Conv2d(2, 4, 1), *layers)
        for conv in net.modules():
            if isinstance(conv, nn.Conv2d):
                conv.reset_parameters()
    return net.requires_grad_(False).eval()


def fits(net: nn.Module) -> bool:
    """Say whether maps stay larger than the kernels."""
    try:
        with torch.no_grad():
            net(torch.zeros(1, 2, *SIZE))
    except RuntimeError:
        return False
    return True
