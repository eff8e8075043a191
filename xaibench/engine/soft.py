"""Soft masks: weights between image and fill, in compact forms, and the scores behind them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine.batch import Maps, Pixels, Targets
from xaibench.engine.masks import SoftMasks
from xaibench.engine.scores import packed_scores
from xaibench.models.base import Classifier
from xaibench.types import Space

_MASKS_AT_ONCE = 256


def soft_scores(
    model: Classifier,
    images: Pixels,
    fills: Pixels,
    targets: Targets,
    masks: SoftMasks,
    space: Space = "prob",
) -> Float[Tensor, "batch mask"]:
    """Return the target's score of ``weight * image + (1 - weight) * fill`` for every mask.

    As ``masked_scores``, to which a mask of zeros and ones is the same: packed across images
    and masks into full batches; NaN behind an image's own number of masks.
    Cost: one forward pass a mask.
    """
    return packed_scores(model, images, fills, targets, masks, space, _mixed)


def _mixed(
    clear: Float[Tensor, "image channel height width"],
    hidden: Float[Tensor, "image channel height width"],
    image: Int[Tensor, " pair"],
    weights: Float[Tensor, "pair height width"],
) -> Float[Tensor, "pair channel height width"]:
    # Normalisation is affine, so that mixing normalised images is mixing images. Weights are
    # written out for each channel, images only where there are several: the least memory.
    ends = [m.permute(0, 2, 3, 1).contiguous() for m in (hidden, clear)]
    if len(clear) > 1:
        ends = [end[image] for end in ends]
    each = weights[..., None].expand(*weights.shape, clear.shape[1]).contiguous()
    return torch.lerp(*ends, each).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class GridMasks(SoftMasks):
    """Coarse grids of kept cells, upsampled bilinearly and shifted: RISE.

    A grid of s x s cells is upsampled to (s + 1) cells of ceil(height / s) x ceil(width / s)
    pixels a side, and a window of the images' size is cut out of it.

    Attributes:
        kept: the cells of each grid that are kept.
        shifts: top and left of each window, below one cell's height and width.
        size: height and width of the images.
    """

    kept: Bool[Tensor, "batch mask cell cell"]
    shifts: Int[Tensor, "batch mask 2"]
    size: tuple[int, int]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Float[Tensor, "pair height width"]:
        rows, columns = self._windows(self.shifts[image, mask])
        return rows @ self.kept[image, mask].float() @ columns.mT

    def weighted_sum(self, weights: Float[Tensor, "batch mask"]) -> Maps:
        """Return the sum of each image's masks, each times its weight, with none expanded."""
        height, width = self.size
        total = weights.new_zeros(len(weights), height, width)
        for part in torch.arange(weights.shape[1]).split(_MASKS_AT_ONCE):
            at = slice(int(part[0]), int(part[-1]) + 1)
            rows, columns = self._windows(self.shifts[:, at])
            weighted = rows @ (self.kept[:, at] * weights[:, at, None, None])
            # One product over masks and cells: what each mask adds is never written out.
            left = weighted.transpose(1, 2).flatten(2)
            total += left @ columns.transpose(2, 3).flatten(1, 2)
        return total

    def _windows(
        self, shifts: Int[Tensor, "*mask 2"]
    ) -> tuple[Float[Tensor, "*mask height cell"], Float[Tensor, "*mask width cell"]]:
        """Return how much of each row, each column of cells there is at each pixel."""
        return tuple(
            _upsampling(self.kept.shape[-1], side, shifts.device)[
                shifts[..., axis, None] + torch.arange(side, device=shifts.device)
            ]
            for axis, side in enumerate(self.size)
        )


def _upsampling(cells: int, side: int, device: torch.device) -> Float[Tensor, "pixel cell"]:
    """Return the matrix that upsamples one side of a grid bilinearly, by half-pixel centres.

    Mirrored at the outermost centres, as the paper's code does.
    """
    pixels = (cells + 1) * -(-side // cells)
    centres = ((torch.arange(pixels, device=device) + 0.5) * cells / pixels - 0.5).abs()
    centres = torch.minimum(centres, 2 * (cells - 1) - centres)
    weights = (1 - (centres[:, None] - torch.arange(cells, device=device)).abs()).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


@dataclass(frozen=True)
class ChannelMasks(SoftMasks):
    """Each channel of a layer's maps, upsampled bilinearly and scaled to [0, 1]: Score-CAM.

    A channel that is equal everywhere replaces the whole image.

    Attributes:
        maps: of each image, in the layer's own resolution.
        size: height and width of the images.
    """

    maps: Float[Tensor, "batch channel h w"]
    size: tuple[int, int]
    counts: Int[Tensor, " batch"]

    def expand(
        self, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Float[Tensor, "pair height width"]:
        small = self.maps[image, mask][:, None]
        large = F.interpolate(small, self.size, mode="bilinear", align_corners=False)[:, 0]
        low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
        # Rounding in the upsampling alone must not make a mask of a channel that says nothing.
        flat = high - low <= 1e-6 * torch.maximum(low.abs(), high.abs())
        return ((large - low) / (high - low)).masked_fill(flat, 0)
