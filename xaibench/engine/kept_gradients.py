"""What is kept of a block's gradients for explainers that ask for the same, and what it took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from xaibench.engine.model_state import model_state
from xaibench.models.base import Classifier
from xaibench.types import PassCount

Kind = Literal["image gradient", "layer maps", "layer gradient"]
Rows = tuple[int, ...]
Tensors = tuple[Tensor, ...]

_MOST_BYTES = 2**28  # of one kind; what is beyond it is computed anew


@dataclass(frozen=True)
class Spent:
    """What computing something took."""

    passes: PassCount
    seconds: float


class Meter:
    """Passes of a model and wall time since it was made."""

    def __init__(self, model: Classifier) -> None:
        self._model, self._passes = model, model.passes.copy()
        self._begun = time.perf_counter()

    def spent(self) -> Spent:
        if self._model.device.type == "cuda":  # what is queued there is part of the time, too
            torch.cuda.synchronize(self._model.device)
        seconds = time.perf_counter() - self._begun
        return Spent(self._model.passes.since(self._passes), seconds)


@dataclass
class _Asked:
    """What was asked for last: a part for each set of rows."""

    key: tuple
    parts: dict[Rows, tuple[Tensors, Spent]] = field(default_factory=dict)
    bytes: int = 0


@dataclass(eq=False)
class KeptGradients:
    """What is kept of one block of images, for each model: of each kind what was asked for last.

    So it holds the gradient at the image in one space, and the maps of one layer with the gradient
    there: at most 256 MiB of each kind, for as long as the block lives. Rows of the block are kept
    as they were computed together, so that what is kept has the very bits that computing it again
    would give.

    Attributes:
        lent_seconds: what others had spent on what was found here, added up over all finds.
    """

    lent_seconds: float = 0.0
    _of: WeakKeyDictionary[Classifier, dict[Kind, _Asked]] = field(
        default_factory=WeakKeyDictionary
    )

    def find(self, model: Classifier, kind: Kind, key: str, rows: Rows) -> Tensors | None:
        """Return what is kept; into which nobody may write.

        The model counts the passes that it took and the finder is lent the seconds, so that costs
        do not depend on the order in which explainers ask.

        Args:
            key: what it is, with all that it depends on beside model, images and targets.
            rows: of the block, in order.
        """
        asked = self._of.get(model, {}).get(kind)
        if (
            asked is None
            or asked.key != (key, model.gradients, model_state(model))
            or rows not in asked.parts
        ):
            return None
        tensors, spent = asked.parts[rows]
        model.passes.forward += spent.passes.forward
        model.passes.shared += spent.passes.forward
        model.passes.backward += spent.passes.backward
        self.lent_seconds += spent.seconds
        return tensors

    def keep(
        self, model: Classifier, kind: Kind, key: str, rows: Rows, tensors: Tensors, spent: Spent
    ) -> None:
        """Keep what ``find`` will give, in place of what this kind had of another key."""
        kinds, whole_key = (
            self._of.setdefault(model, {}),
            (key, model.gradients, model_state(model)),
        )
        asked = kinds.get(kind)
        if asked is None or asked.key != whole_key:
            asked = kinds[kind] = _Asked(whole_key)
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if asked.bytes + size <= _MOST_BYTES:
            asked.parts[rows], asked.bytes = (tensors, spent), asked.bytes + size


def _whole(key: str, model: Classifier) -> tuple:
    return key, model.gradients, model_state(model)
