"""State dicts from files, as people save them, with stem and head adapted to a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from xaibench.errors import UserError, nearest
from xaibench.networks.checkpoints import Held
from xaibench.networks.files_of_weights import records_of, said_of
from xaibench.networks.made_for import MadeFor, recorded
from xaibench.networks.origin import Origin
from xaibench.networks.prefixes import Fitted, State
from xaibench.networks.wrappings import fitted, fitted_under, keys_of

GreyStem = Literal["sum", "mean"]
_SHAPES = 3  # that differ, in a message


@dataclass(frozen=True)
class Loaded:
    """What came of loading a file; as it stands, of none.

    Attributes:
        said: the file's name and checksum, for the manifest; else where the weights came from.
        notes: what was taken off names, and what was left out, a line each.
        fresh: of each head that stays as it was drawn, why.
        made_for: what the file says of the images that its weights were trained on.
    """

    said: str = "none"
    notes: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    made_for: MadeFor | None = None

    def origin(
        self,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        size: tuple[int, int],
        otherwise: MadeFor | None = None,
    ) -> Origin:
        """Return what to say of the weights, for images of a normalisation and size.

        Args:
            otherwise: for which images they were made where the file does not say it.
        """
        made_for = self.made_for or otherwise
        doubts = made_for.differences(mean, std, size) if made_for else ()
        return Origin(self.notes, (*self.fresh, *doubts))


def load_weights(
    net: nn.Module,
    path: Path,
    *,
    key: str | None = None,
    stems: tuple[str, ...] = (),
    heads: tuple[str, ...] = (),
    grey_stem: GreyStem = "sum",
    unused: tuple[str, ...] = (),
) -> Loaded:
    """Load a state dict from a checkpoint or .safetensors file, whatever it is wrapped in.

    A UserError says what a file is that holds none, and which names and shapes do not fit. Nothing
    in a file is run: ``weights_only`` always.

    Args:
        path: a file, or a folder of Hugging Face's; see ``files_of``.
        key: under which of the file's keys the weights lie; None for those that fit best.
        stems: names of the modules whose kernels of three channels become one where the network
            takes grey images.
        heads: names of the modules that stay as they are where the file's differ in shape or lack.
        grey_stem: what the one channel is of the three.
        unused: names of modules of the file's network that this one is built without.
    """
    held, records, wanted = Held.of(path), records_of(path), net.state_dict()
    found = _found(held, wanted, key)
    state = {k: v for k, v in found.state.items() if not k.startswith(_inside(unused))}
    for name in (f"{stem}.weight" for stem in stems):
        if name in state and state[name].shape[1:2] == (3,) and wanted[name].shape[1] == 1:
            kernels = state[name].sum(dim=1, keepdim=True)
            state[name] = kernels / 3 if grey_stem == "mean" else kernels
    fresh = []
    for head in heads:
        if _shapes(state, head) != _shapes(wanted, head):
            fresh.append(_why_fresh(head, state, wanted))
            state = {k: v for k, v in state.items() if not k.startswith(f"{head}.")}
            state |= {name: wanted[name] for name in _shapes(wanted, head)}
    for name, value in wanted.items():
        if name.endswith("num_batches_tracked"):  # older files do not hold this counter
            state.setdefault(name, value)
    if problems := _differences(state, wanted):
        raise UserError(
            f"weights: {path} does not fit the architecture {problems}{_built_by(records)}"
        )
    net.load_state_dict(state)
    notes = [f"Weights of {path.name}: {found.said}"] * bool(found.said)
    if found.others:
        notes[0] += " (weights_key chooses)"
    made_for = recorded({"weights": held.tree, **records}, path.name)
    return Loaded(said_of(path), (*notes, *held.notes), tuple(fresh), made_for)


def _found(held: Held, wanted: State, key: str | None) -> Fitted:
    """Return the weights of a file that are asked for; a UserError where there are none."""
    found = fitted(held.tree, wanted)
    if found is None or (held.unread and not found.fits):
        raise held.no_weights()
    if key is None:
        return found
    under = fitted_under(key, held.tree, wanted)
    if under is None:
        fit = [repr(each) for each in (found.key, *found.others) if each]
        told = f"; weights that fit lie under {', '.join(fit)}" * bool(fit)
        near = nearest(key, keys_of(held.tree), 3)
        raise UserError(f"weights_key: {held.path} has no weights under {key!r}{near}{told}")
    return under


def _built_by(records: Mapping[str, object]) -> str:
    """Return what builds the network of a file of transformers; empty for any other."""
    config = records.get("config.json")
    if not isinstance(config, dict) or "transformers_version" not in config:
        return ""
    built = config.get("architectures") or ["a model"]
    return (
        f"; its config.json names {built[0]} of transformers: with `use: module`, name a callable "
        "that returns the logits of one"
    )


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
