"""What a notebook does: one model call for each segment, or for each step of a curve."""

from __future__ import annotations

import torch
from skimage.transform import resize
from torch import Tensor

from xaibench.engine import GridMasks
from xaibench.engine.batch import Batch
from xaibench.explainers.rise import Rise
from xaibench.models.base import Classifier


@torch.no_grad()
def superpixel_occlusion(model: Classifier, batch: Batch) -> Tensor:
    """Return the drop of each segment at its pixels (B, H, W); the data's mean hides it."""
    maps = torch.zeros_like(batch.images[:, 0])
    for i, (image, segments) in enumerate(zip(batch.images, batch.segments, strict=True)):
        whole = _score(model, batch, i, image)
        for segment in range(int(segments.max()) + 1):
            inside = segments == segment
            hidden = torch.where(inside, batch.dataset_mean[:, None, None], image)
            maps[i][inside] = whole - _score(model, batch, i, hidden)
    return maps


@torch.no_grad()
def deletion_insertion(model: Classifier, batch: Batch, maps: Tensor, counts: Tensor) -> Tensor:
    """Return both curves (2, B, step); black stands where pixels are gone."""
    curves = torch.zeros(2, len(batch), len(counts))
    for i, image in enumerate(batch.images):
        order = maps[i].flatten().argsort(descending=True)
        for step, count in enumerate(counts.tolist()):
            gone = torch.zeros_like(maps[i], dtype=torch.bool)
            gone.view(-1)[order[:count]] = True
            curves[0, i, step] = _score(model, batch, i, image.masked_fill(gone, 0))
            curves[1, i, step] = _score(model, batch, i, image.masked_fill(~gone, 0))
    return curves


@torch.no_grad()
def cumulative_drop(model: Classifier, batch: Batch, maps: Tensor) -> Tensor:
    """Return the drops (2, B, step), most important segment first and last; NaN behind the end."""
    most = int(batch.segments.max()) + 1
    drops = torch.full((2, len(batch), most + 1), torch.nan)
    for i, (image, segments) in enumerate(zip(batch.images, batch.segments, strict=True)):
        present = range(int(segments.max()) + 1)
        means = [float(maps[i][segments == s].double().mean()) for s in present]
        falling = sorted(present, key=lambda s: -means[s])
        whole = _score(model, batch, i, image)
        for row, order in enumerate((falling, falling[::-1])):
            hidden = image.clone()
            drops[row, i, 0] = 0
            for step, segment in enumerate(order):
                hidden[:, segments == segment] = batch.dataset_mean[:, None]
                drops[row, i, step + 1] = whole - _score(model, batch, i, hidden)
    return drops


@torch.no_grad()
def rise(model: Classifier, batch: Batch, explainer: Rise) -> Tensor:
    """Return the maps (B, H, W) as the authors' code makes them, of our masks: all masks of an
    image are written out, then it is passed behind them in full batches."""
    maps = torch.zeros_like(batch.images[:, 0])
    for i, image in enumerate(batch.images):
        masks = _grids(explainer.random_masks(batch.take([i])))
        fill = batch.dataset_mean[:, None, None]
        copies = (image * m + fill * (1 - m) for m in masks.split(model.batch_size))
        target = batch.targets[i : i + 1]
        scores = torch.cat([model.score(c, target.expand(len(c)), "prob") for c in copies])
        maps[i] = (scores[:, None, None] * masks[:, 0]).sum(0) / (len(masks) * explainer.keep)
    return maps


def _grids(masks: GridMasks) -> Tensor:
    """Return an image's masks (mask, 1, H, W), upsampled and cut out one by one."""
    cells, sides = masks.kept.shape[-1], masks.size
    large = tuple((cells + 1) * -(-side // cells) for side in sides)
    found = []
    for kept, (top, left) in zip(masks.kept[0].numpy(), masks.shifts[0].tolist(), strict=True):
        grid = resize(kept.astype("float32"), large, 1, mode="reflect", anti_aliasing=False)
        found.append(torch.from_numpy(grid[top : top + sides[0], left : left + sides[1]]))
    return torch.stack(found)[:, None].float()


def _score(model: Classifier, batch: Batch, i: int, image: Tensor) -> float:
    return float(model.score(image[None], batch.targets[i : i + 1]))
