"""The learning rate at the steps where it is known in closed form."""

from __future__ import annotations

import random

import pytest
import torch

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


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_warm_up_is_a_line_to_the_full_rate(schedule: str) -> None:
    rates = _rates(10, schedule=schedule, warmup_steps=4)
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates[4] == 0.8


def test_cosine_starts_when_the_warm_up_ends() -> None:
    assert _rates(10, warmup_steps=4)[7] == pytest.approx(0.4)


def test_a_warm_up_longer_than_the_training_stays_a_line() -> None:
    assert _rates(3, warmup_steps=8) == pytest.approx([0.1, 0.2, 0.3, 0.4])


# --- plateaus


def _torch_twin(values: list[float], mode: str, patience: int, factor: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)
    twin = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode=mode, factor=factor, patience=patience, threshold=0, eps=0
    )
    rates = []
    for value in values:
        twin.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize("patience", [0, 1, 2])
@pytest.mark.parametrize(("monitor", "mode"), [("auroc", "max"), ("loss", "min")])
def test_plateau_is_that_of_torch(monitor: str, mode: str, patience: int) -> None:
    # Few values, so that there are ties.
    values = [v / 4 for v in random.Random(patience).choices(range(5), k=60)]
    options = TrainingOptions(
        learning_rate=0.8,
        schedule="plateau",
        plateau_factor=0.7,
        plateau_patience=patience,
        monitor=monitor,
    )
    rates = [learning_rate(options, 5, 9, values[: n + 1]) for n in range(len(values))]
    assert rates == pytest.approx(_torch_twin(values, mode, patience, 0.7))
    assert len(set(rates)) > 5


def test_a_plateau_halves_the_rate_after_its_patience_and_one() -> None:
    options = TrainingOptions(learning_rate=0.8, schedule="plateau", plateau_patience=2)
    seen = [0.9, 0.8, 0.9, 0.7, 0.95, 0.9]
    rates = [learning_rate(options, 0, 9, seen[:n]) for n in range(7)]
    assert rates == [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4]


def test_a_warm_up_climbs_to_the_rate_of_the_plateau() -> None:
    options = TrainingOptions(
        learning_rate=0.8, schedule="plateau", plateau_patience=0, warmup_steps=4
    )
    assert learning_rate(options, 1, 9, []) == pytest.approx(0.4)
    assert learning_rate(options, 1, 9, [0.5, 0.5]) == pytest.approx(0.2)
