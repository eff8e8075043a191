"""Patches of maps: cut out of an image's own maps, with what a window changed pasted in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xaibench.engine.pixels import gathered, pixels_of
from xaibench.engine.windows.reach import Placement


@dataclass(frozen=True)
class Read:
    """What one step reads of a map of which only patches are at hand.

    Attributes:
        padding: of the map, for the step: left, right, top, bottom.
        value: what it is padded with.
        patch: where the patches lie in the padded map.
        region: what is read of the padded map.
    """

    padding: tuple[int, int, int, int]
    value: float
    patch: Placement
    region: Placement

    def to(self, device: torch.device) -> Read:
        """Return the same on a device."""
        return replace(self, patch=self.patch.to(device), region=self.region.to(device))


def pasted(
    maps: Float[Tensor, "image height width channel"],
    patches: Float[Tensor, "pair channel patch_height patch_width"],
    read: Read,
    image: Int[Tensor, " pair"],
    mask: Int[Tensor, " pair"],
) -> Float[Tensor, "pair channel region_height region_width"]:
    """Return the regions read, in channels_last: of the patch where it lies, of the map elsewhere.

    Args:
        maps: the images' own maps, padded.
        image, mask: of each pair, among ``maps`` and among the windows.
    """
    rows, columns = _pixels(read.region, mask)
    r, c = rows - read.patch.top[mask][:, None], columns - read.patch.left[mask][:, None]
    height, width = patches.shape[2:]
    pair = torch.arange(len(mask), device=mask.device)
    own = _numbers(image, rows, columns, *maps.shape[1:3])
    changed = _numbers(pair, r, c, height, width) + maps[..., 0].numel()
    inside = _both((r >= 0) & (r < height), (c >= 0) & (c < width))
    table = torch.cat([pixels_of(maps), pixels_of(patches.permute(0, 2, 3, 1))])
    return gathered(table, torch.where(inside, changed, own))


def windowed(
    sides: Float[Tensor, "image 2 height width channel"],
    boxes: Int[Tensor, "mask 4"],
    patch: Placement,
    image: Int[Tensor, " pair"],
    mask: Int[Tensor, " pair"],
) -> Float[Tensor, "pair channel patch_height patch_width"]:
    """Return patches of images with a window hidden, in channels_last.

    Args:
        sides: each image as it is, and its fill, which stands inside the pair's box.
        boxes: see ``BoxMasks``.
        patch: where the patches lie.
    """
    rows, columns = _pixels(patch, mask)
    top, bottom, left, right = boxes[mask].T[:, :, None]
    inside = _both((rows >= top) & (rows < bottom), (columns >= left) & (columns < right))
    height, width = sides.shape[2:4]
    pixels = _numbers(2 * image, rows, columns, height, width)
    return gathered(pixels_of(sides), pixels + height * width * inside)


def _pixels(at: Placement, mask: Int[Tensor, " pair"]) -> tuple[Tensor, Tensor]:
    """Return the rows (pair, height) and the columns (pair, width) of each pair's rectangle."""
    rows = torch.arange(at.height, device=mask.device, dtype=at.top.dtype)
    columns = torch.arange(at.width, device=mask.device, dtype=at.left.dtype)
    return at.top[mask][:, None] + rows, at.left[mask][:, None] + columns


def _numbers(
    image: Int[Tensor, " pair"],
    rows: Int[Tensor, "pair rows"],
    columns: Int[Tensor, "pair columns"],
    height: int,
    width: int,
) -> Int[Tensor, "pair rows columns"]:
    """Return the pixels' numbers, counted through all images row by row."""
    lines = (image[:, None] * height + rows) * width
    return lines[:, :, None] + columns[:, None, :]


def _both(
    rows: Bool[Tensor, "pair rows"], columns: Bool[Tensor, "pair columns"]
) -> Bool[Tensor, "pair rows columns"]:
    return rows[:, :, None] & columns[:, None, :]
