"""The counter-based generator: known values, moments, independence, and ties."""

from __future__ import annotations

import hashlib
import math

import pytest
import torch

from xaibench.randomness import (
    descending_order,
    draw_seeds,
    image_seed,
    random_bits,
    random_uniform,
)

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z: int) -> int:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014, figure 15), on Python integers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def literal_bits(seed: int, count: int, stream: int) -> list[int]:
    """The SplitMix64 sequence whose state starts at mix(mix(seed) + stream)."""
    state = mix((mix(seed) + stream) & MASK)
    return [mix((state + i * GOLDEN) & MASK) for i in range(1, count + 1)]


def seeds(count: int, start: int = 0) -> torch.Tensor:
    return torch.arange(start, start + count)


def test_twin_is_the_published_generator():
    """The reference sequence of seed 0."""
    assert [mix(i * GOLDEN & MASK) for i in (1, 2, 3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


@pytest.mark.parametrize("stream", [0, 1, 2])
@pytest.mark.parametrize("seed", [0, 1, 12345678901234567, 2**63 - 1])
def test_bits_equal_splitmix64_on_integers(seed, stream):
    bits = random_bits(torch.tensor([seed]), 50, stream)[0].tolist()
    assert [b & MASK for b in bits] == literal_bits(seed, 50, stream)
    uniform = random_uniform(torch.tensor([seed]), 50, stream)[0].tolist()
    assert uniform == [(b >> 11) / 2**53 for b in literal_bits(seed, 50, stream)]


def test_stream_zero_of_seed_zero_is_the_reference_sequence():
    """mix(0) is 0, so here nothing stands between the seed and the published sequence."""
    first = random_bits(torch.tensor([0]), 1, 0).item() & MASK
    assert first == 0xE220A8397B1DCDAF


def test_image_seed_is_a_hash_of_run_and_image():
    digest = hashlib.blake2b(b"7/img_1", digest_size=8).digest()
    assert image_seed(7, "img_1") == int.from_bytes(digest, "big") // 2
    assert len({image_seed(r, i) for r in range(20) for i in "abcdefghij"}) == 200


def test_uniform_moments():
    """Mean 1/2, variance 1/12, and as many in each of 20 bins; within 5 standard errors."""
    values = random_uniform(seeds(200), 500, 2).flatten()
    n = len(values)
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n)
    assert abs(values.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / n)
    counts = torch.histc(values, bins=20, min=0, max=1)
    assert chi_square(counts, n / 20) < 19 + 5 * math.sqrt(2 * 19)


def chi_square(counts: torch.Tensor, expected: float) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


def test_independent_of_the_batch():
    whole = random_bits(seeds(10), 100, 1)
    assert torch.equal(whole[[7, 2]], random_bits(torch.tensor([7, 2]), 100, 1))
    assert torch.equal(whole[:, :30], random_bits(seeds(10), 30, 1))


@pytest.mark.parametrize("shift", [0, 1, 5])
def test_neighbouring_seeds_and_streams_are_uncorrelated(shift):
    """Correlation of n pairs has standard error 1/sqrt(n); also of sequences shifted by a place."""
    base = random_uniform(seeds(100), 400, 1)
    others = [
        random_uniform(seeds(100, start=1), 400, 1),
        random_uniform(seeds(100), 400, 2),
        random_uniform(seeds(100), 400, 1) if shift else random_uniform(-seeds(100) - 1, 400, 1),
    ]
    for other in others:
        pairs = torch.stack([base[:, shift:].flatten(), other[:, : 400 - shift].flatten()])
        assert abs(torch.corrcoef(pairs)[0, 1]) < 5 / math.sqrt(pairs.shape[1])
        assert not (base[:, shift:] == other[:, : 400 - shift]).any()


def test_descending_order_sorts():
    values = random_uniform(seeds(20), 64, 9).mul(10).floor()  # with many ties
    values[:, 5] = -torch.inf
    order = descending_order(values, seeds(20))
    assert torch.equal(order.sort(dim=1).values, torch.arange(64).expand(20, -1))
    ranked = values.gather(1, order)
    assert (ranked[:, :-1] >= ranked[:, 1:]).all()
    assert (order[:, -1] == 5).all()


def test_ties_fall_evenly_on_every_order():
    """Of four equal values each of the 24 orders is as likely: chi-square with 23 degrees."""
    order = descending_order(torch.zeros(12_000, 4), seeds(12_000))
    number = (order * torch.tensor([64, 16, 4, 1])).sum(1)
    _, counts = number.unique(return_counts=True)
    assert len(counts) == 24
    assert chi_square(counts, 500) < 23 + 5 * math.sqrt(2 * 23)


def test_ties_among_some_keep_the_rest_in_place():
    values = torch.tensor([[1.0, 3.0, 1.0, 2.0, 1.0]]).expand(3000, -1)
    order = descending_order(values, seeds(3000))
    assert (order[:, :2] == torch.tensor([1, 3])).all()
    for place in (2, 3, 4):
        counts = torch.bincount(order[:, place], minlength=5)
        assert counts[[1, 3]].sum() == 0
        assert chi_square(counts[[0, 2, 4]], 1000) < 2 + 5 * math.sqrt(2 * 2)


def test_order_is_the_same_in_any_batch():
    values = torch.zeros(6, 40)
    whole = descending_order(values, seeds(6))
    assert torch.equal(whole[[4]], descending_order(values[[4]], torch.tensor([4])))
    assert not torch.equal(whole[0], whole[1])


def test_draws_have_seeds_of_their_own():
    """The first is the image's own; the others are new, far apart, and the same in any batch."""
    own = seeds(500)
    drawn = [draw_seeds(own, k) for k in range(4)]
    assert torch.equal(drawn[0], own)
    assert len(torch.cat(drawn).unique()) == 4 * 500
    assert all((each >= 0).all() for each in drawn)
    assert torch.equal(draw_seeds(own[[7]], 3), drawn[3][[7]])
    numbers = torch.stack([random_uniform(each, 1, 2)[:, 0] for each in drawn])
    correlation = torch.corrcoef(numbers) - torch.eye(4)
    assert correlation.abs().max() < 5 / math.sqrt(500)
