"""Names of weights without what wrappers put before them, and how well they fit a network's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

PREFIXES = ("module", "_orig_mod", "model", "net", "network", "backbone", "encoder")
"""Of names: what DataParallel, torch.compile, Lightning and self-supervised training put first."""
_ANYWHERE = ("module", "_orig_mod")  # these may stand inside a name as well
_DEPTH = 5  # parts of a prefix
_TRIED = 8  # prefixes that nobody knows beforehand

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
        others: keys of other weights in the file that fit as well, such as ``ema``; see ``chosen``.
        fits: how many of their names the network has; 0 where they are of something else.
    """

    state: dict[str, Tensor]
    under: str = ""
    without: str = ""
    before: str = ""
    inside: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    fits: int = 0

    @property
    def key(self) -> str:
        """Where they lay, down to the prefix of their names, but for one that any wrapper puts."""
        parts = [*self.under.split("."), *self.without.split(".")]
        parts = [part for part in parts if part]
        while parts and parts[-1] in _ANYWHERE:
            parts.pop()
        return ".".join(parts)

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


def chains(state: State, wanted: State) -> list[tuple[str, ...]]:
    """Return the sequences of prefixes to take off: known ones first, the shortest before.

    Then what stands before most names of the network, such as ``ema_model`` or ``vit``.
    """
    known: dict[tuple[str, ...], None] = {(): None}
    before: Counter[tuple[str, ...]] = Counter()
    for name in state:
        parts = tuple(name.split("."))
        for end, part in enumerate(parts[:-1], 1):
            if part not in PREFIXES:
                break
            known[parts[:end]] = None
        for end in range(1, min(len(parts), _DEPTH)):
            before[parts[:end]] += ".".join(parts[end:]) in wanted
    often = [
        chain
        for chain, count in before.most_common(_TRIED)
        if chain not in known and 2 * count > len(wanted)
    ]
    return [*sorted(known, key=len), *often]


def renamed(state: State, under: str, chain: tuple[str, ...], wanted: State) -> Fitted:
    """Return weights by the network's names where a chain of prefixes is taken off.

    Args:
        under: the keys under which they lie in the file, joined by dots.
    """
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


def fits(found: Fitted, wanted: State) -> tuple[int, int]:
    """Return how many names have the network's shape, and how many are the network's."""
    known = [name for name in found.state if name in wanted]
    same = sum(found.state[name].shape == wanted[name].shape for name in known)
    return same, len(known)


def rank(found: Fitted, wanted: State) -> tuple[int, ...]:
    """Return what sorts ways to read a checkpoint: what fits, and how little is changed for it."""
    off = found.without.split(".")[:-1]
    unknown = sum(part not in PREFIXES for part in off)
    return *fits(found, wanted), -unknown, -len(found.inside), -len(off)


def apart(one: Fitted, other: Fitted, wanted: State) -> bool:
    """Say whether two ways to read a checkpoint give other tensors of it."""
    both = one.state.keys() & other.state.keys() & wanted.keys()
    return any(one.state[name] is not other.state[name] for name in both)
