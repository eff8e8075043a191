"""The engine against a naive loop, its fills, its batches and its memory."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import (
    BoxMasks,
    Fill,
    RankMasks,
    SegmentMasks,
    SharedMasks,
    fill_images,
    filled_score,
    masked_scores,
    segment_areas,
    segment_means,
    step_counts,
    trapezoid,
    unmasked_score,
)

COUNTS = torch.tensor([3, 0, 7, 5, 1])


def segment_masks(batch):
    """Random segments; the twin looks each pixel's label up."""
    generator = torch.Generator().manual_seed(0)
    replaced = torch.rand(5, 7, 16, generator=generator) < 0.5
    look_up = lambda i, m, y, x: bool(replaced[i, m, batch.segments[i, y, x]])
    return SegmentMasks(batch.segments, replaced, COUNTS), look_up


def rank_masks(batch, keep: bool):
    generator = torch.Generator().manual_seed(0)
    ranks = torch.stack([torch.randperm(1024, generator=generator) for _ in range(5)])
    ranks = ranks.view(5, 32, 32)
    thresholds = torch.randint(0, 1025, (5, 7), generator=generator)
    look_up = lambda i, m, y, x: bool((ranks[i, y, x] < thresholds[i, m]) != keep)
    return RankMasks(ranks, thresholds, COUNTS, keep), look_up


def box_masks(batch):
    boxes = torch.tensor(
        [[0, 8, 0, 8], [4, 40, 2, 3], [31, 32, 0, 32], [5, 5, 0, 32], [0, 32, 0, 32],
         [10, 20, 7, 9], [0, 1, 31, 32]]
    )  # fmt: skip
    inside = lambda i, m, y, x: bool(
        boxes[m, 0] <= y < boxes[m, 1] and boxes[m, 2] <= x < boxes[m, 3]
    )
    return BoxMasks(boxes, (32, 32), COUNTS), inside


def shared_masks(batch):
    """Masks of single pixels, drawn; the same for every image."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(7, 32, 32, generator=generator) < 0.4
    return SharedMasks(pixels, COUNTS), lambda i, m, y, x: bool(pixels[m, y, x])


FORMS = {
    "segments": segment_masks,
    "ranks": lambda batch: rank_masks(batch, keep=False),
    "ranks kept": lambda batch: rank_masks(batch, keep=True),
    "boxes": box_masks,
    "shared": shared_masks,
}


@torch.no_grad()
def naive_scores(model, batch, fills, replaced, space):
    """One image, one mask, one pixel and one pass at a time; NaN behind an image's own masks."""
    scores = torch.full((5, 7), torch.nan)
    for i, count in enumerate(COUNTS.tolist()):
        for m in range(count):
            image = batch.images[i].clone()
            for y in range(32):
                for x in range(32):
                    if replaced(i, m, y, x):
                        image[:, y, x] = fills[i, :, y, x]
            scores[i, m] = model.score(image[None], batch.targets[i : i + 1], space)[0]
    return scores


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("head", "space"), [("softmax", "prob"), ("single_logit", "logit"), ("multilabel", "prob")]
)
def test_equals_naive_loop_whatever_the_batch_size(form, head, space):
    model, batch = toy_model(head), toy_batch()
    masks, look_up = FORMS[form](batch)
    fills = fill_images(batch, "blur")
    twin = naive_scores(model, batch, fills, look_up, space)
    for size in (1, 5, 16, 64):
        model.batch_size = size
        scores = masked_scores(model, batch.images, fills, batch.targets, masks, space)
        assert scores == pytest.approx(twin, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("form", FORMS)
def test_never_expands_more_than_a_batch_and_packs_across_images(form, monkeypatch):
    model, batch = toy_model(), toy_batch()
    masks, _ = FORMS[form](batch)
    expand, expanded = type(masks).expand, []

    def spy(self, image, mask):
        expanded.append(len(image))
        return expand(self, image, mask)

    monkeypatch.setattr(type(masks), "expand", spy)
    model.batch_size = 6
    masked_scores(model, batch.images, batch.images, batch.targets, masks)
    assert expanded == [6, 6, 4]  # 16 masks in all
    assert model.passes.forward == 16


def short_of_memory(monkeypatch, model, most: int) -> list[int]:
    """Let the model fail on more than ``most`` images; return the sizes that it was given."""
    forward, sizes = model.forward, []

    def limited(images):
        sizes.append(len(images))
        if len(images) > most:
            raise torch.OutOfMemoryError("out of memory")
        return forward(images)

    monkeypatch.setattr(model, "forward", limited)
    return sizes


def test_out_of_memory_halves_the_batch_and_goes_on(monkeypatch):
    model, batch = toy_model(), toy_batch()
    masks, _ = segment_masks(batch)
    twin = masked_scores(toy_model(), batch.images, batch.images, batch.targets, masks)
    sizes = short_of_memory(monkeypatch, model, most=5)
    scores = masked_scores(model, batch.images, batch.images, batch.targets, masks)
    assert sizes == [16, 8, 4, 4, 4, 4]
    assert model.batch_size == 4
    assert model.passes.forward == 16
    assert scores == pytest.approx(twin, abs=1e-6, nan_ok=True)


def test_out_of_memory_with_one_image_is_raised(monkeypatch):
    model, batch = toy_model(), toy_batch()
    masks, _ = segment_masks(batch)
    sizes = short_of_memory(monkeypatch, model, most=0)
    with pytest.raises(torch.OutOfMemoryError):
        masked_scores(model, batch.images, batch.images, batch.targets, masks)
    assert sizes == [16, 8, 4, 2, 1]


@pytest.mark.parametrize(("fill", "kernel", "sigma"), [("blur", 11, 5.0), ("blur(7,1.5)", 7, 1.5)])
def test_blur_is_a_gaussian_convolution(fill, kernel, sigma):
    """Weights exp(-(u^2 + v^2) / (2 sigma^2)), summing to 1; borders mirrored without the edge."""
    batch = toy_batch(images=1)
    half = kernel // 2
    weights = torch.tensor(
        [[math.exp(-(u * u + v * v) / (2 * sigma**2)) for u in range(-half, half + 1)]
         for v in range(-half, half + 1)]
    )  # fmt: skip
    weights /= weights.sum()
    padded = F.pad(batch.images, (half,) * 4, mode="reflect")[0]
    blurred = fill_images(batch, fill)[0]
    for y in range(0, 32, 3):
        for x in range(32):
            window = padded[:, y : y + kernel, x : x + kernel]
            assert blurred[:, y, x] == pytest.approx((window * weights).sum((1, 2)), abs=1e-5)


def test_plain_fills():
    batch = toy_batch()
    means = torch.stack([torch.stack([c.mean() for c in image]) for image in batch.images])
    assert torch.equal(fill_images(batch, "black"), torch.zeros_like(batch.images))
    assert torch.equal(fill_images(batch, 0.25), torch.full_like(batch.images, 0.25))
    own = fill_images(batch, "image_mean")
    assert own == pytest.approx(means[:, :, None, None].expand_as(own), abs=1e-6)
    data = fill_images(batch, "dataset_mean")
    assert torch.equal(data, batch.dataset_mean[None, :, None, None].expand_as(data))


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        ("grey", "unknown fill 'grey'; allowed: black, dataset_mean, image_mean, blur"),
        ("blur(10,2)", "must be odd"),
        (1.5, r"outside \[0, 1\]"),
        (float("nan"), r"outside \[0, 1\]"),
    ],
)
def test_wrong_fills_are_refused(fill, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Fill).validate_python(fill)


@torch.no_grad()
def test_shared_scores_are_computed_once_and_counted_for_nobody():
    model, batch = toy_model(), toy_batch()
    for _ in range(2):
        whole = unmasked_score(model, batch, "prob")
        nothing = filled_score(model, batch, "blur", "prob")
    assert model.passes.forward == 0
    assert whole == pytest.approx(model.score(batch.images, batch.targets), abs=1e-6)
    blurred = fill_images(batch, "blur")
    assert nothing == pytest.approx(model.score(blurred, batch.targets), abs=1e-6)
    assert model.passes.forward == 2 * len(batch)
    assert unmasked_score(model, batch, "logit") != pytest.approx(whole)
    assert filled_score(model, batch, "black", "prob") != pytest.approx(nothing)


@pytest.mark.parametrize(("steps", "pixels"), [(4, 10), (100, 1024), (3, 7), (50, 20), (2, 5)])
def test_step_counts_round_half_up(steps, pixels):
    exact = {(2 * k * pixels + steps) // (2 * steps) for k in range(steps + 1)}
    assert step_counts(steps, pixels, torch.device("cpu")).tolist() == sorted(exact)


def test_segment_means_and_areas():
    batch = toy_batch()
    means, areas = segment_means(batch.images[:, 0], batch.segments), segment_areas(batch.segments)
    for i, labels in enumerate(batch.segments):
        for segment in range(16):
            inside = labels == segment
            assert areas[i, segment] == inside.sum()
            mean = batch.images[i, 0][inside].double().mean().item()
            assert means[i, segment].item() == pytest.approx(mean, nan_ok=True)


def test_trapezoid():
    y, x = torch.tensor([[1.0, 0.5, 0.0]]), torch.tensor([[0.0, 0.25, 1.0]])
    assert trapezoid(y, x).item() == pytest.approx(0.75 * 0.25 + 0.25 * 0.75)


def test_oblong_images():
    model, batch = toy_model(), toy_batch()
    batch = replace(
        batch,
        images=batch.images[..., :20],
        masks={name: mask[..., :20] for name, mask in batch.masks.items()},
        segments=batch.segments[..., :20],
    )
    boxes = BoxMasks(torch.tensor([[0, 9, 3, 20]]), (32, 20), torch.ones(5, dtype=torch.int64))
    scores = masked_scores(model, batch.images, fill_images(batch, 0.5), batch.targets, boxes)
    hidden = batch.images.clone()
    hidden[:, :, :9, 3:20] = 0.5
    with torch.no_grad():
        twin = model.score(hidden, batch.targets)
    assert scores[:, 0] == pytest.approx(twin, abs=1e-6)
