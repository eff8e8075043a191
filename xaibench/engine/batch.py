"""The batch: a block of images with all that an explainer or a metric may ask of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from xaibench.engine.kept_gradients import KeptGradients
from xaibench.errors import UserError
from xaibench.segmentation.segmenter import Segmenter

# Names for the shapes of tensors: one row an image.
Pixels = Float[Tensor, "batch channel height width"]
"""Images in [0, 1]."""
Maps = Float[Tensor, "batch height width"]
"""Relevance, one number a pixel; larger = more evidence for the target."""
Segments = Int[Tensor, "batch height width"]
"""Label maps, labels 0..K-1 of each image."""
Evidence = Bool[Tensor, "batch height width"]
"""Masks of where the evidence truly is."""
PerImage = Float[Tensor, " batch"]
Targets = Int[Tensor, " batch"]
Seeds = Int[Tensor, " batch"]


@dataclass(frozen=True)
class Batch:
    """A block of images with all that an explainer or a metric may ask of them.

    Attributes:
        images: in [0, 1], not normalised; normalisation lives inside the model.
        labels: the truth: (B,) int for one-of-n, (B, L) float for several labels or regression.
        targets: the class, label or output that is explained, one an image.
        ids, groups: image and patient (or slide), one an image.
        masks: name -> where the evidence for the target truly is. An image without such a truth
            has an empty mask. A name that ends in ``_weak`` is a prior, not an annotation.
        segments: superpixels (SLIC), labels 0..K-1 of each image.
        seeds: one an image, from the run's seed and the image's id, so that nothing random
            depends on batching or order.
        dataset_mean: mean of the training images, one a channel, in [0, 1].
        references: a few training images in [0, 1], drawn by the run's seed, the same in every
            block; None in a batch that was made without. See ``reference_images``.
        segmenter: gives label maps of other kinds than ``segments``, computed once an image.
        shares: whether a masked image of the block that was scored is not scored again, whoever
            asks for it (``block_scores``). A run's blocks do; elsewhere each method does its own.
        shared: model -> the ``KnownScores`` of the block: those that are equal for every explainer
            (the unmasked image, the fill image), and those of masked images.
        gradients: those that several explainers of the block ask for; see ``block_gradients``.
        origin: the batch that this one was taken from, and its indices there: whose shared scores
            and gradients are its own.
        rows: the same indices as plain numbers, which ask nothing of the device.
    """

    images: Pixels
    labels: Shaped[Tensor, "batch *labels"]
    targets: Targets
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    masks: Mapping[str, Evidence]
    segments: Segments
    seeds: Seeds
    dataset_mean: Float[Tensor, " channel"]
    references: Float[Tensor, "reference channel _ _"] | None = field(default=None, repr=False)
    segmenter: Segmenter = field(default_factory=Segmenter, repr=False, compare=False)
    shares: bool = False
    # Not arguments: a batch that is made of another, with other targets, starts without them.
    shared: WeakKeyDictionary = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )
    gradients: KeptGradients = field(
        default_factory=KeptGradients, init=False, repr=False, compare=False
    )
    origin: tuple[Batch, Int[Tensor, " batch"]] | None = field(
        default=None, init=False, repr=False, compare=False
    )
    rows: Sequence[int] = field(default=(), init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.ids)

    def reference_images(self) -> Float[Tensor, "reference channel height width"]:
        """Return the references, checked to be as large as the images.

        Raises:
            UserError: the batch has none, or of another size.
        """
        size = tuple(self.images.shape[1:])
        if self.references is None or not len(self.references):
            raise UserError(
                "the batch has no reference images; make it with `references`, a few training "
                f"images (count, {', '.join(map(str, size))}) in [0, 1]"
            )
        if tuple(self.references.shape[1:]) != size:
            raise UserError(
                f"the batch's references are {tuple(self.references.shape[1:])} (channels, height, "
                f"width), its images {size}; both must be the same"
            )
        return self.references

    def take(self, indices: Sequence[int]) -> Batch:
        """Return the images at ``indices``, in that order, as a batch of their own."""
        at = torch.as_tensor(list(indices), dtype=torch.int64, device=self.images.device)
        part = replace(
            self,
            images=self.images[at],
            labels=self.labels[at],
            targets=self.targets[at],
            ids=tuple(self.ids[i] for i in indices),
            groups=tuple(self.groups[i] for i in indices),
            masks={name: mask[at] for name, mask in self.masks.items()},
            segments=self.segments[at],
            seeds=self.seeds[at],
        )
        object.__setattr__(part, "origin", (self, at))
        object.__setattr__(part, "rows", tuple(indices))
        return part

    def reseeded(self, seeds: Seeds) -> Batch:
        """Return the same images with other seeds; the scores that are shared stay shared."""
        part = replace(self, seeds=seeds)
        everything = torch.arange(len(self), device=self.images.device)
        object.__setattr__(part, "origin", (self, everything))
        object.__setattr__(part, "rows", range(len(self)))
        return part

    def whole(self) -> tuple[Batch, Int[Tensor, " batch"]]:
        """Return the block that this was taken from, with its seeds, and the indices there."""
        whole, at = self, torch.arange(len(self), device=self.images.device)
        while whole.origin is not None:
            whole, its = whole.origin
            at = its[at]
        return whole, at

    def block(self) -> tuple[Batch, tuple[int, ...]]:
        """Return what ``whole`` does, the indices as plain numbers."""
        whole, rows = self, range(len(self))
        while whole.origin is not None:
            rows = [whole.rows[row] for row in rows]
            whole, _ = whole.origin
        return whole, tuple(rows)

    def split(self, size: int) -> list[Batch]:
        """Return the batch in parts of at most ``size`` images."""
        if len(self) <= size:
            return [self]
        return [
            self.take(range(start, min(start + size, len(self))))
            for start in range(0, len(self), size)
        ]
