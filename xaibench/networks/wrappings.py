"""Sets of weights in a checkpoint, whatever they lie under: which fits a network, which others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor

from xaibench.networks.prefixes import Fitted, State, apart, chains, fits, rank, renamed

KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
"""Under which a checkpoint holds its weights, in the order of preference where several fit."""
_DEPTH = 5  # of mappings in each other


def fitted(tree: object, wanted: State) -> Fitted | None:
    """Return the weights in a checkpoint that fit a network best; None where it holds no tensors.

    What fits is counted by names of the same shape, then by names. Of what fits equally well that
    is taken whose prefix is known and of whose names the least is changed, and then the first of
    KEYS.
    """
    groups = dict(_groups(tree, "", _DEPTH))
    tries = [
        renamed(groups[under], under, chain, wanted)
        for under in sorted(groups, key=_preference)
        for chain in chains(groups[under], wanted)
    ]
    if not tries:
        return None
    tries.sort(key=lambda each: rank(each, wanted), reverse=True)  # of equals the first
    found, *rest = tries
    others: list[Fitted] = []
    for each in rest:
        equal = fits(each, wanted) == fits(found, wanted)
        if equal and all(apart(each, other, wanted) for other in (found, *others)):
            others.append(each)
    beside = tuple(each.without for each in others if each.without and each.under == found.under)
    return replace(
        found,
        state={n: t for n, t in found.state.items() if n in wanted or not n.startswith(beside)},
        left=tuple(name for name in found.left if not name.startswith(beside)),
        others=tuple(each.key for each in others),
        fits=fits(found, wanted)[1],
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
