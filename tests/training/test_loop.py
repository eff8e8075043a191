"""Training: exact resume, the cache and its key, early stop, what is trained, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from xaibench.datasets.base import Data, Split
from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.progress import SilentProgress
from xaibench.training.loop import Trained, fit
from xaibench.training.options import AugmentOptions, TrainingOptions

NAN = float("nan")
# 26 images in batches of 4: seven steps an epoch, the last of two images.
OPTIONS = TrainingOptions(epochs=3, batch_size=4, learning_rate=0.01, save_every=3, patience=9)
STEPS = 7


class ArraySplit(Split):
    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._images, self.labels = images, labels
        self.ids = self.groups = np.array([f"i{i}" for i in range(len(images))])

    def images(self, indices: np.ndarray) -> np.ndarray:
        return self._images[indices]


class Stop(SilentProgress):
    """Counts the steps, and raises ``error`` behind the step ``at`` of a training."""

    def __init__(self, at: int | None = None, error: type[BaseException] = RuntimeError) -> None:
        self.at, self.error = at, error
        self.steps = 0
        self.stages: list[tuple[str, int, int]] = []
        self.said: list[str] = []

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
        self.stages.append((title, total, done))
        yield lambda units: self._advance(units) if title == "Training" else None

    def _advance(self, units: int) -> None:
        self.steps += units
        if self.steps == self.at:
            raise self.error

    def say(self, line: str) -> None:
        self.said.append(line)


def _split(count: int, seed: int) -> ArraySplit:
    """Images whose upper half is brighter in class 1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.integers(0, 128, (count, 16, 16, 3), dtype=np.uint8)
    images[:, :8] += (60 * labels).astype(np.uint8)[:, None, None, None]
    return ArraySplit(images, labels)


def _data(train: int = 26, **changes: object) -> Data:
    splits = {"train": _split(train, 0), "valid": _split(16, 1)}
    data = Data("toy", "binary", ("no", "yes"), 3, (16, 16), splits, checksum="c")
    return replace(data, **changes)


def _model(outputs: int = 2, head: str = "softmax", linear_head: str | None = "head") -> Classifier:
    torch.manual_seed(3)
    net = nn.Sequential()
    net.add_module("conv", nn.Conv2d(3, 6, 3, stride=2))
    net.add_module("norm", nn.BatchNorm2d(6))
    net.add_module("act", nn.ReLU())
    net.add_module("pool", nn.AdaptiveAvgPool2d(2))
    net.add_module("flat", nn.Flatten())
    net.add_module("drop", nn.Dropout(0.3))
    net.add_module("head", nn.Linear(24, outputs))
    classes = ("no", "yes") if head in ("softmax", "single_logit") else ("a", "b")[:outputs]
    return Classifier(
        net, head=head, classes=classes, mean=(0.5,) * 3, std=(0.25,) * 3, cam_layer=None,
        linear_head=linear_head, pool=None, input_shape=(3, 16, 16),
    )  # fmt: skip


def _fit(
    cache: Path,
    model: Classifier | None = None,
    data: Data | None = None,
    options: TrainingOptions = OPTIONS,
    seed: int = 0,
    recipe: dict | None = None,
    progress: SilentProgress | None = None,
) -> tuple[dict[str, torch.Tensor], Trained]:
    model = model or _model()
    trained = fit(
        model, data or _data(), options, recipe=recipe or {"model": "toy"}, seed=seed,
        cache=cache, progress=progress or SilentProgress(),
    )  # fmt: skip
    assert not model.training
    return {k: v.clone() for k, v in model.net.state_dict().items()}, trained


def _same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def _same_log(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        a.drop(columns="seconds"), b.drop(columns="seconds"), check_exact=True
    )


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads only wait for each other on nets this small, tenfold so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], Trained]:
    """A training that nothing interrupted."""
    return _fit(tmp_path_factory.mktemp("whole"))


# --- resuming


@pytest.mark.parametrize("at", [1, 3, 5, STEPS, STEPS + 1, 3 * STEPS])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_and_resumed_is_bitwise_uninterrupted(
    whole, tmp_path: Path, at: int, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        _fit(tmp_path, progress=Stop(at, error))
    weights, trained = _fit(tmp_path)
    # Ctrl-C saves at once; after any other end the last regular save counts.
    saved = [s for s in (0, 3, 6, 7, 9, 12, 14, 15, 18, 21) if s <= at][-1]
    if at % STEPS == 0 and at % 3:
        saved = (at - 1) // 3 * 3  # killed before the epoch's validation
    expected = at if error is KeyboardInterrupt else saved
    assert trained.resumed_from == (expected or None)
    assert trained.trained_steps == 3 * STEPS - expected
    assert _same(weights, whole[0])
    _same_log(trained.log, whole[1].log)
    assert (trained.best_epoch, trained.best_value) == (whole[1].best_epoch, whole[1].best_value)


def test_interrupted_again_and_again_is_still_the_same(whole, tmp_path: Path) -> None:
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            _fit(tmp_path, progress=Stop(4, KeyboardInterrupt))
    progress = Stop()
    weights, trained = _fit(tmp_path, progress=progress)
    assert trained.resumed_from == 16
    assert progress.stages[-1] == ("Training", 3 * STEPS, 16)
    assert _same(weights, whole[0])
    _same_log(trained.log, whole[1].log)


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(whole, tmp_path: Path) -> None:
    model = _model()
    calls = []

    def press(*_: object) -> None:
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    model.net.register_forward_pre_hook(press)
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path, model)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    weights, trained = _fit(tmp_path)
    assert trained.resumed_from == 5
    assert _same(weights, whole[0])


def test_the_callers_random_numbers_are_left_alone(tmp_path: Path) -> None:
    model = _model()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    _fit(tmp_path, model, options=OPTIONS.model_copy(update={"epochs": 1}))
    assert torch.equal(torch.rand(3), expected)


# --- the cache


def test_a_second_run_trains_nothing(tmp_path: Path) -> None:
    weights, first = _fit(tmp_path)
    again, second = _fit(tmp_path, progress=(progress := Stop()))
    assert first.trained_steps == 3 * STEPS
    assert second.trained_steps == progress.steps == 0
    assert _same(weights, again)
    pd.testing.assert_frame_equal(first.log, second.log, check_exact=True)
    for name in ("best_epoch", "best_value", "key", "folder", "resumed_from"):
        assert getattr(first, name) == getattr(second, name)
    names = {p.name for p in first.folder.iterdir()}
    assert names == {"best.safetensors", "training_log.csv", "checkpoint.json"}
    assert first.folder == tmp_path / "checkpoints" / first.key[:16]


def test_the_checkpoint_states_its_recipe(whole) -> None:
    trained = whole[1]
    facts = json.loads((trained.folder / "checkpoint.json").read_text())
    assert facts["finished"] is True
    assert facts["key"] == trained.key
    assert facts["recipe"] == {"model": "toy"}
    assert facts["options"]["learning_rate"] == 0.01
    assert facts["images"] == {"train": 26, "valid": 16}
    assert (facts["best_epoch"], facts["best_value"]) == (trained.best_epoch, trained.best_value)


@pytest.mark.parametrize(
    "change",
    [
        {"options": OPTIONS.model_copy(update={"learning_rate": 0.02})},
        {"options": OPTIONS.model_copy(update={"augment": AugmentOptions(rotation=5)})},
        {"options": OPTIONS.model_copy(update={"shuffle_labels": True})},
        {"data": _data(checksum="d")},
        {"data": _data(name="other")},
        {"data": _data(train=24)},
        {"seed": 1},
        {"recipe": {"model": "toy", "device": "cuda"}},
    ],
)
def test_another_option_data_set_or_seed_trains_anew(whole, tmp_path: Path, change: dict) -> None:
    _, trained = _fit(tmp_path, **change)
    assert trained.key != whole[1].key
    assert trained.trained_steps > 0


def test_how_often_it_is_saved_is_no_part_of_the_key(whole, tmp_path: Path) -> None:
    weights, trained = _fit(tmp_path, options=OPTIONS.model_copy(update={"save_every": 50}))
    assert trained.key == whole[1].key
    assert _same(weights, whole[0])


def test_a_recipe_of_other_than_plain_values_is_refused(tmp_path: Path) -> None:
    assert _fit(tmp_path, recipe={"weights": Path("w.pt")})[1].trained_steps
    with pytest.raises(TypeError, match="plain values, not set"):
        _fit(tmp_path, recipe={"weights": {1}})


@pytest.mark.parametrize("name", ["best.safetensors", "training_log.csv", "checkpoint.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_checkpoint_is_named_and_trained_again(
    whole, tmp_path: Path, name: str, damage: str
) -> None:
    folder = tmp_path / "checkpoints" / whole[1].key[:16]
    shutil.copytree(whole[1].folder, folder)
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80  # no longer UTF-8 where it is text
    damaged = {"cut": content[: len(content) // 2], "flip": content}
    path.unlink() if damage == "gone" else path.write_bytes(damaged[damage])
    weights, again = _fit(tmp_path, progress=(progress := Stop()))
    assert again.trained_steps == 3 * STEPS
    assert _same(weights, whole[0])
    if (name, damage) != ("checkpoint.json", "gone"):
        assert "damaged" in progress.said[0]
        assert "training starts again" in progress.said[0]


def test_a_checkpoint_of_another_shape_is_not_loaded_in_part(whole, tmp_path: Path) -> None:
    _fit(tmp_path)
    other = _model()
    other.net.head = nn.Sequential(other.net.head)  # a plugin edited under the same name
    _, trained = _fit(tmp_path, other, progress=(progress := Stop()))
    assert "do not fit the model" in progress.said[0]
    assert trained.key == whole[1].key
    assert trained.trained_steps == 3 * STEPS


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other", "best"])
def test_a_damaged_state_is_named_and_training_starts_again(
    whole, tmp_path: Path, damage: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        _fit(tmp_path, progress=Stop(STEPS + 2, KeyboardInterrupt))
    folder = tmp_path / "checkpoints" / whole[1].key[:16]
    path = folder / "last.pt"
    content = path.read_bytes()
    if damage == "other":
        torch.save(torch.load(path, weights_only=True) | {"key": "x"}, path)
    elif damage == "best":
        best = folder / "best.safetensors"
        best.write_bytes(best.read_bytes()[:-100])
    else:
        path.write_bytes({"cut": content[:-200], "empty": b"", "text": b"hello"}[damage])
    weights, trained = _fit(tmp_path, progress=(progress := Stop()))
    assert "last.pt is damaged" in progress.said[0]
    assert trained.resumed_from is None
    assert trained.trained_steps == 3 * STEPS
    assert _same(weights, whole[0])


# --- what is learnt


@pytest.mark.parametrize("head", ["softmax", "single_logit"])
def test_a_separable_problem_is_learnt(tmp_path: Path, head: str) -> None:
    options = OPTIONS.model_copy(update={"epochs": 8, "monitor": "auroc", "patience": 8})
    model = _model(1 if head == "single_logit" else 2, head)
    _, trained = _fit(tmp_path, model, _data(train=64), options)
    assert trained.best_value > 0.95
    assert trained.log.valid_auroc[trained.best_epoch - 1] == trained.best_value
    assert trained.log.train_loss.iloc[-1] < trained.log.train_loss.iloc[0]


def test_the_log_has_a_row_an_epoch(whole) -> None:
    log = whole[1].log
    assert list(log.columns) == [
        "epoch", "step", "train_loss", "valid_loss", "valid_accuracy", "valid_auroc",
        "learning_rate", "seconds",
    ]  # fmt: skip
    assert log.epoch.tolist() == [1, 2, 3]
    assert log.step.tolist() == [STEPS, 2 * STEPS, 3 * STEPS]
    assert log.learning_rate.is_monotonic_decreasing
    assert (log.seconds > 0).all()


def test_the_best_epochs_weights_are_restored_and_patience_ends_it(tmp_path: Path) -> None:
    # So large a rate that validation gets worse after a while.
    change = {"epochs": 40, "patience": 2, "monitor": "loss", "learning_rate": 0.3}
    options = OPTIONS.model_copy(update=change | {"schedule": "constant"})
    model = _model()
    weights, trained = _fit(tmp_path, model, options=options, progress=(progress := Stop()))
    log = trained.log
    assert trained.best_epoch == log.valid_loss.argmin() + 1
    assert trained.best_value == log.valid_loss.min()
    assert len(log) == trained.best_epoch + 2 < 40
    assert progress.steps == trained.trained_steps == len(log) * STEPS
    stored = load_file(trained.folder / "best.safetensors")
    assert _same(weights, stored)
    valid = _split(16, 1)
    images = torch.tensor(valid.images(np.arange(16))).permute(0, 3, 1, 2) / 255
    loss = nn.functional.cross_entropy(model(images), torch.tensor(valid.labels))
    assert loss.item() == pytest.approx(trained.best_value, rel=1e-4)


def test_the_head_alone_is_trained(tmp_path: Path) -> None:
    model = _model()
    built = {k: v.clone() for k, v in model.net.state_dict().items()}
    weights, _ = _fit(tmp_path, model, options=OPTIONS.model_copy(update={"layers": "head"}))
    for name, value in weights.items():
        assert torch.equal(value, built[name]) != name.startswith("head."), name
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_head_only_needs_a_linear_head(tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"layers": "head"})
    with pytest.raises(UserError, match="needs a model with a linear head; use layers: all"):
        _fit(tmp_path, _model(linear_head=None), options=options)


def test_no_epochs_leave_the_model_as_built(tmp_path: Path) -> None:
    built = {k: v.clone() for k, v in _model().net.state_dict().items()}
    options = OPTIONS.model_copy(update={"epochs": 0})
    for _ in range(2):
        weights, trained = _fit(tmp_path, options=options)
        assert _same(weights, built)
        assert trained.log.empty
        assert trained.log.epoch.dtype == np.int64
        assert trained.best_epoch == trained.trained_steps == 0
        assert np.isnan(trained.best_value)
    assert _same(load_file(trained.folder / "best.safetensors"), built)


def test_shuffled_labels_cannot_be_learnt_from(tmp_path: Path) -> None:
    change = {"epochs": 4, "monitor": "auroc", "shuffle_labels": True}
    data = _data(train=64)
    data.splits["valid"] = _split(200, 1)
    _, trained = _fit(tmp_path, data=data, options=OPTIONS.model_copy(update=change))
    # 0.12 is three standard errors of a random AUROC with 100 images of either class.
    assert trained.log.valid_auroc.between(0.5 - 0.12, 0.5 + 0.12).all()


def test_missing_labels_are_trained_around(tmp_path: Path) -> None:
    data = _data()
    for split in data.splits.values():
        split.labels = np.stack([split.labels, 1 - split.labels], 1).astype(float)
        split.labels[::3, 0] = NAN
    data.splits["train"].labels[:4] = NAN
    weights, trained = _fit(tmp_path, _model(head="multilabel"), data)
    assert all(v.isfinite().all() for v in weights.values())
    assert trained.log.notna().all(axis=None)


def test_regression_is_trained_on_its_loss(tmp_path: Path) -> None:
    data = _data()
    for split in data.splits.values():
        split.labels = split.labels[:, None].astype(np.float32)
    options = OPTIONS.model_copy(update={"monitor": "loss", "epochs": 6})
    _, trained = _fit(tmp_path, _model(1, "regression"), data, options)
    assert trained.log.valid_loss.iloc[-1] < 0.25  # that of always saying the mean
    assert trained.log.valid_auroc.isna().all()


def test_a_last_batch_of_one_image_is_left_out(tmp_path: Path) -> None:
    _, trained = _fit(tmp_path, data=_data(train=25))
    assert trained.trained_steps == 3 * 6


# --- what is refused


def test_a_loss_that_is_not_finite_names_the_step_and_is_not_saved(tmp_path: Path) -> None:
    model = _model()
    calls = []

    def poison(_module: nn.Module, _inputs: object, logits: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return logits * NAN if len(calls) == 5 else logits

    model.net.register_forward_hook(poison)
    with pytest.raises(UserError, match=r"not finite at step 5 of 21; try a smaller learning_rate"):
        _fit(tmp_path, model)
    assert _fit(tmp_path)[1].resumed_from == 3


def test_a_validation_of_one_class_gives_no_auroc(tmp_path: Path) -> None:
    data = _data()
    data.splits["valid"].labels[:] = 1
    options = OPTIONS.model_copy(update={"monitor": "auroc"})
    with pytest.raises(UserError, match="give no auroc, since they hold only"):
        _fit(tmp_path, data=data, options=options)
    _, trained = _fit(tmp_path, data=data)
    assert trained.log.valid_auroc.isna().all()


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": _split(8, 0)}, "'toy' has no images in its split 'valid'"),
        ({"train": _split(0, 0), "valid": _split(4, 1)}, "no images in its split 'train'"),
        ({"train": _split(1, 0), "valid": _split(4, 1)}, "'train' has one image; at least two"),
    ],
)
def test_too_few_images_are_refused(tmp_path: Path, splits: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _fit(tmp_path, data=_data(splits=splits))


def test_a_frozen_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no parameter of the model can be trained"):
        _fit(tmp_path, _model().requires_grad_(False))
