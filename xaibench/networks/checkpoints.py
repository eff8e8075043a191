"""What a checkpoint's files hold: tensors and plain values, read without running anything."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from xaibench.errors import UserError
from xaibench.networks.files_of_weights import files_of
from xaibench.networks.pickled import asked_by
from xaibench.networks.stand_ins import foreign, safe_globals
from xaibench.networks.unreadable import (
    CODE,
    TENSORS,
    holds_safetensors,
    mend,
    save_plainly,
    what_it_is,
)

_TOLD = 3  # classes that were not looked at


@dataclass(frozen=True)
class Held:
    """What a checkpoint holds.

    Attributes:
        path: of its file or folder.
        tree: mappings with tensors and plain values; an inert object stands for any other.
        unread: the names of the classes that an inert object stands for.
    """

    path: Path
    tree: object
    unread: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> Held:
        """Read a file, an index of several, or a folder; a UserError says what it is instead."""
        first, *parts = files_of(path)
        if not parts:
            return cls(path, *_read(first))
        tree: dict[object, object] = {}
        unread: list[str] = []
        for part in parts:
            its, names = _read(part)
            if not isinstance(its, Mapping):
                raise UserError(f"weights: {part} holds no state dict (names with tensors)")
            tree |= its
            unread += names
        return cls(path, tree, tuple(dict.fromkeys(unread)))

    @property
    def notes(self) -> list[str]:
        """What was not read, in a line; none where all was."""
        more = f" and {len(self.unread) - _TOLD} more" * (len(self.unread) > _TOLD)
        told = ", ".join(self.unread[:_TOLD]) + more
        return [f"Not read from {self.path.name}, nor run: objects of {told}"] * bool(self.unread)

    def no_weights(self) -> UserError:
        """Return why no weights were found: it is a pickle of a network, or of something else."""
        for file in files_of(self.path):
            if self.unread and (what := what_it_is(file)).startswith(CODE):
                return _unreadable(file, what + mend(what, file))
        return UserError(f"weights: {self.path} holds no state dict (names with tensors)")


def _read(path: Path) -> tuple[object, tuple[str, ...]]:
    """Return what a .safetensors file or a pickle of torch.save holds, and what was not read."""
    with path.open("rb") as file:
        head = file.read(16)
    try:
        if holds_safetensors(head):
            return load_file(path), ()
        names = asked_by(path).names
        with warnings.catch_warnings(), torch.serialization.safe_globals(safe_globals(names)):
            warnings.simplefilter("ignore")  # of an archive that it refuses in the next moment
            tree = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format raises its own kind for a damaged file
        what = what_it_is(path)
        why = (str(error).strip().splitlines() or [""])[0]
        told = mend(what, path) or f" ({type(error).__name__}: {why[:120]})"
        if what == TENSORS:  # and plain values, some of which `torch.load` did not take
            told += save_plainly(path)
        raise _unreadable(path, what + told) from error
    return tree, tuple(foreign(names))


def _unreadable(path: Path, what: str) -> UserError:
    return UserError(f"weights: {path} cannot be read: it is {what}")
