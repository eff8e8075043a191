"""The engine: scores of images with some pixels replaced by a fill, in full batches.

Every perturbation explainer and every perturbation metric asks this one question. Masks come in
four compact forms and are expanded on the device for the batch in hand only, so memory depends
on the batch size, never on the number of images, masks or steps. Masked copies are packed across
images and masks into full batches of one size.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from pydantic import AfterValidator
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.randomness import descending_order
from xaibench.types import Batch, Space

_BLUR = re.compile(r"blur(?:\((\d+),(\d+(?:\.\d+)?)\))?")
_FILLS = "black, dataset_mean, image_mean, blur, blur(KERNEL,SIGMA), or a number in [0, 1]"


def _check_fill(fill: str | float) -> str | float:
    if isinstance(fill, str):
        blur = _BLUR.fullmatch(fill)
        if blur is None and fill not in ("black", "dataset_mean", "image_mean"):
            raise ValueError(f"unknown fill {fill!r}; allowed: {_FILLS}")
        if blur and blur[1] and int(blur[1]) % 2 == 0:
            raise ValueError(f"the kernel of {fill!r} must be odd")
        if blur and blur[2] and float(blur[2]) == 0:
            raise ValueError(f"the sigma of {fill!r} must be above 0")
    elif not 0 <= fill <= 1:
        raise ValueError(f"a fill of {fill} is outside [0, 1], the range of images")
    return fill


Fill = Annotated[str | float, AfterValidator(_check_fill)]
"""What replaces a pixel: ``black`` (0), ``dataset_mean`` (mean of the training images by channel;
zero in the normalised space of Petsiuk et al. 2018), ``image_mean`` (the image's own, by channel),
``blur`` (Gaussian, 11 x 11 pixels, sigma 5, as in RISE), ``blur(KERNEL,SIGMA)`` in pixels, or a
number in [0, 1]."""


def fill_images(batch: Batch, fill: Fill) -> Float[Tensor, "batch channel height width"]:
    """Return what stands behind each image where it is masked."""
    images = batch.images
    if fill == "dataset_mean":
        return batch.dataset_mean.view(1, -1, 1, 1).expand_as(images)
    if fill == "image_mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    if isinstance(fill, str) and (blur := _BLUR.fullmatch(fill)):
        kernel, sigma = int(blur[1] or 11), float(blur[2] or 5)
        if kernel // 2 >= min(images.shape[2:]):
            raise UserError(
                f"fill {fill!r}: a kernel of {kernel} pixels is too wide for images of "
                f"{images.shape[2]} x {images.shape[3]}; at most twice the shorter side less one"
            )
        return gaussian_blur(images, [kernel, kernel], [sigma, sigma])
    return torch.full_like(images, 0.0 if fill == "black" else float(fill))


class Masks(ABC):
    """Compact masks: ``counts[i]`` masks for image i; True means that the pixel is replaced."""

    counts: Int[Tensor, " batch"]

    @abstractmethod
    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        """Return the masks number ``mask`` of the images number ``image``."""


@dataclass(frozen=True)
class SegmentMasks(Masks):
    """Whole segments replaced: superpixel occlusion, LIME.

    Attributes:
        segments: label map of each image, labels 0..K-1.
        replaced: which segments each mask replaces.
        counts: masks of each image; rows behind it are padding.
    """

    segments: Int[Tensor, "batch height width"]
    replaced: Bool[Tensor, "batch mask segment"]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        labels = self.segments[image]
        return self.replaced[image, mask].gather(1, labels.flatten(1)).view_as(labels)


@dataclass(frozen=True)
class RankMasks(Masks):
    """The first pixels of a ranking replaced: deletion, insertion, cumulative drop.

    Attributes:
        ranks: rank of each pixel (or of its segment), 0 first.
        thresholds: mask m replaces ranks below ``thresholds[i, m]``, or all others if ``keep``.
        counts: masks of each image; thresholds behind it are padding.
    """

    ranks: Int[Tensor, "batch height width"]
    thresholds: Int[Tensor, "batch mask"]
    counts: Int[Tensor, " batch"]
    keep: bool = False

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        first = self.ranks[image] < self.thresholds[image, mask][:, None, None]
        return ~first if self.keep else first


@dataclass(frozen=True)
class BoxMasks(Masks):
    """The same boxes replaced in every image: square occlusion.

    Attributes:
        boxes: top, bottom, left, right in pixels, the ends exclusive.
        size: height and width of the images.
    """

    boxes: Int[Tensor, "mask 4"]
    size: tuple[int, int]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        top, bottom, left, right = self.boxes[mask].T[:, :, None]
        y = torch.arange(self.size[0], device=mask.device)
        x = torch.arange(self.size[1], device=mask.device)
        rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
        return rows[:, :, None] & columns[:, None, :]


@dataclass(frozen=True)
class SharedMasks(Masks):
    """A few masks of any shape, the same for every image: occlusion probes.

    Attributes:
        pixels: what each mask replaces.
    """

    pixels: Bool[Tensor, "mask height width"]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Bool[Tensor, "pair height width"]:
        return self.pixels[mask]


def masked_scores(
    model: Classifier,
    images: Float[Tensor, "batch channel height width"],
    fills: Float[Tensor, "batch channel height width"],
    targets: Int[Tensor, " batch"],
    masks: Masks,
    space: Space = "prob",
) -> Float[Tensor, "batch mask"]:
    """Return the target's score of every masked copy of every image.

    Args:
        fills: what stands behind each image; see ``fill_images``.
        masks: ``masks.counts[i]`` of them for image i.

    Returns:
        One row an image; NaN behind an image's own number of masks.

    Cost: one forward pass a mask. Out of memory halves ``model.batch_size`` and goes on.
    """
    most = int(masks.counts.max())
    numbers = torch.arange(most, device=images.device)
    image, mask = (numbers < masks.counts[:, None]).nonzero(as_tuple=True)
    scores = torch.full((len(images), most), torch.nan, device=images.device)
    done = 0
    while done < len(image):
        i, m = image[done : done + model.batch_size], mask[done : done + model.batch_size]
        try:
            with torch.inference_mode():
                mixed = torch.where(masks.expand(i, m)[:, None], fills[i], images[i])
                mixed = mixed.contiguous(memory_format=torch.channels_last)
                scores[i, m] = model.score(mixed, targets[i], space).float()
        except torch.OutOfMemoryError:
            if model.batch_size == 1:
                raise
            model.batch_size //= 2
            torch.cuda.empty_cache()
            continue
        done += len(i)
    return scores


def removal_curve(
    model: Classifier,
    batch: Batch,
    maps: Float[Tensor, "batch height width"],
    counts: Int[Tensor, " step"],
    *,
    fill: Fill,
    space: Space,
    insert: bool = False,
) -> Float[Tensor, "batch step"]:
    """Return the score as pixels fall to (or, with ``insert``, rise from) the fill.

    Args:
        maps: relevance; the most relevant pixels go first, ties in the image's own random order.
        counts: pixels gone (or restored) at each step, rising from 0 to height x width.

    The first and the last step are the same for every map of an image and are scored once.
    """
    height, width = maps.shape[1:]
    order = descending_order(maps.flatten(1), batch.seeds)
    steps = torch.arange(height * width, device=maps.device).expand_as(order)
    ranks = torch.empty_like(order).scatter_(1, order, steps).view_as(maps)
    inner = counts[1:-1].expand(len(batch), -1)
    masks = RankMasks(ranks, inner, torch.full_like(batch.targets, inner.shape[1]), keep=insert)
    fills = fill_images(batch, fill)
    scores = masked_scores(model, batch.images, fills, batch.targets, masks, space)
    ends = [unmasked_score(model, batch, space), filled_score(model, batch, fill, space)]
    first, last = reversed(ends) if insert else ends
    return torch.cat([first[:, None], scores, last[:, None]], dim=1)


def step_counts(steps: int, pixels: int, device: torch.device) -> Int[Tensor, " step"]:
    """Return round(k / steps x pixels) for k = 0..steps, each number once."""
    k = torch.arange(steps + 1, device=device, dtype=torch.float64)
    # round half up: Python's and torch's rounding to even would make uneven steps.
    return torch.unique((k * pixels / steps + 0.5).floor().long())


def unmasked_score(model: Classifier, batch: Batch, space: Space) -> Float[Tensor, " batch"]:
    """Return the score of the images as they are; computed once a block, counted for nobody."""
    return _shared(model, batch, batch.images, "unmasked", space)


def filled_score(
    model: Classifier, batch: Batch, fill: Fill, space: Space
) -> Float[Tensor, " batch"]:
    """Return the score of the fill alone; computed once a block, counted for nobody."""
    return _shared(model, batch, fill_images(batch, fill), f"fill={fill}", space)


def _shared(
    model: Classifier, batch: Batch, images: Tensor, what: str, space: Space
) -> Float[Tensor, " batch"]:
    key = f"{what},space={space}"
    known = batch.shared.setdefault(model, {})
    if key not in known:
        nothing = RankMasks(
            torch.zeros_like(batch.segments),
            torch.zeros_like(batch.targets)[:, None],
            torch.ones_like(batch.targets),
        )
        with _uncounted(model):
            scores = masked_scores(model, images, images, batch.targets, nothing, space)
        known[key] = scores[:, 0]
    return known[key]


@contextmanager
def _uncounted(model: Classifier):
    # Whoever asks first would otherwise pay for all: costs must not depend on the order of cells.
    before = model.passes.copy()
    try:
        yield
    finally:
        model.passes.forward, model.passes.backward = before.forward, before.backward


def trapezoid(
    y: Float[Tensor, "batch step"], x: Float[Tensor, "batch step"]
) -> Float[Tensor, " batch"]:
    """Return the area under each row by the trapezoid rule over the true abscissae, in float64."""
    return torch.trapezoid(y.double(), x.double(), dim=1)


def segment_means(
    values: Float[Tensor, "batch height width"], segments: Int[Tensor, "batch height width"]
) -> Float[Tensor, "batch segment"]:
    """Return the mean value in each segment, in float64; NaN behind an image's own segments."""
    labels = segments.flatten(1)
    sums = values.new_zeros(len(values), int(segments.max()) + 1, dtype=torch.float64)
    sums.scatter_add_(1, labels, values.flatten(1).double())
    return sums / segment_areas(segments)


def segment_areas(
    segments: Int[Tensor, "batch height width"],
) -> Float[Tensor, "batch segment"]:
    """Return the number of pixels of each segment; 0 behind an image's own segments."""
    labels = segments.flatten(1)
    areas = torch.zeros(
        len(segments), int(segments.max()) + 1, dtype=torch.float64, device=segments.device
    )
    return areas.scatter_add_(1, labels, torch.ones_like(labels, dtype=torch.float64))
