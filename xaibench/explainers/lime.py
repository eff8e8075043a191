"""LIME: the lime package's sampling, kernel and regression on our batched passes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from lime.lime_base import LimeBase
from lime.wrappers.scikit_image import SegmentationAlgorithm
from pydantic import Field, PositiveFloat, PositiveInt
from sklearn.metrics import pairwise_distances
from torch import Tensor

from xaibench.explainers.base import Explainer
from xaibench.masking import Fill, SegmentMasks, fill_images, masked_scores, segment_means
from xaibench.models.base import Classifier
from xaibench.registry import register
from xaibench.types import Batch, Space


@register("explainer")
@dataclass(frozen=True)
class Lime(Explainer):
    """Coefficients of a ridge regression of the score on which segments are kept, signed.

    As in the lime package: each segment is kept with probability 1/2 in each of ``samples``
    copies (the first keeps all); copies are weighted by sqrt(exp(-d^2 / kernel_width^2)), d the
    cosine distance from the whole image; ridge with alpha 1. ``segmentation``: ``quickshift``
    with the package's own parameters, or ``slic``, the run's superpixels. ``hide``: what stands
    behind a hidden segment; ``segment_mean`` is the package's default. ``positive_only`` and
    ``num_features`` keep the positive, the largest coefficients; the rest of the map is 0.
    Cost: ``samples`` passes. Source: Ribeiro et al. 2016, "Why should I trust you?".
    """

    samples: Annotated[int, Field(ge=2)] = 1000
    segmentation: Literal["quickshift", "slic"] = "quickshift"
    hide: Fill | Literal["segment_mean"] = "segment_mean"
    positive_only: bool = False
    num_features: PositiveInt | None = None
    kernel_width: PositiveFloat = 0.25
    space: Space = "prob"

    def attribute(self, model: Classifier, batch: Batch) -> Float[Tensor, "batch height width"]:
        segments = batch.segments if self.segmentation == "slic" else _quickshift(batch)
        kept = [
            self._sample(int(seed), int(labels.max()) + 1)
            for seed, labels in zip(batch.seeds, segments, strict=True)
        ]
        replaced = _padded([~k for k in kept]).to(model.device)
        counts = torch.full_like(batch.targets, self.samples)
        masks = SegmentMasks(segments, replaced, counts)
        fills = (
            _segment_mean_images(batch.images, segments)
            if self.hide == "segment_mean"
            else fill_images(batch, self.hide)
        )
        scores = masked_scores(model, batch.images, fills, batch.targets, masks, self.space)
        weights = torch.zeros(len(batch), replaced.shape[2], device=model.device)
        for row, data, column in zip(weights, kept, scores.cpu().double().numpy(), strict=True):
            row[: data.shape[1]] = torch.from_numpy(self._regress(data, column)).float()
        return weights.gather(1, segments.flatten(1)).view_as(segments).contiguous()

    def _sample(self, seed: int, segments: int) -> Bool[np.ndarray, "sample segment"]:
        state = np.random.RandomState(seed % 2**32)
        data = state.randint(0, 2, self.samples * segments).reshape(self.samples, segments)
        data[0] = 1
        return data.astype(bool)

    def _regress(
        self, kept: Bool[np.ndarray, "sample segment"], scores: Float[np.ndarray, " sample"]
    ) -> Float[np.ndarray, " segment"]:
        """Return the coefficient of each segment, 0 for those that are left out."""
        data = kept.astype(np.float64)
        base = LimeBase(partial(_kernel, width=self.kernel_width))
        distances = pairwise_distances(data, data[:1], metric="cosine").ravel()
        # All features enter the regression, as in the package, whose default keeps 100,000 of
        # them; the selection below is that of its `get_image_and_mask`.
        _, ranked, _, _ = base.explain_instance_with_data(
            data, scores[:, None], distances, 0, data.shape[1], feature_selection="none"
        )
        if self.positive_only:
            ranked = [(segment, weight) for segment, weight in ranked if weight > 0]
        weights = np.zeros(data.shape[1])
        for segment, weight in ranked[: self.num_features]:
            weights[segment] = weight
        return weights


def _kernel(distance: np.ndarray, width: float) -> np.ndarray:
    return np.sqrt(np.exp(-(distance**2) / width**2))


def _quickshift(batch: Batch) -> Int[Tensor, "batch height width"]:
    labels = []
    for image, seed in zip(batch.images.cpu(), batch.seeds, strict=True):
        grey = image.shape[0] == 1
        rgb = (image.expand(3, -1, -1) if grey else image).permute(1, 2, 0).double().numpy()
        cut = SegmentationAlgorithm(
            "quickshift", kernel_size=4, max_dist=200, ratio=0.2, random_seed=int(seed) % 1000
        )
        # Numbered anew without gaps: the masks count segments from 0 to K - 1.
        _, dense = np.unique(cut(rgb), return_inverse=True)
        labels.append(torch.from_numpy(dense.reshape(rgb.shape[:2])))
    return torch.stack(labels).to(batch.images.device)


def _segment_mean_images(
    images: Float[Tensor, "batch channel height width"],
    segments: Int[Tensor, "batch height width"],
) -> Float[Tensor, "batch channel height width"]:
    planes = [
        segment_means(channel, segments).nan_to_num().gather(1, segments.flatten(1))
        for channel in images.unbind(1)
    ]
    return torch.stack(planes, dim=1).view_as(images).to(images.dtype)


def _padded(rows: list[Bool[np.ndarray, "sample _"]]) -> Bool[Tensor, "batch sample widest"]:
    widest = max(r.shape[1] for r in rows)
    return torch.stack(
        [torch.from_numpy(np.pad(r, ((0, 0), (0, widest - r.shape[1])))) for r in rows]
    )
