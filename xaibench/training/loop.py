"""Training a model on a data set: cached when finished, resumed exactly when interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from xaibench.datasets.base import Data, Split
from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.progress import Advance, Progress
from xaibench.randomness import image_seed
from xaibench.training.augment import augment
from xaibench.training.checkpoint import (
    LOG_COLUMNS,
    Checkpoint,
    State,
    Trained,
    damaged,
    weights_of,
)
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
from xaibench.training.interrupt import undivided
from xaibench.training.losses import loss_for
from xaibench.training.options import TrainingOptions
from xaibench.training.schedules import learning_rate

_IN_MEMORY = 1_500_000_000  # bytes of a split that is kept


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
    and made anew. An interrupted training goes on where it was saved and, on a CPU, ends with the
    very weights that it would have had.

    Args:
        recipe: what else decides the weights, as plain values: the parameters of the model and
            of the data set, the type of device.
        cache: the checkpoint lies in ``cache / "checkpoints"``.
    """
    model.net.to(memory_format=torch.channels_last)
    checkpoint = Checkpoint.of(data, options, recipe, seed, cache)
    trained = checkpoint.load_finished(model, progress)
    if trained is None:
        checkpoint.folder.mkdir(parents=True, exist_ok=True)
        gpus = [torch.cuda.current_device()] if model.device.type == "cuda" else []
        with model.as_found(), torch.random.fork_rng(gpus):
            run = _Run(model, data, options, seed, checkpoint, progress)
            resumed_from = run.resume()
            run.train()
        trained = checkpoint.finish(model, run.state, resumed_from)
    model.eval()
    return trained


class _Run:
    """One training, from its first or its saved step to the last."""

    def __init__(
        self,
        model: Classifier,
        data: Data,
        options: TrainingOptions,
        seed: int,
        checkpoint: Checkpoint,
        progress: Progress,
    ) -> None:
        self.model, self.options, self.seed = model, options, seed
        self.checkpoint, self.progress = checkpoint, progress
        self.state = State()
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
        self.parts = {"model": model.net, "optimizer": self.optimizer, "scaler": self.scaler}
        self.loss = loss_for(model.head)
        # On the device: reading a loss at every step would make a GPU wait for the CPU.
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=model.device)
        self.failed_at = torch.full((), -1, device=model.device)
        torch.manual_seed(image_seed(self.seed, "dropout"))

    def resume(self) -> int | None:
        """Take up the saved state; return its step, or None where there is no usable one."""
        path = self.checkpoint.state_file
        if self.options.epochs == 0 or not path.exists():
            return None
        built = weights_of(self.model)
        try:
            state = self.checkpoint.load_state(self.parts, self.model.device)
            self.loss_sum.fill_(state.loss_sum)
        except Exception as error:  # a damaged file can fail in any way; none may stop a run
            self.progress.say(damaged(path, error))
            self.model.net.load_state_dict(built)
            self._prepare()
            return None
        self.state = state
        self.progress.say(f"Training goes on at step {state.step} of {self.total}")
        return state.step

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
                self._save()
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
                with undivided():
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
                    self._save()
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
            self.checkpoint.save_best(self.model)
        with undivided():
            self.state = State(
                step=state.step,
                epoch=epoch,
                best_epoch=best[0],
                best_value=best[1],
                rows=[*state.rows, row],
            )
            self.loss_sum.zero_()
        self._save()
        shown = ", ".join(f"{name} {row[name]:.4g}" for name in list(LOG_COLUMNS)[2:6])
        self.progress.say(f"Epoch {epoch} of {self.options.epochs}: {shown}")

    def _save(self) -> None:
        self._check_loss()
        state = replace(self.state, loss_sum=self.loss_sum.item())
        self.checkpoint.save_state(state, self.parts, self.model.device)

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
