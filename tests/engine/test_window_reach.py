"""What windows reach of maps, against which outputs move when a window's pixels do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import nn
from toy_windows import SIZE, fits, stacks

from xaibench.engine.windows.flow import flow_of
from xaibench.engine.windows.plan import local_steps
from xaibench.engine.windows.reach import Reach, Slide, Span

BOXES = [
    [0, 4, 0, 4],
    [6, 7, 9, 10],
    [13, 40, -3, 5],
    [3, 9, 2, 4],
    [18, 19, 20, 21],
    [0, 19, 0, 21],
]


def reach_of_boxes(boxes=BOXES, size=SIZE) -> Reach:
    top, bottom, left, right = torch.tensor(boxes).T
    return Reach(Span.of_window(top, bottom, size[0]), Span.of_window(left, right, size[1]))


def moved(net: nn.Module, box: list[int], size=SIZE) -> torch.Tensor:
    """Return which pixels of the net's output move when those of a box do: any image, any way."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 2, *size, generator=generator)
    top, bottom, left, right = box
    other = image.clone()
    hidden = other[:, :, max(0, top) : bottom, max(0, left) : right]
    hidden += 1 + torch.rand(hidden.shape, generator=generator)
    with torch.no_grad():
        return (net(image) != net(other))[0].any(0)


@settings(max_examples=60, deadline=None)
@given(stacks().filter(fits))
def test_nothing_moves_outside_the_reach(net):
    flow = flow_of(net)
    shapes = flow.shapes(net, torch.rand(1, 2, *SIZE))
    plan = local_steps(flow, shapes, reach_of_boxes())
    last = flow.steps[-1].args[0]
    if last not in plan.reach:  # means over a border that does not count are not simple
        assert any(isinstance(layer, nn.AvgPool2d) for layer in net)
        return
    rows, columns = plan.reach[last].rows, plan.reach[last].columns
    for m, box in enumerate(BOXES):
        outside = moved(net, box)
        outside[rows.first[m] : rows.last[m] + 1, columns.first[m] : columns.last[m] + 1] = False
        assert not outside.any()
        for span in (rows, columns):
            assert 0 <= span.start[m] <= span.first[m] <= span.last[m]
            assert span.last[m] < span.start[m] + span.length <= span.size


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (7, 2, 3), (5, 3, 0), (4, 2, 1), (2, 2, 0)]
)
def test_the_reach_is_no_larger_than_what_moves(kernel, stride, padding):
    """Kernels without holes, at least as wide as their stride: every output reached moves."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, kernel, stride, padding), nn.Conv2d(3, 3, 3, 1, 1))
    with torch.no_grad():
        size = net[0](torch.zeros(1, 2, *SIZE)).shape[2:]
    slides = [(Slide(kernel, stride, 1, padding),) * 2, (Slide(3, 1, 1, 1),) * 2]
    reach = reach_of_boxes().through(slides[0], size).through(slides[1], size)
    # The last pixels of an image may be read by no output: any output stands for them.
    for m in (0, 1, 3):
        rows, columns = moved(net, BOXES[m]).nonzero().T
        assert (rows.min(), rows.max()) == (reach.rows.first[m], reach.rows.last[m])
        assert (columns.min(), columns.max()) == (reach.columns.first[m], reach.columns.last[m])


def test_windows_of_resnet_by_hand():
    """16 pixels from pixel 8 k on: outputs 4 k - 1 .. 4 k + 9 behind 7 x 7 / 2, as padded by 3."""
    starts = torch.tensor([48, 56])
    span = Span.of_window(starts, starts + 16, 224)
    stem = span.through(Slide(7, 2, 1, 3), 112)
    assert (stem.first.tolist(), stem.last.tolist(), stem.length) == ([23, 27], [33, 37], 11)
    pooled = stem.through(Slide(3, 2, 1, 1), 56)
    assert (pooled.first.tolist(), pooled.last.tolist(), pooled.length) == ([11, 13], [17, 19], 7)


def test_windows_outside_the_image_stand_for_one_pixel():
    span = Span.of_window(torch.tensor([30, -9, 5]), torch.tensor([40, -2, 5]), 19)
    assert (span.first.tolist(), span.last.tolist()) == ([18, 0, 5], [18, 0, 5])


def test_patches_of_one_size_stay_inside_the_map():
    span = Span(torch.tensor([0, 3, 7]), torch.tensor([1, 6, 8]), 9)
    assert (span.length, span.start.tolist()) == (4, [0, 3, 5])
    joined = span.joined(Span(torch.tensor([2, 3, 0]), torch.tensor([2, 8, 0]), 9))
    assert (joined.first.tolist(), joined.last.tolist()) == ([0, 3, 0], [2, 8, 8])
