"""Every way to train goes on bit for bit where it was interrupted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_training import (
    OPTIONS,
    STEPS,
    Stop,
    fit_toy,
    same,
    same_log,
    toy_data,
    toy_model,
)

from xaibench.training.options import CopyOptions
from xaibench.types import Data

pytestmark = pytest.mark.usefixtures("one_thread")

WAYS = {
    "sgd": {"optimizer": "sgd", "nesterov": True},
    "plateau": {"schedule": "plateau", "plateau_patience": 0, "warmup_steps": 2},
    "backbone first": {"frozen_stages": "backbone", "frozen_epochs": 1},
    "stages throughout": {"frozen_stages": 1},
    "stages by sgd": {"frozen_stages": 2, "frozen_epochs": 2, "optimizer": "sgd"},
    "by steps": {"validate_every": 4, "max_steps": 18},
    "by steps over epochs": {"validate_every": 11},
    "weighted": {"pos_weight": "balanced"},
    "balanced": {"sampling": "balanced"},
    "copies": {"copies": CopyOptions(flip=True, contrast=1.5), "epochs": 1},
    "events": {"tensorboard": True},
}


def _data() -> Data:
    """Few positives, so that weights and balance do something."""
    data = toy_data()
    labels = data.splits["train"].labels
    labels[np.flatnonzero(labels)[:7]] = 0
    return data


def _fit(cache: Path, change: dict, progress: Stop | None = None):
    options = OPTIONS.model_copy(update={"monitor": "loss"} | change)
    return fit_toy(cache, toy_model(1, "single_logit"), _data(), options, progress=progress)


@pytest.fixture(scope="module")
def plain(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return _fit(tmp_path_factory.mktemp("plain"), {})[0]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_resumes_to_the_bit(plain: dict, tmp_path: Path, way: str) -> None:
    weights, whole = _fit(tmp_path / "whole", WAYS[way])
    # Else it would show nothing; what is only looked at changes nothing.
    assert same(weights, plain) == (way in ("events", "by steps over epochs"))
    # In an epoch, at its end before validation, and (killed) behind the last regular save.
    stops = [(5, KeyboardInterrupt), (2, KeyboardInterrupt), (4, RuntimeError)]
    for at, error in stops:
        with pytest.raises(error):
            _fit(tmp_path / "parts", WAYS[way], Stop(at, error))
    again, resumed = _fit(tmp_path / "parts", WAYS[way])
    assert resumed.resumed_from == 9
    assert same(weights, again)
    same_log(resumed.log, whole.log)
    for name in ("best_epoch", "best_step", "best_value", "key"):
        assert getattr(resumed, name) == getattr(whole, name)


def test_a_freeze_that_ends_when_it_is_interrupted(tmp_path: Path) -> None:
    way = WAYS["backbone first"]
    weights, _ = _fit(tmp_path / "whole", way)
    for error in (KeyboardInterrupt, RuntimeError):
        cache = tmp_path / error.__name__
        for at in (STEPS - 1, 1, 1) if error is KeyboardInterrupt else (STEPS + 1,):
            with pytest.raises(error):
                _fit(cache, way, Stop(at, error))
        again, trained = _fit(cache, way)
        assert trained.resumed_from == (STEPS + 1 if error is KeyboardInterrupt else STEPS)
        assert same(weights, again)
