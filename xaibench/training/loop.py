"""Training a model on a data set: cached when finished, resumed exactly when interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from xaibench.atomic import telling
from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.networks.layout import training_layout
from xaibench.progress import Advance, Progress, SilentProgress
from xaibench.randomness import image_seed
from xaibench.training.augment import augment
from xaibench.training.casting import Casting
from xaibench.training.checkpoint import (
    Checkpoint,
    MissingCheckpointError,
    State,
    Trained,
    damaged,
    weights_of,
)
from xaibench.training.evaluate import (
    FIGURES,
    as_images,
    better,
    check_monitor,
    figures,
    predict_logits,
    read_ahead,
    worth,
)
from xaibench.training.events import Events, check_tensorboard, has_events
from xaibench.training.freezing import Freezing
from xaibench.training.interrupt import undivided
from xaibench.training.losses import loss_for
from xaibench.training.material import Material
from xaibench.training.optimizers import optimizer_for
from xaibench.training.options import TrainingOptions
from xaibench.training.plan import Plan
from xaibench.training.running import Running
from xaibench.training.sampling import Order, balanced
from xaibench.training.schedules import learning_rate
from xaibench.training.weighting import positive_weight
from xaibench.types import Data


def fit(
    model: Classifier,
    data: Data,
    options: TrainingOptions,
    *,
    recipe: Mapping[str, object],
    seed: int,
    cache: Path,
    progress: Progress,
    may_train: bool = True,
) -> Trained:
    """Train ``model`` in place and leave it in eval mode with the weights of the best validation.

    A finished checkpoint of the same key is loaded instead; one that is damaged is said to be so
    and made anew. An interrupted training goes on where it was saved and, on a CPU, ends with the
    very weights that it would have had.

    Args:
        recipe: what else decides the weights, as plain values: the parameters of the model and
            of the data set, the type of device, the code.
        cache: the checkpoint lies in ``cache / "checkpoints"``.
        may_train: else MissingCheckpointError where no checkpoint is finished and whole.
    """
    if options.tensorboard:
        check_tensorboard()
    model.net.to(memory_format=training_layout(model.net, model.device))
    checkpoint = Checkpoint.of(data, options, recipe, seed, cache)
    trained = checkpoint.load_finished(model, progress if may_train else SilentProgress())
    if trained is None and not may_train:
        raise MissingCheckpointError(f"checkpoint {checkpoint.folder} is missing or damaged")
    if trained is not None and options.tensorboard and not has_events(trained.folder):
        Events(trained.folder, trained.log.to_dict("records")).close()
    if trained is None:
        with telling(checkpoint.folder):
            checkpoint.folder.mkdir(parents=True, exist_ok=True)
        gpus = [torch.cuda.current_device()] if model.device.type == "cuda" else []
        with model.as_found(), torch.random.fork_rng(gpus):
            run = _Run(model, data, options, seed, checkpoint, progress)
            resumed_from = run.resume()
            run.train()
        validation = worth(model, data) if options.epochs == 0 else None
        trained = checkpoint.finish(model, run.state, resumed_from, validation)
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
        self.material = Material.of(data, options, seed, progress)
        labels = self.material.train_labels
        check_monitor(model, self.material.valid_labels, options.monitor)
        chance = balanced(labels.numpy(), model.head) if options.sampling == "balanced" else None
        self.order = Order(seed, options.batch_size, chance, len(labels))
        self.plan = Plan.of(options, len(labels))
        self.train_labels = labels.to(model.device)
        weight = positive_weight(options.pos_weight, model, labels, progress.say)
        self.loss = loss_for(model.head, weight)
        self.freezing = Freezing.of(model, options)
        self._prepare()

    def _prepare(self) -> None:
        model = self.model
        self.optimizer = optimizer_for(self.options, self.freezing.trainable)
        self.on_gpu = model.device.type == "cuda"
        self.layout = training_layout(model.net, model.device)
        self.casting = Casting.of(model.device, self.options)
        self.running = Running(model.device)
        self.parts = {
            "model": model.net,
            "optimizer": self.optimizer,
            "scaler": self.casting.scaler,
            "running": self.running,
        }
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
        except Exception as error:  # a damaged file can fail in any way; none may stop a run
            self.progress.say(damaged(path, error))
            self.model.net.load_state_dict(built)
            self._prepare()
            return None
        self.state = state
        self.progress.say(f"Training goes on at step {state.step} of {self.plan.total}")
        return state.step

    def train(self) -> None:
        """Train until the last step or the end of patience; save when interrupted."""
        if self.options.epochs == 0:
            return
        events = None
        if self.options.tensorboard:
            events = Events(self.checkpoint.folder, self.state.rows)
        try:
            if not self._over():
                self._train(events)
        finally:
            if events:
                events.close()

    def _train(self, events: Events | None) -> None:
        with self.progress.stage("Training", self.plan.total, self.state.step) as advance:
            try:
                while not self._over():
                    self._steps(advance)
                    self._validate()
                    if events:
                        events.add(self.state.rows[-1])
            except KeyboardInterrupt:
                self._save()
                raise

    def _validated(self) -> int:
        """Return the steps that had been taken at the last validation."""
        return self.state.rows[-1]["step"] if self.state.rows else 0

    def _over(self) -> bool:
        waited = len(self.state.rows) - self.state.best
        return self._validated() >= self.plan.total or waited >= self.options.patience

    def _steps(self, advance: Advance) -> None:
        """Take the steps that are left before the next validation."""
        steps = range(self.state.step, self.plan.next_validation(self._validated()))
        training = None
        clock = time.monotonic()
        batches = (self.order.batch(*divmod(step, self.plan.steps)) for step in steps)
        with closing(read_ahead(self.material.train, batches, pin=self.on_gpu)) as blocks:
            for step, block in zip(steps, blocks, strict=True):
                epoch = self.plan.epoch(step)
                if epoch != training:
                    self.freezing.set_modes(self.model, epoch)
                    training = epoch
                with undivided():
                    self._step(step, block)
                    now = time.monotonic()
                    self.running.seconds += now - clock
                    self.state = replace(self.state, step=step + 1)
                    clock = now
                if not self.on_gpu:
                    self._check_loss()
                if self.state.step % self.options.save_every == 0:
                    self._save()
                advance(1)

    def _step(self, step: int, block: Tensor) -> None:
        options, device = self.options, self.model.device
        epoch, at = divmod(step, self.plan.steps)
        rows = torch.from_numpy(self.order.batch(epoch, at))
        # Halved, so that adding an index stays within 63 bits.
        seeds = torch.from_numpy(self.order.draws(epoch, at)) + (
            image_seed(self.seed, f"augment/{epoch}") >> 1
        )
        there = lambda drawn: drawn.to(device, non_blocking=True)  # a GPU is not waited for
        images = augment(as_images(block, device), there(seeds), options.augment)
        monitored = [row[f"valid_{options.monitor}"] for row in self.state.rows]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(options, step, self.plan.total, monitored)
        images = images.contiguous(memory_format=self.layout)
        with self.casting.autocast():
            logits = self.model(images)
        logits = logits.float()
        loss = self.loss(logits, self.train_labels[there(rows)])
        self.casting.step(loss, self.optimizer)
        self.running.add(loss, logits, rows)
        fails = ~loss.detach().isfinite() & (self.failed_at < 0)
        self.failed_at = torch.where(fails, step + 1, self.failed_at)

    def _validate(self) -> None:
        self._check_loss()
        clock = time.monotonic()
        state, monitor = self.state, self.options.monitor
        logits = predict_logits(self.model, self.material.valid)
        found = figures(self.model, logits, self.material.valid_labels, self.loss)
        value = found[monitor]
        if math.isnan(value):
            self._diverged(f"the validation {monitor} is not a number after step {state.step}")
        seen = self.running.figures(self.model, self.train_labels)
        row = {
            "epoch": self.plan.epoch(state.step - 1) + 1,
            "step": state.step,
            **{f"train_{name}": seen[name] for name in FIGURES},
            **{f"valid_{name}": found[name] for name in FIGURES},
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": self.running.seconds + time.monotonic() - clock,
        }
        rows = [*state.rows, row]
        if better(monitor, value, state.best_value):
            state = replace(state, best=len(rows), best_value=value)
            self.checkpoint.save_best(self.model)
        with undivided():
            self.state = replace(state, rows=rows)
            self.running.clear()
        self._save()
        self._say(row)

    def _say(self, row: Mapping[str, int | float]) -> None:
        where = f"Epoch {row['epoch']} of {self.options.epochs}"
        if self.options.validate_every:
            where = f"Step {row['step']} of {self.plan.total}"
        names = ["train_loss", *(f"valid_{name}" for name in FIGURES)]
        shown = ", ".join(f"{n} {row[n]:.4g}" for n in names if not math.isnan(row[n]))
        self.progress.say(f"{where}: {shown}")

    def _save(self) -> None:
        self._check_loss()
        self.checkpoint.save_state(self.state, self.parts, self.model.device)

    def _check_loss(self) -> None:
        step = int(self.failed_at)
        if step >= 0:
            self._diverged(f"the training loss is not finite at step {step} of {self.plan.total}")

    def _diverged(self, what: str) -> NoReturn:
        raise UserError(
            f"training: {what}; try a smaller learning_rate (it is "
            f"{self.options.learning_rate:g}), more warmup_steps, or look for images or labels "
            "that are not numbers"
        )
