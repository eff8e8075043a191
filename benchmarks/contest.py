"""Timing side by side: contestants take turns with the bare pass, so that noise hits all alike."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor

from benchmarks.bare import Bare
from benchmarks.timing import alternate
from xaibench.models.base import Classifier, PassCount

OURS = "xaibench"


def largest_difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference of two outputs; NaN stands for no value in both or in none."""
    theirs = theirs.to(ours.device)
    if not torch.equal(ours.isnan(), theirs.isnan()):
        return math.inf
    return float((ours.double() - theirs.double()).nan_to_num().abs().max())


Gap = Callable[[Tensor, Tensor], float]


@dataclass(frozen=True)
class Contestant:
    """One implementation of a method.

    Attributes:
        run: does the whole work on all images and returns its output.
        model: counts the passes.
        packages: what it needs to be installed.
        gap: difference of our output and its; None where they are not comparable, with a ``note``.
    """

    name: str
    run: Callable[[], Tensor]
    model: Classifier
    packages: tuple[str, ...] = ()
    gap: Gap | None = largest_difference
    note: str = ""

    @property
    def installed(self) -> bool:
        return all(importlib.util.find_spec(name) is not None for name in self.packages)


@dataclass
class Result:
    """What was measured of a contestant; an empty ``seconds`` where it could not be run.

    Attributes:
        seconds: of all images, one a round.
        limits: seconds of its passes as bare ones, one a round.
        ours: our seconds in fp32, one a round.
        passes: over all images.
    """

    contestant: Contestant
    note: str
    seconds: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    passes: PassCount = field(default_factory=PassCount)
    difference: float | None = None

    @property
    def times_limit(self) -> float | None:
        return median_ratio(self.seconds, self.limits)

    @property
    def times_ours(self) -> float | None:
        return median_ratio(self.seconds, self.ours)


@dataclass(frozen=True)
class Contest:
    """Results side by side, with the bare passes between them.

    Attributes:
        bare: seconds of one bare forward pass, one a round.
        bare_both: seconds of one bare forward and backward pass; empty where none was needed.
        through: the backend of the bare forward passes.
    """

    results: list[Result]
    bare: list[float]
    bare_both: list[float]
    through: str


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float | None:
    """Return the median of the ratios round by round; None without rounds or for a 0 below."""
    if not above or not below or min(below) <= 0:
        return None
    return median(a / b for a, b in zip(above, below, strict=True))


def limit(passes: PassCount, forward: float, both: float | None) -> float:
    """Return the seconds of so many passes as bare ones in full batches.

    Args:
        forward: seconds of one bare forward pass.
        both: seconds of one forward and backward pass, where it was measured.
    """
    backward = passes.backward if both is not None else 0
    return (passes.forward - backward) * forward + backward * (both or 0.0)


def compete(
    contestants: Sequence[Contestant],
    bare: Bare,
    repeats: int,
    device: torch.device,
    *,
    backward: bool,
    after_round: Callable[[int], None] = lambda done: None,
) -> Contest:
    """Run each once to warm it up and compare it, then time all in turns.

    Args:
        contestants: ours in fp32 first.
        backward: the method needs gradients, so the limit has bare backward passes.
    """
    outputs: dict[str, Tensor] = {}
    results = [_first_run(contestant, outputs) for contestant in contestants]
    running = [r for r in results if r.contestant.name in outputs]
    entrants = {r.contestant.name: r.contestant.run for r in running}
    floor = {"bare": bare.forward} | ({"bare both": bare.both} if backward else {})
    seconds = alternate(floor | entrants, repeats, device, after_round)
    each = lambda name: [s / bare.count for s in seconds[name]]
    forward, both = each("bare"), each("bare both") if backward else []
    for result in running:
        name = result.contestant.name
        result.seconds = seconds[name]
        result.limits = [
            limit(result.passes, f, b)
            for f, b in zip(forward, both or [None] * repeats, strict=True)
        ]
        result.ours = seconds.get(OURS, [])
        if OURS in outputs and result.contestant.gap is not None:
            result.difference = result.contestant.gap(outputs[OURS], outputs[name])
    return Contest(results, forward, both, bare.backend)


def _first_run(contestant: Contestant, outputs: dict[str, Tensor]) -> Result:
    if not contestant.installed:
        missing = " and ".join(p for p in contestant.packages if not importlib.util.find_spec(p))
        return Result(contestant, f"not installed: {missing}")
    before = contestant.model.passes.copy()
    try:
        outputs[contestant.name] = contestant.run()
    except Exception as error:  # one that breaks must not take the others' figures with it
        return Result(contestant, f"failed: {type(error).__name__}: {error}")
    passes = contestant.model.passes.since(before)
    return Result(contestant, contestant.note, passes=passes)
