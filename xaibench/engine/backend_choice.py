"""Which backend a model's passes run through: the fastest of those that give the same scores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from xaibench.engine.backends import BACKENDS
from xaibench.engine.network import ForwardNetwork, forward_network, keep_network
from xaibench.models.base import Classifier
from xaibench.types import BackendName

PROBABILITY, LOGIT = 1e-4, 1e-3
"""How far scores may be from those of eager passes."""
_SECONDS = 3.0  # that the timing of all may take, after the fewest rounds
_ROUNDS = 3, 9
# One that were chosen by a hair would be another one in the next run, whose scores would differ in
# the last digits: so a compiler is taken unless it is clearly slower.
_FASTER = 0.8


@dataclass(frozen=True)
class Choice:
    """A backend and what it was chosen by.

    Attributes:
        speedup: of a full batch over eager PyTorch; None where nothing was timed.
        difference: the largest of a probability, or of an output of a regression; and of a logit.
        passed_over: other backends -> why they were not taken, in a clause.
    """

    name: BackendName
    version: str
    speedup: float | None = None
    difference: tuple[float, float] | None = None
    passed_over: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        said = f"Passes run through {self.name} ({self.version})"
        if self.speedup is not None and self.name != "eager":
            said += f", {self.speedup:.1f} x as fast as eager PyTorch"
        if self.difference is not None:
            said += f"; largest difference of a probability {self.difference[0]:.1g}"
        others = "; ".join(f"not {name}: {why}" for name, why in self.passed_over.items())
        return said + (f"; {others}" if others else "")


def choose_backend(
    model: Classifier,
    asked: BackendName | Literal["auto"],
    images: Float[Tensor, "image channel height width"],
    *,
    speedup: float | None = None,
) -> Choice:
    """Return the backend for a model, and leave it set on the model.

    ``auto`` tries those that are made within a second or two, and takes the fastest whose scores
    agree with eager PyTorch's in fp32, on real images and on masked ones, in a full batch and in a
    smaller one; one that is asked for by name has only to agree. Where none does, and where the
    model must be seen at work, passes are eager: never an error.

    Args:
        images: in [0, 1], some real ones.
        speedup: of the one that is asked for, where it is known; nothing is timed then.
    """
    model.backend, model.speedup = "eager", 1.0
    version = BACKENDS["eager"].version()
    if asked == "eager":
        return Choice("eager", version)
    names = [n for n, b in BACKENDS.items() if b.quick] if asked == "auto" else [asked]
    names = [name for name in names if name != "eager"]
    eager = forward_network(model)
    if eager.net is None:
        said = "the model must be seen at work, and is used as it is"
        return Choice("eager", version, passed_over=dict.fromkeys(names, said))
    batch = _probes(model, images)
    tried: dict[BackendName, _Tried] = {}
    passed_over: dict[str, str] = {}
    with torch.inference_mode():
        wanted = _logits(model, eager, batch)
        for name in names:
            lacking = BACKENDS[name].lacking(model.device.type, model.precision)
            found = lacking or _try(model, name, batch, wanted)
            if isinstance(found, _Tried):
                tried[name] = found
            elif not lacking or asked != "auto" or _expected(name, model):
                passed_over[name] = found
        networks = {name: each.network for name, each in tried.items()}
        chosen = next(iter(networks), "eager")
        if speedup is None or not networks:
            chosen, speedup = _fastest(model, eager, networks, batch, asked)
    model.backend, model.speedup = chosen, speedup or 1.0
    keep_network(model, networks.get(chosen, eager))
    passed_over |= {name: "it is slower" for name in tried if name != chosen}
    difference = tried[chosen].difference if chosen in tried else None
    return Choice(chosen, BACKENDS[chosen].version(), speedup, difference, passed_over)


@dataclass(frozen=True, eq=False)
class _Tried:
    """A network through a backend whose scores agree."""

    network: ForwardNetwork
    difference: tuple[float, float]


def _try(model: Classifier, name: BackendName, batch: Tensor, wanted: Tensor) -> _Tried | str:
    """Return the network through a backend, or why its scores cannot be used."""
    network = ForwardNetwork(model, name)
    try:
        difference = _difference(model, _logits(model, network, batch), wanted)
    except Exception as error:  # converters fail in any way, and a run must not
        return f"it failed ({_first_line(error)})"
    if not _agrees(difference):
        return "its scores differ by {:.1g} in probability and {:.1g} in logit".format(*difference)
    return _Tried(network, difference)


def _fastest(
    model: Classifier,
    eager: ForwardNetwork,
    candidates: Mapping[BackendName, ForwardNetwork],
    batch: Tensor,
    asked: str,
) -> tuple[BackendName, float | None]:
    if not candidates:
        return "eager", None
    seconds = _seconds(model, {"eager": eager, **candidates}, batch)
    best = min(candidates, key=seconds.__getitem__)
    speedup = seconds["eager"] / seconds[best]
    return (best, speedup) if asked != "auto" or speedup >= _FASTER else ("eager", 1.0)


def _seconds(
    model: Classifier, networks: Mapping[BackendName, ForwardNetwork], batch: Tensor
) -> dict[BackendName, float]:
    """Return the shortest time of a full batch through each, in turns.

    What else the machine does can only lengthen a pass, so that the shortest are what compares.
    """
    timed: dict[BackendName, list[float]] = {name: [] for name in networks}
    begun = time.perf_counter()
    for number in range(_ROUNDS[1]):
        for name, network in networks.items():
            start = time.perf_counter()
            _logits(model, network, batch[: model.batch_size])
            timed[name].append(time.perf_counter() - start)
        if number + 1 >= _ROUNDS[0] and time.perf_counter() - begun > _SECONDS:
            break
    return {name: min(each) for name, each in timed.items()}


def _probes(
    model: Classifier, images: Float[Tensor, "image channel height width"]
) -> Float[Tensor, "probe channel height width"]:
    """Return a full batch and some of a smaller one: real images, every other with a dark half."""
    count = model.batch_size + max(1, model.batch_size // 3)
    batch = images[torch.arange(count, device=images.device) % len(images)].clone()
    height, width = batch.shape[-2:]
    batch[1::4, :, : height // 2] = 0
    batch[3::4, :, :, width // 2 :] = 0
    return batch


def _logits(model: Classifier, network: ForwardNetwork, batch: Tensor) -> Tensor:
    """Return the outputs of a batch, which count as nobody's passes."""
    before = model.passes.copy()
    parts = [network.logits(network.normalised(part)) for part in batch.split(model.batch_size)]
    model.passes = before
    if batch.is_cuda:
        torch.cuda.synchronize(batch.device)
    return torch.cat(parts).clone()


def _difference(model: Classifier, found: Tensor, wanted: Tensor) -> tuple[float, float]:
    pairs = (model.probabilities(found), model.probabilities(wanted)), (found, wanted)
    return tuple(float((a - b).abs().max()) for a, b in pairs)


def _agrees(difference: Sequence[float]) -> bool:
    return difference[0] <= PROBABILITY and difference[1] <= LOGIT  # a NaN agrees with nothing


def _expected(name: BackendName, model: Classifier) -> bool:
    """Return whether somebody may wonder where a backend is: not on a device that it is not for."""
    return name == "openvino" and model.device.type == "cpu"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
