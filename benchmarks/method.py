"""A method with its contestants, made of ours and of peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from benchmarks.contest import OURS, Contestant, Gap, largest_difference
from benchmarks.subjects import Subject
from xaibench.engine.batch import Batch
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier

HALF = f"{OURS} bf16"


@dataclass(frozen=True)
class Method:
    """A method on a subject.

    Attributes:
        parameters: what ours and peers were given, for the table.
        work: expected model calls of one of ours, for the time left.
    """

    name: str
    images: int
    parameters: str
    work: int
    contestants: tuple[Contestant, ...]
    backward: bool = False


@dataclass(frozen=True)
class Peer:
    """A peer before it is given images; ``package`` is what is imported, or ``loop``."""

    name: str
    package: str
    run: Callable[[Batch], Tensor]
    gap: Gap | None = largest_difference
    note: str = ""


OUR_BATCHES = "batches of our size"


def captum_calls(subject: Subject) -> dict[str, int | None]:
    """Return what captum is told of its batches: nothing, or the size that suits the machine."""
    return {"default": None, OUR_BATCHES: subject.model.batch_size}


def segments_of(subject: Subject) -> str:
    counts = subject.batch.segments.flatten(1).amax(1) + 1
    return f"{int(counts.min())}-{int(counts.max())} superpixels"


def maps_of(explainer: Explainer) -> Callable[[Classifier, Batch], Tensor]:
    return lambda model, batch: explainer(model, batch).maps


def method_of(
    subject: Subject,
    name: str,
    ours: Callable[[Classifier, Batch], Tensor],
    peers: list[Peer],
    parameters: str,
    work: int,
    *,
    images: int | None = None,
    backward: bool = False,
    half_passes: bool = True,
) -> Method:
    """Return the method; each run gets a batch of which no score is known yet."""
    count = images or subject.size.images
    model = subject.model
    contestants = [Contestant(OURS, lambda: ours(model, subject.fresh(count)), model)]
    # Gradients are taken in fp32 whatever the model's precision.
    if half_passes and not backward:
        half = lambda: ours(subject.half, subject.fresh(count))
        contestants.append(Contestant(HALF, half, subject.half))
    contestants += [
        Contestant(
            peer.name,
            lambda peer=peer: peer.run(subject.fresh(count)),
            model,
            () if peer.package == "loop" else (peer.package,),
            peer.gap,
            peer.note,
        )
        for peer in peers
    ]
    return Method(name, count, parameters, count * work, tuple(contestants), backward)
