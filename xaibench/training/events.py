"""The training log as TensorBoard's event files, beside the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from xaibench.errors import UserError
from xaibench.training.evaluate import FIGURES

_FOLDER = "tensorboard"


def check_tensorboard() -> None:
    """Raise where the optional package is missing."""
    if find_spec("tensorboard") is None:
        raise UserError(
            "training.tensorboard: the package tensorboard is missing; install it with "
            "`pip install 'xaibench[tensorboard]'`, or set tensorboard: false"
        )


class Events:
    """Event files of one training, against the step: ``loss/train``, ``loss/valid`` and so on.

    Made anew from the rows so far, so that a resumed training has no row twice. Figures that are
    NaN are left out.
    """

    def __init__(self, checkpoint: Path, rows: Iterable[Mapping[str, int | float]]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # optional

        folder = checkpoint / _FOLDER
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(folder))
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, int | float]) -> None:
        """Write a row of the log; it can be read at once."""
        names = {f"{f}/{part}": f"{part}_{f}" for f in FIGURES for part in ("train", "valid")}
        for tag, column in (names | {"learning_rate": "learning_rate"}).items():
            if not math.isnan(row[column]):
                self._writer.add_scalar(tag, row[column], int(row["step"]))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def has_events(checkpoint: Path) -> bool:
    """Say whether a checkpoint's folder has event files."""
    return any((checkpoint / _FOLDER).glob("events.out.tfevents.*"))
