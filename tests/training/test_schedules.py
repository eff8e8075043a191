"""The learning rate at the steps where it is known in closed form."""

from __future__ import annotations

import pytest

from xaibench.training.options import TrainingOptions
from xaibench.training.schedules import learning_rate


def _rates(total: int, **options: object) -> list[float]:
    chosen = TrainingOptions(learning_rate=0.8, **options)
    return [learning_rate(chosen, step, total) for step in range(total + 1)]


def test_constant_never_changes() -> None:
    assert set(_rates(10, schedule="constant")) == {0.8}


def test_cosine_falls_from_the_full_rate_over_its_half_to_zero() -> None:
    rates = _rates(10, schedule="cosine")
    assert rates[0] == 0.8
    assert rates[5] == pytest.approx(0.4)
    assert rates[10] == pytest.approx(0)
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_is_a_line_to_the_full_rate(schedule: str) -> None:
    rates = _rates(10, schedule=schedule, warmup_steps=4)
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates[4] == 0.8


def test_cosine_starts_when_the_warm_up_ends() -> None:
    assert _rates(10, warmup_steps=4)[7] == pytest.approx(0.4)


def test_a_warm_up_longer_than_the_training_stays_a_line() -> None:
    assert _rates(3, warmup_steps=8) == pytest.approx([0.1, 0.2, 0.3, 0.4])
