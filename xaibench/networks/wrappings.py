"""Names of weights as other people's wrappers leave them, fitted to those of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
"""Under which a checkpoint holds its weights, in the order of preference where several fit."""
PREFIXES = ("module", "_orig_mod", "model", "net", "network", "backbone", "encoder")
"""Of names: what DataParallel, torch.compile, Lightning and self-supervised training put first."""
_ANYWHERE = ("module", "_orig_mod")  # these may stand inside a name as well
_DEPTH = 5
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


def fitted(tree: object, wanted: State) -> Fitted | None:
    """Return the weights in a checkpoint that fit a network best; None where it holds no tensors.

    What fits is counted by names of the same shape, then by names. Of what fits equally well that
    is taken whose prefix is known and of whose names the least is changed, and then the first of
    KEYS.
    """
    groups = dict(_groups(tree, "", _DEPTH))
    tries = [
        _renamed(groups[under], under, chain, wanted)
        for under in sorted(groups, key=_preference)
        for chain in _chains(groups[under], wanted)
    ]
    if not tries:
        return None
    tries.sort(key=lambda each: _rank(each, wanted), reverse=True)  # of equals the first
    found, *rest = tries
    others: list[Fitted] = []
    for each in rest:
        equal = _fits(each, wanted) == _fits(found, wanted)
        if equal and all(_apart(each, other, wanted) for other in (found, *others)):
            others.append(each)
    beside = tuple(each.without for each in others if each.without and each.under == found.under)
    return replace(
        found,
        state={n: t for n, t in found.state.items() if n in wanted or not n.startswith(beside)},
        left=tuple(name for name in found.left if not name.startswith(beside)),
        others=tuple(each.key for each in others),
        fits=_fits(found, wanted)[1],
    )


def fitted_under(key: str, tree: object, wanted: State) -> Fitted | None:
    """Return the weights under a key, or under keys and a prefix of names joined by dots.

    As ``fitted`` gives them, which names the others. None where no tensors lie there.
    """
    flat = dict(_flat(tree, "", _DEPTH)) if isinstance(tree, Mapping) else {}
    there = {n.removeprefix(f"{key}."): t for n, t in flat.items() if n.startswith(f"{key}.")}
    its, best = fitted(there, wanted), fitted(tree, wanted)
    if its is None or best is None:
        return None
    found = replace(its, under=f"{key}.{its.under}".rstrip("."))
    fit = [each for each in (best.key, *best.others) if each not in ("", key, found.key)]
    return replace(found, others=tuple(fit) if best.fits == its.fits else ())


def keys_of(tree: object) -> list[str]:
    """Return each key of a checkpoint, and each prefix of names, under which tensors lie."""
    names = dict(_flat(tree, "", _DEPTH)) if isinstance(tree, Mapping) else {}
    parts = [name.split(".")[:-1] for name in names]
    return [*dict.fromkeys(".".join(p[:end]) for p in parts for end in range(1, len(p) + 1))]


def _apart(one: Fitted, other: Fitted, wanted: State) -> bool:
    """Say whether two ways to read a checkpoint give other tensors of it."""
    both = one.state.keys() & other.state.keys() & wanted.keys()
    return any(one.state[name] is not other.state[name] for name in both)


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


def _chains(state: State, wanted: State) -> list[tuple[str, ...]]:
    """Return the sequences of prefixes to take off: known ones first, then what stands most often
    before a name of the network, such as ``ema_model`` or ``vit``."""
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
    off = found.without.split(".")[:-1]
    unknown = sum(part not in PREFIXES for part in off)
    return *_fits(found, wanted), -unknown, -len(found.inside), -len(off)
