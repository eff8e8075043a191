"""Border mass against a literal twin and what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.imaging.regions import band_pixels, outer_band
from xaibench.metrics.border_mass import BorderMass
from xaibench.registry import Registry


def score(maps: torch.Tensor, band: float = 0.1) -> torch.Tensor:
    batch = toy_batch().take(range(len(maps)))
    return BorderMass(band).score(toy_model(), batch, maps).values["border_mass"]


@pytest.mark.parametrize("band", [0.01, 0.1, 0.25, 0.49])
def test_equals_the_literal_twin(band):
    maps = torch.rand(4, 20, 30, generator=torch.Generator().manual_seed(1)) - 0.4
    down, across = max(1, int(band * 20 + 0.5)), max(1, int(band * 30 + 0.5))
    for values, one in zip(score(maps, band), maps.tolist(), strict=True):
        inside, total = 0.0, 0.0
        for y, line in enumerate(one):
            for x, relevance in enumerate(line):
                if relevance > 0:
                    total += relevance
                    if min(y, 19 - y) < down or min(x, 29 - x) < across:
                        inside += relevance
        assert values.item() == pytest.approx(inside / total, rel=1e-12)


def test_closed_forms():
    flat = torch.ones(3, 100, 100)
    flat[1, 10:90, 10:90] = 0  # all relevance in the band
    flat[2] = 0
    flat[2, 10, 10] = 5  # none
    assert score(flat).tolist() == pytest.approx([0.36, 1.0, 0.0])


def test_negative_relevance_is_left_out():
    maps = torch.full((1, 10, 10), -3.0)
    maps[0, 0, 0], maps[0, 5, 5] = 1.0, 3.0
    assert score(maps).tolist() == [0.25]


def test_undefined_where_no_relevance_is_positive():
    maps = torch.stack([torch.zeros(10, 10), -torch.ones(10, 10)])
    assert score(maps).isnan().all()
    result = BorderMass().score(toy_model(), toy_batch().take([0, 1]), maps)
    assert result.undefined == {"border_mass": "no relevance is positive"}


def test_a_band_has_whole_pixels_and_at_least_one():
    assert [band_pixels(side, 0.1) for side in (3, 14, 15, 224)] == [1, 1, 2, 22]
    assert outer_band(4, 6, 0.1).sum() == 4 * 6 - 2 * 4
    assert np.array_equal(
        outer_band(5, 9, 0.2),
        np.pad(np.zeros((3, 5)), ((1, 1), (2, 2)), constant_values=1).astype(bool),
    )


def test_the_protocol_names_the_band():
    assert BorderMass(0.2).protocol("border_mass", "") == "border_mass[band=0.2,relevance=positive]"
    assert "border_mass" in Registry().names("metric")
