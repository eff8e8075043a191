"""Digests of masks: the literal sum over expanded masks, and nothing but equal masks share one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from xaibench.engine import (
    BandMasks,
    BoxMasks,
    OneSegmentMasks,
    RankMasks,
    SegmentMasks,
    SharedMasks,
    digests,
    step_counts,
)
from xaibench.engine.digests import image_numbers, pixel_numbers
from xaibench.engine.masks import Masks, pairs_of
from xaibench.engine.perturbations import SquareMasks
from xaibench.engine.subsets import SubsetMasks

SIZE = (9, 14)
PIXELS = SIZE[0] * SIZE[1]
COUNTS = torch.tensor([6, 0, 3])
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Stripes(Masks):
    """A form that has no digests of its own: the rows of pixels above number ``mask``."""

    counts: torch.Tensor

    def expand(self, image, mask):
        above = torch.arange(SIZE[0])[None] < mask[:, None]
        return above[:, :, None].expand(-1, -1, SIZE[1])


def drawn(*shape, most):
    return torch.randint(0, most, shape, generator=torch.Generator().manual_seed(sum(shape)))


def orders():
    ranks = torch.stack([torch.randperm(PIXELS) for _ in COUNTS]).view(-1, *SIZE)
    return ranks.int()


def boxes(*shape):
    """Boxes within the image, over its border, empty, and as large as it."""
    ends = drawn(*shape, 4, most=20)
    ends = ends.view(*shape, 2, 2).sort(dim=-1).values.flatten(-2)
    ends[..., 0, :] = torch.tensor([0, SIZE[0], 0, SIZE[1]])
    ends[..., 1, :] = torch.tensor([3, 3, 0, 5])
    return ends


def forms() -> dict[str, Masks]:
    torch.manual_seed(0)
    segments = drawn(3, *SIZE, most=5)
    thresholds = drawn(3, 6, most=PIXELS + 1)
    thresholds[:, 0], thresholds[:, 1] = 0, PIXELS
    edges = step_counts(6, PIXELS, CPU)
    return {
        "segments": SegmentMasks(segments, drawn(3, 6, 5, most=2) > 0, COUNTS),
        "one segment": OneSegmentMasks(segments, drawn(3, 6, most=5), COUNTS),
        "ranks": RankMasks(orders(), thresholds, COUNTS),
        "ranks kept": RankMasks(orders(), thresholds, COUNTS, keep=True),
        "ranks of segments": RankMasks(segments, thresholds % 7, COUNTS),
        "boxes": BoxMasks(boxes(6), SIZE, COUNTS),
        "squares": SquareMasks(boxes(3, 6), SIZE, COUNTS),
        "shared": SharedMasks(drawn(6, *SIZE, most=2) > 0, COUNTS),
        "bands": BandMasks(orders(), edges, COUNTS),
        "subsets": SubsetMasks(
            torch.arange(3), torch.tensor([4, 50]), SIZE, torch.full((3,), 6), draws=3
        ),
        "expanded": Stripes(COUNTS),
    }


def literal(mask, numbers) -> int:
    """Return the sum of the hidden pixels' numbers in Python's own integers."""
    total = sum(
        n
        for n, hidden in zip(numbers.flatten().tolist(), mask.flatten().tolist(), strict=True)
        if hidden
    )
    return (total + 2**63) % 2**64 - 2**63


@pytest.mark.parametrize("at_once", [1, 2 * PIXELS, 2**22])
@pytest.mark.parametrize("form", forms())
def test_they_are_the_literal_sum_over_expanded_masks(form, at_once, monkeypatch):
    for module in ("digests", "masks"):
        monkeypatch.setattr(f"xaibench.engine.{module}.AT_ONCE", at_once)
    masks, numbers = forms()[form], pixel_numbers(SIZE, CPU)
    found = masks.digests(numbers)
    assert found.shape[0] == 3
    pairs = pairs_of(masks.counts)
    assert len(pairs[0]) >= 9
    wanted = [literal(mask, numbers) for mask in masks.expand(*pairs)]
    assert found[pairs].tolist() == wanted


def test_equal_masks_have_equal_digests_in_every_form():
    """The same halves of an image, said in six ways."""
    numbers, one = pixel_numbers(SIZE, CPU), torch.ones(1, dtype=torch.int64)
    left = torch.arange(SIZE[1]).expand(1, *SIZE) >= 7  # label 1 is the right half
    labels, rank = left.long(), left.long() * 2
    half = lambda threshold: torch.tensor([[threshold]])
    said = [
        SegmentMasks(labels, torch.tensor([[[True, False]]]), one),
        OneSegmentMasks(labels, half(0), one),
        RankMasks(rank, half(1), one),
        RankMasks(2 - rank, half(1), one, keep=True),
        BoxMasks(torch.tensor([[0, SIZE[0], 0, 7]]), SIZE, one),
        SharedMasks(~left, one),
    ]
    assert len({int(masks.digests(numbers)) for masks in said}) == 1
    other = RankMasks(rank, half(1), one, keep=True)
    assert int(other.digests(numbers)) != int(said[0].digests(numbers))


def test_different_masks_have_different_digests():
    """All pairs of pixels, all boxes, and each with one pixel more: sums that a weak hash mixes."""
    numbers = pixel_numbers(SIZE, CPU)
    pairs = torch.combinations(torch.arange(PIXELS), 2)
    single = torch.zeros(len(pairs), PIXELS, dtype=torch.bool).scatter_(1, pairs, True)
    y, x = (torch.combinations(torch.arange(side + 1), 2) for side in SIZE)
    ends = torch.stack([torch.cat([a, b]) for a in y for b in x])
    one = torch.ones(1, dtype=torch.int64)
    box = BoxMasks(ends, SIZE, one).expand(torch.zeros(len(ends)).long(), torch.arange(len(ends)))
    flat = torch.cat([single, box.flatten(1)])
    more = flat.clone()
    more[:, PIXELS // 2] = True
    every = torch.cat([flat, more]).unique(dim=0)
    found = digests.sums_of_masks(every.view(-1, *SIZE), numbers)
    assert len(every) > 15_000
    assert len(found.unique()) == len(every)


def test_an_images_number_tells_its_masks_from_anothers():
    numbers = torch.cat([image_numbers(500, CPU), pixel_numbers(SIZE, CPU).flatten()])
    assert len(numbers.unique()) == 500 + PIXELS
    assert image_numbers(3, CPU).tolist() == image_numbers(500, CPU)[:3].tolist()
