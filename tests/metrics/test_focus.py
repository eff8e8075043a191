"""Focus: a mosaic built by hand, closed forms, Quantus, and independence of batching."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import UserError
from xaibench.metrics.focus import Focus
from xaibench.randomness import MOSAIC, random_bits

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    quantus = pytest.importorskip("quantus")


def batch_of(height: int, width: int):
    whole = toy_batch()
    cut = (..., slice(height), slice(width))
    masks = {name: mask[cut] for name, mask in whole.masks.items()}
    parts = {k: getattr(whole, k)[cut] for k in ("images", "segments", "references")}
    return replace(whole, masks=masks, **parts)


def looks(model, batch) -> tuple[torch.Tensor, list]:
    """The value, and the batch that the explainer was asked for."""
    seen = []

    def remake(asked_model, asked):
        seen.append(asked)
        return asked.images.mean(1) - 0.4

    maps = torch.rand(len(batch), *batch.images.shape[2:])
    return Focus().compare(model, {}, batch, maps, remake).values["focus"], seen[0]


def literal_mosaic(model, batch, i) -> tuple[torch.Tensor, list[int]]:
    """Image, image and the two references with the lowest score, in seeded places."""
    target = batch.targets[i : i + 1]
    with torch.no_grad():
        scores = [model.score(r[None], target).item() for r in batch.references]
    others = sorted(range(len(scores)), key=scores.__getitem__)[:2]
    parts = [batch.images[i]] * 2 + [batch.references[k] for k in others]
    places = random_bits(batch.seeds[i : i + 1], 4, MOSAIC)[0].argsort().tolist()
    _, h, w = parts[0].shape
    sizes = [(y, x) for y in (h // 2, h - h // 2) for x in (w // 2, w - w // 2)]
    four = [
        F.interpolate(parts[p][None], s, mode="bilinear", antialias=True)[0].clamp(0, 1)
        for p, s in zip(places, sizes, strict=True)
    ]
    top, bottom = torch.cat(four[:2], dim=2), torch.cat(four[2:], dim=2)
    return torch.cat([top, bottom], dim=1), [int(p < 2) for p in places]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (22, 31), (17, 24)])
def test_equals_a_mosaic_built_by_hand_and_quantus_on_it(height, width):
    """Arias-Duart et al. 2022: positive relevance on the class's images over all of it."""
    model, batch = toy_model(), batch_of(height, width)
    values, asked = looks(model, batch)
    for i in range(len(batch)):
        mosaic, its = literal_mosaic(model, batch, i)
        assert torch.allclose(asked.images[i], mosaic, atol=1e-6)
        relevance = (mosaic.mean(0) - 0.4).clamp_min(0).double()
        h, w = height // 2, width // 2
        quadrants = [relevance[:h, :w], relevance[:h, w:], relevance[h:, :w], relevance[h:, w:]]
        inside = sum(q.sum().item() for q, own in zip(quadrants, its, strict=True) if own)
        assert values[i].item() == pytest.approx(inside / relevance.sum().item(), abs=1e-5)
        peer = quantus.Focus(normalise=False, disable_warnings=True)(
            model=model,
            x_batch=mosaic[None].numpy(),
            y_batch=np.zeros(1, int),
            a_batch=(mosaic.mean(0) - 0.4)[None, None].numpy(),
            custom_batch=np.array([its]),
            channel_first=True,
        )
        assert values[i].item() == pytest.approx(peer[0], abs=1e-5)


def test_closed_forms():
    """Relevance on one's own places alone, on the others' alone, everywhere."""
    model, batch = toy_model(), toy_batch()
    places = random_bits(batch.seeds, 4, MOSAIC).argsort(1)
    own = torch.zeros(5, 32, 32)
    for i in range(5):
        for place in range(4):
            y, x = 16 * (place // 2), 16 * (place % 2)
            own[i, y : y + 16, x : x + 16] = float(places[i, place] < 2)
    found = lambda maps: Focus().compare(model, {}, batch, own, lambda *_: maps).values["focus"]
    assert found(own).tolist() == [1] * 5
    assert found(1 - own).tolist() == [0] * 5
    assert found(torch.ones(5, 32, 32)).tolist() == [0.5] * 5
    assert found(own - (1 - own)).tolist() == [1] * 5  # what is negative counts for nothing
    assert found(-own).isnan().all()


def test_superpixels_of_a_mosaic_are_numbered_without_gaps():
    model, batch = toy_model(), batch_of(21, 30)
    tiny = batch.segments.clone()
    tiny[:, 3, 4] = 30  # a segment of one pixel, gone where it is scaled down
    _, asked = looks(model, replace(batch, segments=tiny))
    for i, labels in enumerate(asked.segments):
        known = labels.unique().tolist()
        assert known == list(range(len(known)))
        assert len(known) > tiny[i].unique().numel()
        halves = labels[:10, :15].unique(), labels[10:, 15:].unique()
        assert not set(halves[0].tolist()) & set(halves[1].tolist())


def test_does_not_depend_on_batching_and_batch_size():
    model, batch = toy_model(), toy_batch()
    whole, _ = looks(model, batch)
    model.batch_size = 3
    assert torch.equal(looks(model, batch.take([3, 1]))[0], whole[[3, 1]])


def test_without_references_it_says_what_is_missing():
    with pytest.raises(UserError, match="no reference images"):
        looks(toy_model(), replace(toy_batch(), references=None))


def test_one_reference_stands_in_both_places():
    batch = toy_batch()
    values, asked = looks(toy_model(), replace(batch, references=batch.references[:1]))
    assert values.isfinite().all()
    assert asked.images.shape == batch.images.shape


def test_protocol():
    said = "focus[mosaic=image_size,others=least_of_target,relevance=positive]"
    assert Focus().protocol("focus", "") == said
