"""A fraction of a split keeps the share of each label."""

from __future__ import annotations

import numpy as np
import pytest

from xaibench.datasets.splits import stratified_fraction
from xaibench.errors import UserError

LABELS = np.repeat([0, 1, 2], [600, 300, 100])


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_each_label_keeps_its_share(fraction):
    kept = stratified_fraction(LABELS, fraction, seed=0)
    assert np.bincount(LABELS[kept]) == pytest.approx(fraction * np.array([600, 300, 100]), abs=1)


def test_indices_rise_and_none_stands_twice():
    kept = stratified_fraction(np.random.default_rng(0).permutation(LABELS), 0.3, seed=0)
    assert (np.diff(kept) > 0).all()
    assert len(kept) == 300


def test_the_draw_follows_the_seed():
    one, again, other = (stratified_fraction(LABELS, 0.2, seed) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_whole_is_kept_as_it_is():
    assert np.array_equal(stratified_fraction(LABELS, 1.0, seed=5), np.arange(1000))


@pytest.mark.parametrize(
    ("labels", "fraction"), [(np.array([0, 0, 0, 1]), 0.5), (LABELS, 0.001), (LABELS, 0.999)]
)
def test_a_fraction_that_cannot_keep_the_shares_is_refused(labels, fraction):
    with pytest.raises(UserError) as caught:
        stratified_fraction(labels, fraction, seed=0)
    start = f"a stratified fraction of {fraction} of {len(labels)} images cannot be drawn: "
    assert str(caught.value).startswith(start)
