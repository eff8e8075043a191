"""Training: exact resume, early stop, what is trained, what is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from toy_training import (
    OPTIONS,
    STEPS,
    Stop,
    fit_toy,
    same,
    same_log,
    toy_data,
    toy_model,
    toy_split,
)

from xaibench.errors import UserError

NAN = float("nan")
pytestmark = pytest.mark.usefixtures("one_thread")


# --- resuming


@pytest.mark.parametrize("at", [1, 3, 5, STEPS, STEPS + 1, 3 * STEPS])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_and_resumed_is_bitwise_uninterrupted(
    whole, tmp_path: Path, at: int, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        fit_toy(tmp_path, progress=Stop(at, error))
    weights, trained = fit_toy(tmp_path)
    # Ctrl-C saves at once; after any other end the last regular save counts.
    saved = [s for s in (0, 3, 6, 7, 9, 12, 14, 15, 18, 21) if s <= at][-1]
    if at % STEPS == 0 and at % 3:
        saved = (at - 1) // 3 * 3  # killed before the epoch's validation
    expected = at if error is KeyboardInterrupt else saved
    assert trained.resumed_from == (expected or None)
    assert trained.trained_steps == 3 * STEPS - expected
    assert same(weights, whole[0])
    same_log(trained.log, whole[1].log)
    assert (trained.best_epoch, trained.best_value) == (whole[1].best_epoch, whole[1].best_value)


def test_interrupted_again_and_again_is_still_the_same(whole, tmp_path: Path) -> None:
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            fit_toy(tmp_path, progress=Stop(4, KeyboardInterrupt))
    progress = Stop()
    weights, trained = fit_toy(tmp_path, progress=progress)
    assert trained.resumed_from == 16
    assert progress.stages[-1] == ("Training", 3 * STEPS, 16)
    assert same(weights, whole[0])
    same_log(trained.log, whole[1].log)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell starts what it runs in the background deaf to Ctrl-C, and Python leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(whole, tmp_path: Path) -> None:
    model = toy_model()
    calls = []

    def press(*_: object) -> None:
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    model.net.register_forward_pre_hook(press)
    with pytest.raises(KeyboardInterrupt):
        fit_toy(tmp_path, model)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    weights, trained = fit_toy(tmp_path)
    assert trained.resumed_from == 5
    assert same(weights, whole[0])


def test_the_callers_random_numbers_are_left_alone(tmp_path: Path) -> None:
    model = toy_model()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit_toy(tmp_path, model, options=OPTIONS.model_copy(update={"epochs": 1}))
    assert torch.equal(torch.rand(3), expected)


# --- what is learnt


@pytest.mark.parametrize("head", ["softmax", "single_logit"])
def test_a_separable_problem_is_learnt(tmp_path: Path, head: str) -> None:
    options = OPTIONS.model_copy(update={"epochs": 8, "monitor": "auroc", "patience": 8})
    model = toy_model(1 if head == "single_logit" else 2, head)
    _, trained = fit_toy(tmp_path, model, toy_data(train=64), options)
    assert trained.best_value > 0.95
    assert trained.log.valid_auroc[trained.best_epoch - 1] == trained.best_value
    assert trained.log.train_loss.iloc[-1] < trained.log.train_loss.iloc[0]


def test_the_log_has_a_row_an_epoch(whole) -> None:
    log = whole[1].log
    assert list(log.columns) == [
        "epoch", "step", "train_loss", "train_accuracy", "train_auroc", "train_mae",
        "valid_loss", "valid_accuracy", "valid_auroc", "valid_mae", "learning_rate", "seconds",
    ]  # fmt: skip
    assert log.epoch.tolist() == [1, 2, 3]
    assert log.step.tolist() == [STEPS, 2 * STEPS, 3 * STEPS]
    assert log.learning_rate.is_monotonic_decreasing
    assert (log.seconds > 0).all()
    assert log.train_accuracy.mul(26).round(9).mod(1).eq(0).all()
    assert log.train_auroc.between(0, 1).all()


def test_the_best_epochs_weights_are_restored_and_patience_ends_it(tmp_path: Path) -> None:
    # So large a rate that validation gets worse after a while.
    change = {"epochs": 40, "patience": 2, "monitor": "loss", "learning_rate": 0.3}
    options = OPTIONS.model_copy(update=change | {"schedule": "constant"})
    model = toy_model()
    weights, trained = fit_toy(tmp_path, model, options=options, progress=(progress := Stop()))
    log = trained.log
    assert trained.best_epoch == log.valid_loss.argmin() + 1
    assert trained.best_value == log.valid_loss.min()
    assert len(log) == trained.best_epoch + 2 < 40
    assert progress.steps == trained.trained_steps == len(log) * STEPS
    stored = load_file(trained.folder / "best.safetensors")
    assert same(weights, stored)
    valid = toy_split(16, 1)
    images = torch.tensor(valid.images(np.arange(16))).permute(0, 3, 1, 2) / 255
    loss = nn.functional.cross_entropy(model(images), torch.tensor(valid.labels))
    assert loss.item() == pytest.approx(trained.best_value, rel=1e-4)


def test_the_head_alone_is_trained(tmp_path: Path) -> None:
    model = toy_model()
    built = {k: v.clone() for k, v in model.net.state_dict().items()}
    options = OPTIONS.model_copy(update={"frozen_stages": "backbone"})
    weights, _ = fit_toy(tmp_path, model, options=options)
    for name, value in weights.items():
        assert torch.equal(value, built[name]) != name.startswith("head."), name
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_no_epochs_leave_the_model_as_built(tmp_path: Path) -> None:
    built = {k: v.clone() for k, v in toy_model().net.state_dict().items()}
    options = OPTIONS.model_copy(update={"epochs": 0})
    for _ in range(2):
        weights, trained = fit_toy(tmp_path, options=options)
        assert same(weights, built)
        assert trained.log.empty
        assert trained.log.epoch.dtype == np.int64
        assert trained.best_epoch == trained.trained_steps == 0
        assert np.isnan(trained.best_value)
    assert same(load_file(trained.folder / "best.safetensors"), built)


def test_shuffled_labels_cannot_be_learnt_from(tmp_path: Path) -> None:
    change = {"epochs": 4, "monitor": "auroc", "shuffle_labels": True}
    data = toy_data(train=64)
    data.splits["valid"] = toy_split(200, 1)
    _, trained = fit_toy(tmp_path, data=data, options=OPTIONS.model_copy(update=change))
    # 0.12 is three standard errors of a random AUROC with 100 images of either class.
    assert trained.log.valid_auroc.between(0.5 - 0.12, 0.5 + 0.12).all()


def test_missing_labels_are_trained_around(tmp_path: Path) -> None:
    data = toy_data()
    for split in data.splits.values():
        split.labels = np.stack([split.labels, 1 - split.labels], 1).astype(float)
        split.labels[::3, 0] = NAN
    data.splits["train"].labels[:4] = NAN
    weights, trained = fit_toy(tmp_path, toy_model(head="multilabel"), data)
    assert all(v.isfinite().all() for v in weights.values())
    assert trained.log.drop(columns=["train_mae", "valid_mae"]).notna().all(axis=None)


def test_regression_is_trained_on_its_loss(tmp_path: Path) -> None:
    data = toy_data()
    for split in data.splits.values():
        split.labels = split.labels[:, None].astype(np.float32)
    options = OPTIONS.model_copy(update={"monitor": "loss", "epochs": 6})
    _, trained = fit_toy(tmp_path, toy_model(1, "regression"), data, options)
    assert trained.log.valid_loss.iloc[-1] < 0.25  # that of always saying the mean
    log = trained.log
    assert log[["valid_auroc", "train_auroc", "train_accuracy"]].isna().all(axis=None)
    assert log.valid_mae.iloc[-1] < 0.5
    # No mean of absolute values is above the root of the mean of squares.
    assert (log.valid_mae <= log.valid_loss.pow(0.5)).all()


def test_a_last_batch_of_one_image_is_left_out(tmp_path: Path) -> None:
    _, trained = fit_toy(tmp_path, data=toy_data(train=25))
    assert trained.trained_steps == 3 * 6


# --- what is refused


def test_a_loss_that_is_not_finite_names_the_step_and_is_not_saved(tmp_path: Path) -> None:
    model = toy_model()
    calls = []

    def poison(_module: nn.Module, _inputs: object, logits: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return logits * NAN if len(calls) == 5 else logits

    model.net.register_forward_hook(poison)
    with pytest.raises(UserError, match=r"not finite at step 5 of 21; try a smaller learning_rate"):
        fit_toy(tmp_path, model)
    assert fit_toy(tmp_path)[1].resumed_from == 3


def test_a_validation_of_one_class_gives_no_auroc(tmp_path: Path) -> None:
    data = toy_data()
    data.splits["valid"].labels[:] = 1
    options = OPTIONS.model_copy(update={"monitor": "auroc"})
    with pytest.raises(UserError, match="give no auroc, since they hold only"):
        fit_toy(tmp_path, data=data, options=options)
    _, trained = fit_toy(tmp_path, data=data)
    assert trained.log.valid_auroc.isna().all()


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": toy_split(8, 0)}, "'toy' has no images in its split 'valid'"),
        ({"train": toy_split(0, 0), "valid": toy_split(4, 1)}, "no images in its split 'train'"),
        (
            {"train": toy_split(1, 0), "valid": toy_split(4, 1)},
            "'train' has one image; at least two",
        ),
    ],
)
def test_too_few_images_are_refused(tmp_path: Path, splits: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fit_toy(tmp_path, data=toy_data(splits=splits))


def test_a_frozen_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no parameter of the model can be trained"):
        fit_toy(tmp_path, toy_model().requires_grad_(False))
