"""Random numbers that depend on the image alone, never on batching, order or device.

A counter-based generator: the number for pixel ``i`` of an image with seed ``s`` is a hash of
(s, i), so one call draws for a whole batch, on any device, with the same result bit for bit.
The mixing function is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom
number generators").
"""

from __future__ import annotations

import hashlib

import torch
from jaxtyping import Float, Int
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def image_seed(run_seed: int, image_id: str) -> int:
    """Return the image's own seed, in [0, 2**63), from the run's seed and the image's id."""
    digest = hashlib.blake2b(f"{run_seed}/{image_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _shift_right(x: Tensor, bits: int) -> Tensor:
    # torch shifts int64 arithmetically; the mask makes it the logical shift that SplitMix64 needs.
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def random_bits(seeds: Int[Tensor, " batch"], count: int, stream: int) -> Int[Tensor, "batch n"]:
    """Return ``count`` pseudo-random int64 an image; ``stream`` tells independent uses apart."""
    counter = torch.arange(1, count + 1, device=seeds.device, dtype=torch.int64)
    # The seed is mixed before the counter is added: neighbouring seeds must not give shifted
    # copies of one sequence.
    start = _mix(_mix(seeds.to(torch.int64)) + stream)
    return _mix(start[:, None] + counter[None] * _GOLDEN)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def random_uniform(
    seeds: Int[Tensor, " batch"], count: int, stream: int
) -> Float[Tensor, "batch n"]:
    """Return ``count`` numbers an image, uniform on [0, 1), float64."""
    return _shift_right(random_bits(seeds, count, stream), 11).to(torch.float64) * 2.0**-53


def random_normal(
    seeds: Int[Tensor, " batch"], count: int, stream: int
) -> Float[Tensor, "batch n"]:
    """Return ``count`` numbers an image, of mean 0 and variance 1, float64."""
    # Half a step up: the normal quantile of 0 is not finite.
    return torch.special.ndtri(random_uniform(seeds, count, stream) + 2.0**-54)


def copy_seeds(seeds: Int[Tensor, " pair"], copies: Int[Tensor, " pair"]) -> Int[Tensor, " pair"]:
    """Return the seeds of numbered copies of images, in [0, 2**63), one a copy."""
    bits = _mix(_mix(_mix(seeds.to(torch.int64)) + _COPIES) + (copies + 1) * _GOLDEN)
    return _shift_right(bits, 1)


def draw_seeds(seeds: Int[Tensor, " batch"], draw: int) -> Int[Tensor, " batch"]:
    """Return the seeds of an image's ``draw``-th independent draw, in [0, 2**63).

    Draw 0 has the image's own seeds; of any other, whatever is random differs: noise and ties.
    """
    if draw == 0:
        return seeds
    return _shift_right(random_bits(seeds, draw, _DRAWS)[:, -1], 1)


def descending_order(
    values: Float[Tensor, "batch n"], seeds: Int[Tensor, " batch"]
) -> Int[Tensor, "batch n"]:
    """Return the indices that sort each row from high to low, ties in the image's own random order.

    Args:
        values: one row an image; ``-inf`` goes last.
        seeds: one an image.

    A constant row therefore gives a uniformly random order, the same at every call.
    """
    shuffled = random_bits(seeds, values.shape[1], stream=_TIES).argsort(dim=1)
    by_value = values.gather(1, shuffled).sort(dim=1, descending=True, stable=True).indices
    return shuffled.gather(1, by_value)


# Streams: what draws with the same seeds draws other numbers.
_TIES = 1
NOISE = 2
_DRAWS = 3
UNRELATED = 4
NOISY_INPUT = 5
MASK_CELLS = 20
MASK_SHIFTS = 21
COALITION_SIZES = 22
COALITION_MEMBERS = 23
_COPIES = 30
NOISY_COPY = 31
REFERENCE_ORDER = 32
PATH_POINT = 33
IMPUTED = 40
SUBSETS = 41
SQUARES = 42
UNIFORM = 43
NEIGHBOURHOOD = 44
OTHER_TARGET = 50
MOSAIC = 51
PERTURBATION = 52
MASKED_PIXEL = 60
MASKED_IMAGE = 61
