"""The folder of a training: its key, its files, what is finished and what is damaged."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import Protocol, runtime_checkable

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from xaibench.atomic import replacing, write_text
from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.progress import Progress
from xaibench.training.options import TrainingOptions
from xaibench.types import Data, Split

LOG_COLUMNS = {
    "epoch": "int64",
    "step": "int64",
    "train_loss": "float64",
    "train_accuracy": "float64",
    "train_auroc": "float64",
    "train_mae": "float64",
    "valid_loss": "float64",
    "valid_accuracy": "float64",
    "valid_auroc": "float64",
    "valid_mae": "float64",
    "learning_rate": "float64",
    "seconds": "float64",
}
_LEARNT = {"train", "valid"}  # the splits that decide the weights
_BEST, _LAST, _LOG, _FACTS = "best.safetensors", "last.pt", "training_log.csv", "checkpoint.json"


class MissingCheckpointError(UserError):
    """A checkpoint is not there, or damaged, and nothing may be trained."""


@dataclass(frozen=True)
class Trained:
    """What training left behind.

    Attributes:
        log: a row a validation: epoch (from 1, of the last step), step (taken so far); loss,
            accuracy, auroc and mae, as ``Figures`` has them, of the images since the row before
            (``train_``: as they were trained on, augmented, weights moving, dropout on) and of
            the validation images (``valid_``); learning_rate (of the last step), seconds (since
            the row before, with the validation).
        best_epoch: the epoch of the row whose weights the model has; 0 if it is as it was built.
        best_step: the steps taken before that row; 0 likewise.
        best_value: the monitored validation figure of that row; NaN where there is none.
        key: hash of all that decides the weights.
        folder: the checkpoint's.
        resumed_from: the step at which an interrupted training went on, or None.
        trained_steps: taken by this call; 0 when the checkpoint was there already.
        validation: of a model that nothing was to train, what it is worth on the validation images:
            loss, accuracy, auroc and mae, None where there is none. None of a trained one, whose
            log tells it.
    """

    log: pd.DataFrame
    best_epoch: int
    best_step: int
    best_value: float
    key: str
    folder: Path
    resumed_from: int | None
    trained_steps: int
    validation: Mapping[str, float | None] | None = None


@dataclass(frozen=True)
class State:
    """Where training stands; the rest follows from seed and step."""

    step: int = 0
    best: int = 0  # the best row, from 1; 0 where there is none
    best_value: float = math.nan
    rows: list[dict[str, int | float]] = field(default_factory=list)


@runtime_checkable
class Part(Protocol):
    """What is saved beside the state: model, optimiser, gradient scaler, running figures."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> object: ...


Parts = Mapping[str, Part]


@dataclass(frozen=True)
class Checkpoint:
    """One training's folder, which is named by its key.

    Until training ends it holds the best weights so far and the state to go on from; afterwards
    the best weights, the log, and ``checkpoint.json``, whose presence means finished.

    Attributes:
        key: hash of ``facts``.
        facts: all that decides the weights, as plain values.
    """

    folder: Path
    key: str
    facts: Mapping[str, object]

    @classmethod
    def of(
        cls,
        data: Data,
        options: TrainingOptions,
        recipe: Mapping[str, object],
        seed: int,
        cache: Path,
    ) -> Checkpoint:
        """Return the checkpoint that a training with these settings has; see ``fit``."""
        facts = {
            "recipe": dict(recipe),
            # How often it is saved and what else is written changes nothing that is learnt, nor do
            # the seeds of other models.
            "options": options.model_dump(
                mode="json", exclude={"seeds", "save_every", "tensorboard"}
            ),
            "seed": seed,
            "data": data.name,
            "data_checksum": data.checksum,
            "size": [data.channels, *data.size],
            "images": {name: len(split) for name, split in sorted(data.splits.items())},
            # A data set may draw its splits by the run's seed, which is not that of training.
            "members": {name: _members(data.splits[name]) for name in _LEARNT & set(data.splits)},
        }
        text = json.dumps(facts, sort_keys=True, default=_plain)
        key = hashlib.sha256(text.encode()).hexdigest()
        return cls(cache / "checkpoints" / key[:16], key, json.loads(text))

    @classmethod
    def kept(cls, cache: Path, key: str) -> Checkpoint | None:
        """Return the finished checkpoint of a key, with the facts that it was trained by."""
        folder = cache / "checkpoints" / key[:16]
        if not (folder / _FACTS).is_file():
            return None
        return cls(folder, key, json.loads((folder / _FACTS).read_text()))

    @property
    def state_file(self) -> Path:
        return self.folder / _LAST

    def load_finished(self, model: Classifier, progress: Progress) -> Trained | None:
        """Put the weights into the model if the checkpoint is finished and whole."""
        if not (self.folder / _FACTS).exists():
            return None
        try:
            facts = json.loads((self.folder / _FACTS).read_text())
            for name, checksum in facts["files"].items():
                if _checksum(self.folder / name) != checksum:
                    raise ValueError(f"{name} is not as it was written")
            # By way of text: not every pandas reads a float back to the last bit.
            log = _table(pd.read_csv(self.folder / _LOG, dtype=str))
            best, value = (facts["best_epoch"], facts["best_step"]), facts["best_value"]
            validation = facts.get("validation")
            self._load_best(model)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            progress.say(damaged(self.folder, error))
            return None
        value = math.nan if value is None else value
        return Trained(log, *best, value, self.key, self.folder, None, 0, validation)

    def finish(
        self,
        model: Classifier,
        state: State,
        resumed_from: int | None,
        validation: Mapping[str, float | None] | None = None,
    ) -> Trained:
        """Put the best weights into the model, and close the checkpoint."""
        if state.best:
            self._load_best(model)
        else:
            self.save_best(model)
        log = _table(pd.DataFrame(state.rows, columns=list(LOG_COLUMNS)))
        with replacing(self.folder / _LOG) as path:
            log.to_csv(path, index=False)
        row = state.rows[state.best - 1] if state.best else {"epoch": 0, "step": 0}
        best, value = (row["epoch"], row["step"]), state.best_value
        facts = {
            "key": self.key,
            "finished": True,
            "best_epoch": best[0],
            "best_step": best[1],
            "best_value": None if math.isnan(value) else value,
            **({} if validation is None else {"trained": False, "validation": dict(validation)}),
            "files": {name: _checksum(self.folder / name) for name in (_BEST, _LOG)},
            **self.facts,
        }
        # Last of all: with this file the checkpoint counts as finished.
        write_text(self.folder / _FACTS, json.dumps(facts, indent=2, allow_nan=False) + "\n")
        # The hidden ones are drafts of a process that was killed.
        for left in (self.state_file, *self.folder.glob(".*.*.*")):
            left.unlink(missing_ok=True)
        steps = state.step - (resumed_from or 0)
        rest = resumed_from, steps, validation
        return Trained(log, *best, value, self.key, self.folder, *rest)

    def save_best(self, model: Classifier) -> None:
        with replacing(self.folder / _BEST) as path:
            save_file(weights_of(model), path)

    def _load_best(self, model: Classifier) -> None:
        stored, own = load_file(self.folder / _BEST), model.net.state_dict()
        # Before anything is copied: torch would copy what fits, and only then refuse the rest.
        if {k: v.shape for k, v in stored.items()} != {k: v.shape for k, v in own.items()}:
            raise ValueError(f"the weights in {_BEST} do not fit the model")
        model.net.load_state_dict(stored)

    def save_state(self, state: State, parts: Parts, device: torch.device) -> None:
        """Write all that going on from here needs: the parts' states and random numbers too."""
        saved = {name: part.state_dict() for name, part in parts.items()}
        saved |= {"key": self.key, "state": asdict(state), "rng": torch.get_rng_state()}
        if device.type == "cuda":
            saved["gpu_rng"] = torch.cuda.get_rng_state()
        with replacing(self.state_file) as path:
            torch.save(saved, path)

    def load_state(self, parts: Parts, device: torch.device) -> State:
        """Give parts and random numbers their saved states; a damaged file raises anything."""
        saved = torch.load(self.state_file, map_location="cpu", weights_only=True)
        state = State(**saved["state"])
        if saved["key"] != self.key:
            raise ValueError("it belongs to another training")
        if state.best:
            load_file(self.folder / _BEST)  # raises now rather than when training is over
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        torch.set_rng_state(saved["rng"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(saved["gpu_rng"])
        return state


def weights_of(model: Classifier) -> dict[str, Tensor]:
    """Return copies on the CPU, in the plain layout: safetensors takes no strided or shared one."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in model.net.state_dict().items()
    }


def damaged(path: Path, error: Exception) -> str:
    """Say in a line what is damaged, why, and what follows."""
    text = str(error).strip()
    reason = text.splitlines()[0] if text else type(error).__name__
    return f"{path} is damaged ({reason}): training starts again"


def _members(split: Split) -> str:
    """Return a hash of which images a split holds, in their order."""
    return hashlib.sha256("\n".join(map(str, split.ids)).encode()).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a recipe holds plain values, not {type(value).__name__}")


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[list(LOG_COLUMNS)].astype(LOG_COLUMNS)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
