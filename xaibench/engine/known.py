"""What is known of a block: scores that one model gave already, by what they are scores of."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from xaibench.engine.batch import Batch
from xaibench.engine.network import ForwardNetwork
from xaibench.models.base import Classifier

MOST = 2**22
"""Masked images whose scores a table keeps: 16 bytes each, 64 MiB. What comes later is passed."""

Keys = Int[Tensor, " known"]


@dataclass(frozen=True)
class Table:
    """The scores of masked images of one fill, by digests of image and mask.

    Attributes:
        keys: rising.
        scores: of each key in each space.
    """

    keys: Keys
    scores: Float[Tensor, "known space"]

    @classmethod
    def empty(cls, spaces: int, device: torch.device) -> Table:
        keys = torch.empty(0, dtype=torch.int64, device=device)
        return cls(keys, torch.empty(0, spaces, device=device))

    def has(self, keys: Int[Tensor, "*key"]) -> Bool[Tensor, "*key"]:
        if not len(self.keys):
            return torch.zeros_like(keys, dtype=torch.bool)
        return self.keys[self._places(keys)] == keys

    def scores_of(self, keys: Int[Tensor, "*key"]) -> Float[Tensor, "*key space"]:
        """Return the scores of keys that it has, and any of others."""
        return self.scores[self._places(keys)]

    def joined(self, keys: Keys, scores: Float[Tensor, "known space"]) -> Table:
        """Return a table with further entries; of a key that is twice, the older one counts."""
        if not len(keys):
            return self
        every, order = torch.cat([self.keys, keys]).sort(stable=True)
        return Table(every, torch.cat([self.scores, scores])[order])

    def _places(self, keys: Int[Tensor, "*key"]) -> Int[Tensor, "*key"]:
        return torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)


@dataclass
class KnownScores:
    """The scores that one model gave of a block.

    Attributes:
        once: scores that no map has a part in, by what they are; see ``shared_scores``.
        tables: scores of masked images, by fill and the like; see ``block_scores``.
    """

    once: dict[str, Tensor] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    _network: weakref.ref | None = None

    @classmethod
    def of(cls, model: Classifier, whole: Batch) -> KnownScores:
        """Return what is known of a block, of ``Batch.whole``; nothing at first."""
        return whole.shared.setdefault(model, cls())

    @staticmethod
    def keep_only(model: Classifier, whole: Batch) -> None:
        """Forget what is known of a block by other models, which a metric compares with.

        What is known must not depend on where a run was stopped, and theirs is not kept.
        """
        for other in [m for m in whole.shared if m is not model]:
            del whole.shared[other]

    def tables_of(self, network: ForwardNetwork) -> dict[str, Table]:
        """Return the tables; empty ones where the model has changed since, and its network too."""
        if self._network is not None and self._network() is not network:
            self.tables.clear()
        self._network = weakref.ref(network)
        return self.tables

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays by name, for a run that is stopped and gone on with."""
        found = {f"once/{name}": scores for name, scores in self.once.items()}
        for name, table in self.tables.items():
            found |= {f"keys/{name}": table.keys, f"scores/{name}": table.scores}
        return {name: tensor.cpu().numpy() for name, tensor in found.items()}

    @classmethod
    def read(cls, arrays: Mapping[str, np.ndarray], device: torch.device) -> KnownScores:
        """Return what ``arrays`` gave."""
        there = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        under = lambda part: {
            name.removeprefix(part): there[name] for name in there if name.startswith(part)
        }
        scores = under("scores/")
        tables = {name: Table(keys, scores[name]) for name, keys in under("keys/").items()}
        return cls(under("once/"), tables)
