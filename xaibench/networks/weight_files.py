"""State dicts from files, as people save them, with stem and head adapted to a network."""

from __future__ import annotations

import argparse
import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from xaibench.errors import UserError, nearest
from xaibench.networks.made_for import MadeFor, recorded
from xaibench.networks.unreadable import holds_safetensors, mend, what_it_is
from xaibench.networks.wrappings import State, fitted

GreyStem = Literal["sum", "mean"]
_SHAPES = 3  # that differ, in a message
_NAMED = torch.__version__ >= "2.6"


@dataclass(frozen=True)
class Loaded:
    """What came of loading a file.

    Attributes:
        said: the file's name and checksum, for the manifest.
        notes: what was taken off names, and what was left out, a line each.
        fresh: of each head that stays as it was drawn, why.
        made_for: what the file says of the images that its weights were trained on.
    """

    said: str
    notes: tuple[str, ...]
    fresh: tuple[str, ...]
    made_for: MadeFor | None


def load_weights(
    net: nn.Module,
    path: Path,
    *,
    stems: tuple[str, ...],
    heads: tuple[str, ...],
    grey_stem: GreyStem,
    unused: tuple[str, ...] = (),
) -> Loaded:
    """Load a state dict from a checkpoint or .safetensors file, whatever it is wrapped in.

    A UserError says what a file is that holds none, and which names and shapes do not fit. Nothing
    in a file is run: ``weights_only`` always.

    Args:
        stems: names of the modules whose kernels of three channels become one where the network
            takes grey images.
        heads: names of the modules that stay as they are where the file's differ in shape or lack.
        grey_stem: what the one channel is of the three.
        unused: names of modules of the file's network that this one is built without.
    """
    tree, wanted = read_tree(path), net.state_dict()
    found = fitted(tree, wanted)
    if found is None:
        raise UserError(f"weights: {path} holds no state dict (names with tensors)")
    state = {k: v for k, v in found.state.items() if not k.startswith(_inside(unused))}
    for key in (f"{name}.weight" for name in stems):
        if key in state and state[key].shape[1:2] == (3,) and wanted[key].shape[1] == 1:
            kernels = state[key].sum(dim=1, keepdim=True)
            state[key] = kernels / 3 if grey_stem == "mean" else kernels
    fresh = []
    for head in heads:
        if _shapes(state, head) != _shapes(wanted, head):
            fresh.append(_why_fresh(head, state, wanted))
            state = {k: v for k, v in state.items() if not k.startswith(f"{head}.")}
            state |= {key: wanted[key] for key in _shapes(wanted, head)}
    for key, value in wanted.items():
        if key.endswith("num_batches_tracked"):  # older files do not hold this counter
            state.setdefault(key, value)
    if problems := _differences(state, wanted):
        raise UserError(f"weights: {path} does not fit the architecture {problems}")
    net.load_state_dict(state)
    said = f"{path.name} (sha256 {_checksum(path)})"
    notes = (f"Weights of {path.name}: {found.said}",) if found.said else ()
    return Loaded(said, notes, tuple(fresh), recorded(tree, path.name))


def read_tree(path: Path) -> object:
    """Return what a .safetensors file or a pickle of torch.save holds; a UserError what it is."""
    with path.open("rb") as file:
        head = file.read(16)
    try:
        if holds_safetensors(head):
            return load_file(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_plain_values()):
            warnings.simplefilter("ignore")  # of an archive that it refuses in the next moment
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format raises its own kind for a damaged file
        what = what_it_is(path)
        why = (str(error).strip().splitlines() or [""])[0]
        raise UserError(
            f"weights: {path} cannot be read: it is {what}"
            + (mend(what) or f" ({type(error).__name__}: {why[:120]})")
        ) from error


def _plain_values() -> list[object]:
    """Return what checkpoints hold beside tensors that is no code: options, and NumPy's numbers."""
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefdSU"}
    scalar = type(np.float64(0)).__reduce__(np.float64(0))[0]
    # As NumPy 1 called it, and as NumPy 2 does; a name of another version is torch 2.6's.
    named = [(scalar, f"numpy.{room}.multiarray.scalar") for room in ("core", "_core")]
    return [argparse.Namespace, np.dtype, *kinds, *(named if _NAMED else [scalar])]


def _differences(state: State, wanted: State) -> str:
    """Return ``(N differences): ...``: the first of each kind; empty where all fits."""
    lacks = [name for name in wanted if name not in state]
    extra = [name for name in state if name not in wanted]
    shapes = [n for n, v in wanted.items() if n in state and state[n].shape != v.shape]
    more = lambda names: f" and {len(names) - 1} more" * (len(names) > 1)
    told = []
    if lacks:
        told.append(f"lacks {lacks[0]}{nearest(lacks[0], extra or state, 3)}{more(lacks)}")
    if extra:
        near = nearest(extra[0], wanted, 3) if not lacks else ""
        told.append(f"has {extra[0]}, which the network has not{near}{more(extra)}")
    told += [
        f"{name} is {tuple(state[name].shape)}, must be {tuple(wanted[name].shape)}"
        for name in shapes[:_SHAPES]
    ]
    count = len(lacks) + len(extra) + len(shapes)
    return f"({count} difference{'s' * (count > 1)}): {'; '.join(told)}" if told else ""


def _why_fresh(head: str, state: State, wanted: State) -> str:
    own, its = _shapes(wanted, head), _shapes(state, head)
    for name, shape in own.items():
        if name not in its:
            return f"the head {head!r} is fresh: the file has no {name}"
        if its[name] != shape:
            return (
                f"the head {head!r} is fresh: {name} of the file is {tuple(its[name])}, "
                f"the network's {tuple(shape)}"
            )
    return f"the head {head!r} is fresh: the file has {next(n for n in its if n not in own)}, too"


def _inside(modules: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}." for name in modules)


def _shapes(state: State, module: str) -> dict[str, torch.Size]:
    return {k: v.shape for k, v in state.items() if k.startswith(f"{module}.")}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
