"""Focus: in a mosaic, does the relevance lie on the image that shows the class?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine import Batch, Maps, Pixels, Segments, in_batches
from xaibench.metrics.base import ComparisonMetric, Remake, Scores
from xaibench.models.base import Classifier
from xaibench.randomness import MOSAIC, random_bits
from xaibench.registry import register

_PLACES = 4  # of a mosaic, line by line; the first two parts are the image itself


@register("metric")
@dataclass(frozen=True)
class Focus(ComparisonMetric):
    """Share of a mosaic's positive relevance on the explained image; higher is better.

    The explained image is set twice, beside two other images, into a mosaic of 2 x 2, in places
    drawn by the image's seed; the explainer explains the target in it. The value is the positive
    relevance in the image's two places over all positive relevance: in [0, 1], about 0.5 for a map
    that says nothing.

    What the paper leaves to its data and this metric fixes, so that a value depends on nothing but
    the image: the mosaic has the size of the image, each part scaled to half of it (bilinear,
    antialiased), for a model may take one size only; the others are the two of the batch's
    reference images in which the model sees least of the target, since their labels are not known;
    the image stands in for the second image of its class. Superpixels of the batch are those
    of the image, scaled likewise into every part. Undefined where no relevance is positive.
    Cost: one more map an image, and a pass a reference image. Source: Arias-Duart et al. 2022,
    "Focus! Rating XAI methods and finding biases", equation 1.
    """

    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    conventions: ClassVar[dict[str, str]] = {
        "mosaic": "image_size",
        "others": "least_of_target",
        "relevance": "positive",
    }
    expected: ClassVar[dict[str, str]] = {
        "depends on the map": "it scores the map of a mosaic, which it asks for itself"
    }

    def compare(
        self,
        model: Classifier,
        others: Mapping[str, Classifier],
        batch: Batch,
        maps: Maps,
        remake: Remake,
    ) -> Scores:
        parts = random_bits(batch.seeds, _PLACES, MOSAIC).argsort(1)
        images = _mosaics(batch, _least_like(model, batch), parts)
        made = remake(model, replace(batch, images=images, segments=_segments(batch.segments)))
        positive = made.double().clamp_min(0)
        rows, columns = _halves(*maps.shape[1:])
        its = [
            positive[:, y, x].sum((1, 2)) * (parts[:, place] < 2)
            for place, (y, x) in enumerate((y, x) for y in rows for x in columns)
        ]
        values = torch.stack(its).sum(0) / positive.sum((1, 2))
        return Scores({self.name: values}, undefined={self.name: "no relevance is positive"})


def _least_like(model: Classifier, batch: Batch) -> Int[Tensor, "batch other"]:
    """Return for each image the two references in which the model sees least of its target."""
    references = batch.reference_images()
    found: list[Tensor] = []
    with torch.inference_mode():
        in_batches(
            model,
            len(references),
            lambda part: found.append(model.probabilities(model.logits(references[part]))),
        )
    order = torch.cat(found).sort(dim=0, stable=True).indices.T[batch.targets]
    return order.repeat(1, 2)[:, :2] if order.shape[1] == 1 else order[:, :2]


def _halves(height: int, width: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the rows and the columns of a mosaic's parts; of an odd side the second has more."""
    return tuple((slice(0, side // 2), slice(side // 2, side)) for side in (height, width))


def _mosaics(
    batch: Batch, others: Int[Tensor, "batch other"], parts: Int[Tensor, "batch place"]
) -> Pixels:
    """Return the mosaics; ``parts`` says which of image, image, other, other stands where."""
    mosaics = torch.empty_like(batch.images)
    references = batch.reference_images()
    rows, columns = _halves(*batch.images.shape[2:])
    for place, (y, x) in enumerate((y, x) for y in rows for x in columns):
        own, its = _scaled(batch.images, y, x), _scaled(references, y, x)
        other = others.gather(1, (parts[:, place, None] - 2).clamp_min(0))[:, 0]
        here = (parts[:, place] < 2)[:, None, None, None]
        mosaics[:, :, y, x] = torch.where(here, own, its[other])
    return mosaics


def _scaled(
    images: Float[Tensor, "image channel height width"], y: slice, x: slice
) -> Float[Tensor, "image channel rows columns"]:
    size = (y.stop - y.start, x.stop - x.start)
    scaled = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
    return scaled.clamp(0, 1)


def _segments(segments: Segments) -> Segments:
    """Return each image's superpixels, scaled into every part of its mosaic, labels 0..K-1."""
    count = int(segments.max()) + 1
    labels = torch.empty_like(segments)
    rows, columns = _halves(*segments.shape[1:])
    for place, (y, x) in enumerate((y, x) for y in rows for x in columns):
        size = (y.stop - y.start, x.stop - x.start)
        # In float64, which holds every label.
        its = F.interpolate(segments[:, None].double(), size, mode="nearest-exact")[:, 0]
        labels[:, y, x] = its.to(labels.dtype) + place * count
    # A small segment may be gone from a part: what is left is numbered without gaps.
    flat = labels.flatten(1)
    there = torch.zeros(len(flat), _PLACES * count, dtype=labels.dtype, device=labels.device)
    numbers = there.scatter_(1, flat.long(), 1).cumsum(1) - 1
    return numbers.gather(1, flat.long()).view_as(labels).to(labels.dtype)
