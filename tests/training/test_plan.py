"""Validation by steps: when it takes place, what its log says, when it stops."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_training import OPTIONS, STEPS, Stop, fit_toy

from xaibench.training.options import TrainingOptions
from xaibench.training.plan import Plan

pytestmark = pytest.mark.usefixtures("one_thread")


def _stops(images: int, **options: object) -> list[int]:
    plan = Plan.of(TrainingOptions(batch_size=4, **options), images)
    stops = [0]
    while stops[-1] < plan.total:
        stops.append(plan.next_validation(stops[-1]))
    return stops[1:]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"epochs": 3}, [7, 14, 21]),
        ({"epochs": 3, "max_steps": 10}, [7, 10]),
        ({"epochs": 1, "max_steps": 100}, [7]),
        ({"epochs": 2, "validate_every": 5}, [5, 10, 14]),
        ({"epochs": 2, "validate_every": 7}, [7, 14]),
        ({"epochs": 3, "validate_every": 4, "max_steps": 12}, [4, 8, 12]),
    ],
)
def test_where_validations_fall(options: dict, expected: list[int]) -> None:
    assert _stops(26, **options) == expected


def test_the_log_has_a_row_a_validation_and_none_at_an_epochs_end(tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"validate_every": 5, "max_steps": 17})
    _, trained = fit_toy(tmp_path, options=options, progress=(progress := Stop()))
    assert trained.log.step.tolist() == [5, 10, 15, 17]
    assert trained.log.epoch.tolist() == [1, 2, 3, 3]
    assert progress.stages[-1] == ("Training", 17, 0)
    assert [line.partition(":")[0] for line in progress.said] == [
        f"Step {step} of 17" for step in (5, 10, 15, 17)
    ]
    # Five batches of four, but an epoch's last batch has two.
    correct = trained.log.train_accuracy * torch.tensor([20, 18, 18, 8]).numpy()
    assert correct.round(9).mod(1).eq(0).all()


def test_validating_does_not_change_what_is_learnt(tmp_path: Path) -> None:
    """The last rows of both are of the same weights."""
    by_epoch = fit_toy(tmp_path)[1].log
    options = OPTIONS.model_copy(update={"validate_every": 1, "patience": 99})
    by_step = fit_toy(tmp_path, options=options)[1].log
    assert by_step.step.tolist() == list(range(1, 3 * STEPS + 1))
    rows = by_step.set_index("step").loc[by_epoch.step].reset_index()
    for name in ("valid_loss", "valid_auroc", "learning_rate", "epoch"):
        assert (rows[name] == by_epoch[name]).all()
    first = by_step.train_loss[:STEPS]
    images = torch.tensor([4.0] * 6 + [2.0]).numpy()
    assert by_epoch.train_loss[0] == pytest.approx((first * images).sum() / 26)


def test_patience_counts_validations(tmp_path: Path) -> None:
    change = {"epochs": 40, "patience": 3, "validate_every": 2, "monitor": "loss"}
    options = OPTIONS.model_copy(update=change | {"learning_rate": 0.3, "schedule": "constant"})
    _, trained = fit_toy(tmp_path, options=options)
    best = trained.log.valid_loss.argmin()
    assert len(trained.log) == best + 1 + 3
    assert trained.best_step == 2 * (best + 1)
    assert trained.best_epoch == trained.log.epoch[best]
