"""A residual CNN that keeps a large last map, for class activation maps."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from xaibench.models.base import Classifier, Model, head_for
from xaibench.registry import register
from xaibench.types import Task

_STAGES, _BLOCKS = 4, 2


@register("model")
@dataclass(frozen=True)
class GapCnn(Model):
    """Four stages of two residual blocks, global average pooling, one linear layer.

    A stem of stride 2 (3x3 convolution, BatchNorm, ReLU) and four stages of ``width``, twice, four
    and eight times as many channels; the last three halve the map in their first block. So an
    image of 256x256 gives a map of 16x16x512 at the default width. Any size of image and number
    of channels. Fresh weights (He et al. 2015); images are normalised by mean 0.5 and standard
    deviation 0.25. ``single_logit``: two classes on one logit instead of two.
    Source: blocks of He et al. 2016, "Deep residual learning for image recognition"; pooling and
    head of Zhou et al. 2016, "Learning deep features for discriminative localization".
    """

    width: PositiveInt = 64
    single_logit: bool = False

    def build(
        self, *, task: Task, classes: tuple[str, ...], channels: int, size: tuple[int, int]
    ) -> Classifier:
        head = head_for(task, self.single_logit)
        outputs = 1 if head == "single_logit" else len(classes)
        names = [f"stage{number}" for number in range(1, _STAGES + 1)]
        net = nn.Sequential(OrderedDict(stem=_conv(channels, self.width, stride=2, relu=True)))
        inside = self.width
        for number, name in enumerate(names):
            outside = self.width * 2**number
            blocks = [_Block(inside, outside, stride=1 if number == 0 else 2)]
            blocks += [_Block(outside, outside, stride=1) for _ in range(_BLOCKS - 1)]
            net.add_module(name, nn.Sequential(*blocks))
            inside = outside
        net.add_module("pool", nn.AdaptiveAvgPool2d(1))
        net.add_module("flatten", nn.Flatten())
        net.add_module("fc", nn.Linear(inside, outputs))
        return Classifier(
            net,
            head=head,
            classes=classes,
            mean=(0.5,) * channels,
            std=(0.25,) * channels,
            cam_layer=names[-1],
            linear_head="fc",
            pool="pool",
            input_shape=(channels, *size),
            stages=(("stem",), *((name,) for name in names)),
        )


class _Block(nn.Module):
    """relu(x + f(x)) with two 3x3 convolutions; x by a 1x1 convolution where the shape changes."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = _conv(inside, outside, stride=stride, relu=True)
        self.second = _conv(outside, outside, stride=1, relu=False)
        self.same = nn.Identity()
        if stride != 1 or inside != outside:
            self.same = _conv(inside, outside, stride=stride, relu=False, size=1)

    def forward(
        self, x: Float[Tensor, "batch inside height width"]
    ) -> Float[Tensor, "batch outside h w"]:
        return (self.same(x) + self.second(self.first(x))).relu()


def _conv(inside: int, outside: int, *, stride: int, relu: bool, size: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, size, stride, size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outside), *[nn.ReLU()] * relu)
