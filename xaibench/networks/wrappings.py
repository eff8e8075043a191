"""Names of weights as other people's wrappers leave them, fitted to those of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
"""Under which a checkpoint holds its weights, in the order of preference where several fit."""
PREFIXES = ("module", "_orig_mod", "model", "net", "network", "backbone", "encoder")
"""Of names: what DataParallel, torch.compile, Lightning and self-supervised training put first."""
_ANYWHERE = ("module", "_orig_mod")  # these may stand inside a name as well
_DEPTH = 5

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Fitted:
    """Weights by the network's own names, as far as they have one there.

    Attributes:
        state: name -> tensor.
        under: the keys under which they lay in the file, joined by dots; empty for none.
        without: the prefix that was taken off.
        before: the prefix that was put on.
        inside: parts that were taken out of the middle of names.
        left: names outside the prefix, of what is no part of the network (a loss, a metric).
        others: keys under which other weights lie that fit as well, such as ``ema``.
    """

    state: dict[str, Tensor]
    under: str = ""
    without: str = ""
    before: str = ""
    inside: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """What was unwrapped, in a line; empty where nothing was."""
        parts = [f"those under {self.under!r}"] * bool(self.under)
        parts += [f"names without {self.without!r}"] * bool(self.without)
        parts += [f"names with {self.before!r} before them"] * bool(self.before)
        parts += [f"names without {part!r} inside" for part in self.inside]
        if self.left:
            more = f" and {len(self.left) - 1} more" * (len(self.left) > 1)
            parts.append(f"left out {self.left[0]}{more}")
        if self.others:
            parts.append(f"not those under {', '.join(map(repr, self.others))}, which fit as well")
        return ", ".join(parts)


def fitted(tree: object, wanted: State) -> Fitted | None:
    """Return the weights in a checkpoint that fit a network best; None where it holds no tensors.

    What fits is counted by names of the same shape, then by names. Of what fits equally well that
    is taken of whose names the least is changed, and then the first of KEYS.
    """
    groups = dict(_groups(tree, "", _DEPTH))
    order = sorted(groups, key=_preference)
    best: dict[str, Fitted] = {}
    for under in order:
        tries = [_renamed(groups[under], under, chain, wanted) for chain in _chains(groups[under])]
        best[under] = max(tries, key=lambda each: _rank(each, wanted))
    if not best:
        return None
    found = max(best.values(), key=lambda each: _rank(each, wanted))  # of equals the first
    apart = lambda key: (
        not f"{key}.".startswith(f"{found.under}.")
        and not (f"{found.under}.".startswith(f"{key}."))
    )
    others = tuple(
        key
        for key, its in best.items()
        if key and found.under and apart(key) and _fits(its, wanted) == _fits(found, wanted)
    )
    return replace(found, others=others)


def _groups(tree: object, under: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield each mapping of a checkpoint that holds tensors, with all of them by dotted names."""
    if not isinstance(tree, Mapping) or not depth:
        return
    if flat := dict(_flat(tree, "", _DEPTH)):
        yield under, flat
    for key, value in tree.items():
        if isinstance(key, str):
            yield from _groups(value, f"{under}.{key}" if under else key, depth - 1)


def _flat(tree: Mapping, before: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    for key, value in tree.items():
        if isinstance(value, Tensor):
            yield f"{before}{key}", value
        elif isinstance(value, Mapping) and depth:
            yield from _flat(value, f"{before}{key}.", depth - 1)


def _preference(under: str) -> tuple[int, ...]:
    """Sort plain weights before averaged ones, and those before what has no known key."""
    ranks = [KEYS.index(key) if key in KEYS else len(KEYS) for key in under.split(".") if key]
    return (sum(rank == len(KEYS) for rank in ranks), len(ranks), *ranks)


def _chains(state: State) -> list[tuple[str, ...]]:
    """Return the sequences of known prefixes that names begin with, the shortest first."""
    found: dict[tuple[str, ...], None] = {(): None}
    for name in state:
        chain: tuple[str, ...] = ()
        for part in name.split(".")[:-1]:
            if part not in PREFIXES:
                break
            chain = (*chain, part)
            found[chain] = None
    return sorted(found, key=len)


def _renamed(state: State, under: str, chain: tuple[str, ...], wanted: State) -> Fitted:
    without = "".join(f"{part}." for part in chain)
    before = _common(wanted)
    names, put, left, inside = {}, "", [], {}
    for name, tensor in state.items():
        own = name.removeprefix(without)
        plain = ".".join(part for part in own.split(".") if part not in _ANYWHERE)
        if own in wanted:
            names[own] = tensor
        elif plain in wanted:
            names[plain] = tensor
            inside |= dict.fromkeys(part for part in _ANYWHERE if part in own.split("."))
        elif before and before + own in wanted:
            names[before + own], put = tensor, before
        elif chain and not name.startswith(without):
            left.append(name)
        else:
            names[own] = tensor
    return Fitted(names, under, without, put, tuple(inside), tuple(left))


def _common(wanted: State) -> str:
    """Return the known prefixes that all names of a network itself begin with."""
    chain: list[str] = []
    names = [name.split(".") for name in wanted]
    for parts in zip(*names, strict=False):
        if len(set(parts)) > 1 or parts[0] not in PREFIXES:
            break
        chain.append(f"{parts[0]}.")
    return "".join(chain)


def _fits(found: Fitted, wanted: State) -> tuple[int, int]:
    """Return how many names have the network's shape, and how many are the network's."""
    known = [name for name in found.state if name in wanted]
    same = sum(found.state[name].shape == wanted[name].shape for name in known)
    return same, len(known)


def _rank(found: Fitted, wanted: State) -> tuple[int, ...]:
    """Return what sorts ways to read a checkpoint: what fits, and how little is changed for it."""
    return *_fits(found, wanted), -len(found.inside), -found.without.count(".")
