"""Batches of the model's size: how large it may be, and halved when memory runs out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Tensor

from xaibench.engine.batch import Batch
from xaibench.models.base import Classifier

# Pixels of a batch's images for each thread of a CPU: the maps of larger batches leave its caches.
_PIXELS_A_THREAD = 2**18


def in_batches(
    model: Classifier, count: int, work: Callable[[slice], None], *, per_pass: int = 1
) -> None:
    """Call ``work`` on slices of 0..count, each at most ``model.batch_size`` passes long.

    A slice that runs out of memory is done again in halves, and ``model.batch_size`` stays halved;
    one pass that does not fit is an error. No slice of one pass is left over from larger ones: a
    single image goes through other kernels, which round the last bit another way.

    Args:
        per_pass: items that take the memory of one pass of a whole image.
    """
    done = 0
    while done < count:
        size = model.batch_size * per_pass
        stop = min(done + size, count)
        part = slice(done, stop - 1 if stop + 1 == count and size > 2 else stop)
        try:
            work(part)
        except torch.OutOfMemoryError:
            if model.batch_size == 1:
                raise
            model.batch_size //= 2
            torch.cuda.empty_cache()
            continue
        done = part.stop


def maps_in_batches(
    model: Classifier, batch: Batch, maps_of: Callable[[Batch], Tensor]
) -> Shaped[Tensor, "batch *map"]:
    """Return ``maps_of`` each part of a batch, joined; parts as in ``in_batches``."""
    parts: list[Tensor] = []
    in_batches(
        model,
        len(batch),
        lambda part: parts.append(maps_of(batch.take(range(part.start, part.stop)))),
    )
    return torch.cat(parts)


def automatic_batch_size(model: Classifier) -> int:
    """Return a batch size that keeps the model's device busy and fits its memory.

    On a CPU the largest power of two of images that are at most 2^18 pixels a thread (with two
    threads 32 of 96 x 96, 8 of 224 x 224), at most 64. On a CUDA device of at most 2^24 pixels
    (1,024 of 96 x 96, 256 of 224 x 224; larger batches are no faster) and that takes at most 60 %
    of the memory in a forward and a backward pass, as two small ones measure it. It depends on
    the model and the machine alone, so that a run gives the same numbers again.
    """
    _, height, width = model.input_shape
    pixels = height * width
    if model.device.type != "cuda":
        return _size_on_cpu(pixels, torch.get_num_threads())
    total = torch.cuda.get_device_properties(model.device).total_memory
    with model.as_found():
        model.eval()
        _peak(model, 1)  # workspaces that stay are not an image's
        image = max((_peak(model, 16) - _peak(model, 8)) / 8, 1.0)
    return _size_on_gpu(pixels, image, total)


def _size_on_cpu(pixels: int, threads: int) -> int:
    return _power_of_two(min(64.0, _PIXELS_A_THREAD * threads / pixels))


def _size_on_gpu(pixels: int, image_bytes: float, total_bytes: int) -> int:
    return _power_of_two(min(2**24 / pixels, 0.6 * total_bytes / image_bytes))


def _power_of_two(most: float) -> int:
    """Return the largest power of two that is not above a number; at least 1."""
    return 2 ** math.floor(math.log2(max(1.0, most)))


def _peak(model: Classifier, images: int) -> int:
    """Return the most bytes in use in a forward and a backward pass of so many images."""
    before = model.passes.copy()
    torch.cuda.reset_peak_memory_stats(model.device)
    batch = model.example().repeat(images, 1, 1, 1).requires_grad_()
    model(batch).sum().backward()
    model.passes = before  # what the harness needs to know costs the run nothing
    return torch.cuda.max_memory_allocated(model.device)
