"""Training a model on a data set: cached when finished, resumed exactly when interrupted."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePath
from typing import NoReturn

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from xaibench.datasets.base import Data, Split
from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.progress import Advance, Progress
from xaibench.randomness import image_seed
from xaibench.training.augment import augment
from xaibench.training.evaluate import (
    as_images,
    as_labels,
    better,
    check_monitor,
    figures,
    in_memory,
    predict_logits,
    read_ahead,
)
from xaibench.training.losses import loss_for
from xaibench.training.options import TrainingOptions
from xaibench.training.schedules import learning_rate

_COLUMNS = {
    "epoch": "int64",
    "step": "int64",
    "train_loss": "float64",
    "valid_loss": "float64",
    "valid_accuracy": "float64",
    "valid_auroc": "float64",
    "learning_rate": "float64",
    "seconds": "float64",
}
_BEST, _LAST, _LOG, _FACTS = "best.safetensors", "last.pt", "training_log.csv", "checkpoint.json"
_IN_MEMORY = 1_500_000_000  # bytes of a split that is kept


@dataclass(frozen=True)
class Trained:
    """What training left behind.

    Attributes:
        log: a row an epoch: epoch (from 1), step (taken so far), train_loss (mean over the
            epoch's images, as they were trained on), valid_loss, valid_accuracy, valid_auroc,
            learning_rate (of the epoch's last step), seconds (the epoch, with its validation).
        best_epoch: the epoch whose weights the model has; 0 if it is as it was built.
        best_value: the monitored validation figure of that epoch; NaN for epoch 0.
        key: hash of all that decides the weights.
        folder: the checkpoint's.
        resumed_from: the step at which an interrupted training went on, or None.
        trained_steps: taken by this call; 0 when the checkpoint was there already.
    """

    log: pd.DataFrame
    best_epoch: int
    best_value: float
    key: str
    folder: Path
    resumed_from: int | None
    trained_steps: int


def fit(
    model: Classifier,
    data: Data,
    options: TrainingOptions,
    *,
    recipe: Mapping[str, object],
    seed: int,
    cache: Path,
    progress: Progress,
) -> Trained:
    """Train ``model`` in place and leave it in eval mode with the best epoch's weights.

    A finished checkpoint of the same key is loaded instead; one that is damaged is said to be so
    and made anew. An interrupted training goes on where
    it was saved and, on a CPU, ends with the very weights that it would have had.

    Args:
        recipe: what else decides the weights, as plain values: the parameters of the model and
            of the data set, the type of device.
        cache: the checkpoint lies in ``cache / "checkpoints"``.
    """
    model.net.to(memory_format=torch.channels_last)
    facts = _facts(data, options, recipe, seed)
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    folder = cache / "checkpoints" / key[:16]
    finished = _load_finished(model, folder, key, progress)
    if finished is None:
        folder.mkdir(parents=True, exist_ok=True)
        gpus = [torch.cuda.current_device()] if model.device.type == "cuda" else []
        with model.as_found(), torch.random.fork_rng(gpus):
            run = _Run(model, data, options, seed, folder, key, progress)
            resumed_from = run.resume()
            run.train()
        finished = run.finish(facts, resumed_from)
    model.eval()
    return finished


@dataclass(frozen=True)
class _State:
    """Where training stands; the rest follows from seed, epoch and step."""

    step: int = 0
    epoch: int = 0  # finished ones, validation included
    loss_sum: float = 0.0  # of the running epoch, each image once
    images: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best_value: float = math.nan
    rows: list[dict[str, int | float]] = field(default_factory=list)


class _Run:
    """One training, from its first or its saved step to the last."""

    def __init__(
        self,
        model: Classifier,
        data: Data,
        options: TrainingOptions,
        seed: int,
        folder: Path,
        key: str,
        progress: Progress,
    ) -> None:
        self.model, self.options, self.seed = model, options, seed
        self.folder, self.key, self.progress = folder, key, progress
        self.state = _State()
        self.first = 0
        self.total = 0
        if options.epochs == 0:
            return
        self.train_split = _images_of(data, "train", progress)
        self.valid_split = _images_of(data, "valid", progress)
        self.train_labels = self._labels(self.train_split, "train").to(model.device)
        self.valid_labels = self._labels(self.valid_split, "valid")
        check_monitor(model, self.valid_labels, options.monitor)
        self.steps = _steps(len(self.train_split), options.batch_size)
        self.total = self.steps * options.epochs
        self._prepare()

    def _labels(self, split: Split, name: str) -> Tensor:
        labels = as_labels(split.labels)
        if self.options.shuffle_labels:
            labels = labels[torch.from_numpy(self._permutation(f"labels/{name}", len(labels)))]
        return labels

    def _permutation(self, what: str, count: int) -> np.ndarray:
        return np.random.default_rng(image_seed(self.seed, what)).permutation(count)

    def _prepare(self) -> None:
        model, options = self.model, self.options
        if options.layers == "head":
            self.trained = _head_of(model)
            model.requires_grad_(False)
            self.trained.requires_grad_(True)
        else:
            self.trained = model.net
        parameters = [p for p in self.trained.parameters() if p.requires_grad]
        if not parameters:
            raise UserError("training: no parameter of the model can be trained; use epochs: 0")
        self.optimizer = torch.optim.AdamW(
            parameters, lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self.on_gpu = model.device.type == "cuda"
        self.half = torch.bfloat16
        if self.on_gpu and torch.cuda.get_device_capability(model.device) < (8, 0):
            self.half = torch.float16  # older GPUs only emulate bfloat16
        scaled = self.on_gpu and self.half == torch.float16
        self.scaler = torch.amp.GradScaler("cuda", enabled=scaled)
        self.loss = loss_for(model.head)
        # On the device: reading a loss at every step would make a GPU wait for the CPU.
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=model.device)
        self.failed_at = torch.full((), -1, device=model.device)
        torch.manual_seed(image_seed(self.seed, "dropout"))

    def resume(self) -> int | None:
        """Take up the saved state; return its step, or None where there is no usable one."""
        path = self.folder / _LAST
        if self.options.epochs == 0 or not path.exists():
            return None
        built = _weights(self.model)
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            self._restore(saved)
        except Exception as error:  # a damaged file can fail in any way; none may stop a run
            self.progress.say(f"{path} is damaged ({_line(error)}): training starts again")
            self.model.net.load_state_dict(built)
            self.state = _State()
            self._prepare()
            return None
        self.first = self.state.step
        self.progress.say(f"Training goes on at step {self.first} of {self.total}")
        return self.first

    def _restore(self, saved: dict) -> None:
        state = _State(**saved["state"])
        if saved["key"] != self.key:
            raise ValueError("it belongs to another training")
        if state.best_epoch:
            load_file(self.folder / _BEST)
        self.model.net.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        self.loss_sum.fill_(state.loss_sum)
        torch.set_rng_state(saved["rng"])
        if self.on_gpu:
            torch.cuda.set_rng_state(saved["gpu_rng"])
        self.state = state

    def save(self) -> None:
        """Write all that going on from here needs."""
        self._check_loss()
        state = replace(self.state, loss_sum=self.loss_sum.item())
        saved = {
            "key": self.key,
            "state": asdict(state),
            "model": self.model.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": torch.get_rng_state(),
        }
        if self.on_gpu:
            saved["gpu_rng"] = torch.cuda.get_rng_state()
        with _whole(self.folder / _LAST) as path:
            torch.save(saved, path)

    def train(self) -> None:
        """Train until the last epoch or the end of patience; save when interrupted."""
        if self._over():
            return
        with self.progress.stage("Training", self.total, self.state.step) as advance:
            try:
                while not self._over():
                    self._epoch(advance)
                    self._validate()
            except KeyboardInterrupt:
                self.save()
                raise

    def _over(self) -> bool:
        state, options = self.state, self.options
        waited = state.epoch - state.best_epoch
        return state.epoch >= options.epochs or waited >= options.patience

    def _epoch(self, advance: Advance) -> None:
        size, epoch = self.options.batch_size, self.state.epoch
        order = self._permutation(f"order/{epoch}", len(self.train_split))
        done = self.state.step - epoch * self.steps
        batches = [order[i * size : (i + 1) * size] for i in range(done, self.steps)]
        self.model.eval()
        self.trained.train()
        clock = time.monotonic()
        with closing(read_ahead(self.train_split, batches, pin=self.on_gpu)) as blocks:
            for indices, block in zip(batches, blocks, strict=True):
                with _undivided():
                    self._step(indices, block)
                    now = time.monotonic()
                    seconds = self.state.seconds + now - clock
                    images = self.state.images + len(indices)
                    step = self.state.step + 1
                    self.state = replace(self.state, step=step, images=images, seconds=seconds)
                    clock = now
                if not self.on_gpu:
                    self._check_loss()
                if self.state.step % self.options.save_every == 0:
                    self.save()
                advance(1)

    def _step(self, indices: np.ndarray, block: Tensor) -> None:
        options, device, epoch = self.options, self.model.device, self.state.epoch
        rows = torch.from_numpy(indices)
        # Halved, so that adding an index stays within 63 bits.
        seeds = rows + (image_seed(self.seed, f"augment/{epoch}") >> 1)
        images = augment(as_images(block, device), seeds.to(device), options.augment)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(options, self.state.step, self.total)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, self.half, enabled=self.on_gpu):
            logits = self.model(images)
        loss = self.loss(logits.float(), self.train_labels[rows.to(device)])
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        value = loss.detach().double()
        self.loss_sum += value * len(indices)
        fails = ~value.isfinite() & (self.failed_at < 0)
        self.failed_at = torch.where(fails, self.state.step + 1, self.failed_at)

    def _check_loss(self) -> None:
        step = int(self.failed_at)
        if step >= 0:
            self._diverged(f"the training loss is not finite at step {step} of {self.total}")

    def _diverged(self, what: str) -> NoReturn:
        raise UserError(
            f"training: {what}; try a smaller learning_rate (it is "
            f"{self.options.learning_rate:g}), more warmup_steps, or look for images or labels "
            "that are not numbers"
        )

    def _validate(self) -> None:
        self._check_loss()
        clock = time.monotonic()
        state, monitor, epoch = self.state, self.options.monitor, self.state.epoch + 1
        logits = predict_logits(self.model, self.valid_split)
        found = figures(self.model, logits, self.valid_labels)
        value = found[monitor]
        if math.isnan(value):
            self._diverged(f"the validation {monitor} is not a number after epoch {epoch}")
        row = {
            "epoch": epoch,
            "step": state.step,
            "train_loss": self.loss_sum.item() / state.images,
            **{f"valid_{name}": found[name] for name in ("loss", "accuracy", "auroc")},
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": state.seconds + time.monotonic() - clock,
        }
        best = state.best_epoch, state.best_value
        if better(monitor, value, state.best_value):
            best = epoch, value
            self._write_best()
        with _undivided():
            self.state = _State(
                step=state.step,
                epoch=epoch,
                best_epoch=best[0],
                best_value=best[1],
                rows=[*state.rows, row],
            )
            self.loss_sum.zero_()
        self.save()
        shown = ", ".join(f"{name} {row[name]:.4g}" for name in list(_COLUMNS)[2:6])
        self.progress.say(f"Epoch {epoch} of {self.options.epochs}: {shown}")

    def _write_best(self) -> None:
        with _whole(self.folder / _BEST) as path:
            save_file(_weights(self.model), path)

    def finish(self, facts: dict, resumed_from: int | None) -> Trained:
        """Put the best weights into the model, and close the checkpoint."""
        state = self.state
        if state.best_epoch:
            _load_weights(self.model, self.folder / _BEST)
        else:
            self._write_best()
        log = _table(pd.DataFrame(state.rows, columns=list(_COLUMNS)))
        with _whole(self.folder / _LOG) as path:
            log.to_csv(path, index=False)
        value = None if math.isnan(state.best_value) else state.best_value
        facts = {
            "key": self.key,
            "finished": True,
            "best_epoch": state.best_epoch,
            "best_value": value,
            "files": {name: _checksum(self.folder / name) for name in (_BEST, _LOG)},
            **facts,
        }
        # Last of all: with this file the checkpoint counts as finished.
        with _whole(self.folder / _FACTS) as path:
            path.write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n")
        for left in (self.folder / _LAST, *self.folder.glob(".*.tmp")):
            left.unlink(missing_ok=True)
        steps = state.step - self.first
        return Trained(
            log, state.best_epoch, state.best_value, self.key, self.folder, resumed_from, steps
        )


def _load_finished(model: Classifier, folder: Path, key: str, progress: Progress) -> Trained | None:
    """Load the checkpoint if it is finished and whole."""
    if not (folder / _FACTS).exists():
        return None
    try:
        facts = json.loads((folder / _FACTS).read_text())
        for name, checksum in facts["files"].items():
            if _checksum(folder / name) != checksum:
                raise ValueError(f"{name} is not as it was written")
        # By way of text: not every pandas reads a float back to the last bit.
        log = _table(pd.read_csv(folder / _LOG, dtype=str))
        epoch, value = facts["best_epoch"], facts["best_value"]
        _load_weights(model, folder / _BEST)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        progress.say(f"{folder} is damaged ({_line(error)}): training starts again")
        return None
    return Trained(log, epoch, math.nan if value is None else value, key, folder, None, 0)


def _facts(
    data: Data, options: TrainingOptions, recipe: Mapping[str, object], seed: int
) -> dict[str, object]:
    """Return all that decides the weights, as plain values."""
    facts = {
        "recipe": dict(recipe),
        # How often it is saved changes nothing that is learnt.
        "options": options.model_dump(mode="json", exclude={"save_every"}),
        "seed": seed,
        "data": data.name,
        "data_checksum": data.checksum,
        "size": [data.channels, *data.size],
        "images": {name: len(split) for name, split in sorted(data.splits.items())},
        "code": _code_version(),
    }
    return json.loads(json.dumps(facts, sort_keys=True, default=_plain))


def _plain(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a recipe holds plain values, not {type(value).__name__}")


def _code_version() -> str:
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for folder in ("models", "training"):
        for path in sorted((package / folder).glob("*.py")):
            digest.update(f"{folder}/{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _images_of(data: Data, name: str, progress: Progress) -> Split:
    split = data.splits.get(name)
    if split is None or len(split) == 0:
        raise UserError(f"training: data set {data.name!r} has no images in its split {name!r}")
    return in_memory(split, _IN_MEMORY, progress, f"Reading {name} images")


def _steps(images: int, batch_size: int) -> int:
    """Return the batches of an epoch, without a last one of one image: BatchNorm refuses it."""
    if images == 1:
        raise UserError("training: the split 'train' has one image; at least two are needed")
    steps = math.ceil(images / batch_size)
    return steps - 1 if batch_size > 1 and images % batch_size == 1 else steps


def _head_of(model: Classifier) -> torch.nn.Module:
    if model.linear_head is None:
        raise UserError("training.layers: head needs a model with a linear head; use layers: all")
    return model.module(model.linear_head)


def _weights(model: Classifier) -> dict[str, Tensor]:
    state = model.net.state_dict()
    # Copies in the plain layout: safetensors takes neither strided nor shared memory.
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }


def _load_weights(model: Classifier, path: Path) -> None:
    stored, own = load_file(path), model.net.state_dict()
    # Before anything is copied: torch would copy what fits, and only then refuse the rest.
    if {k: v.shape for k, v in stored.items()} != {k: v.shape for k, v in own.items()}:
        raise ValueError(f"the weights in {path.name} do not fit the model")
    model.net.load_state_dict(stored)


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[list(_COLUMNS)].astype(_COLUMNS)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Yield a name to write to; the file appears under ``path`` whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _undivided() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done, so that no step is ever saved half taken."""
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    held = []
    signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if held:
        raise KeyboardInterrupt
