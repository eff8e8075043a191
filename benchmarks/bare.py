"""The limit that the network sets: bare passes, in full batches, with nothing masked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from statistics import median

import torch
from torch import Tensor

from benchmarks.timing import alternate, timed
from xaibench.engine.backends import BACKENDS
from xaibench.engine.network import ForwardNetwork
from xaibench.models.base import Classifier
from xaibench.types import BackendName

_ROUNDS = 5


class Bare:
    """Bare fp32 passes through the fastest backend; bare gradients through eager PyTorch.

    ``forward`` and ``both`` (forward and backward, to the images) each pass enough batches to be
    measured: ``count`` images.

    Args:
        among: networks to choose from; those of ``bare_networks`` by default.
    """

    AT_LEAST = 0.3  # seconds

    def __init__(
        self,
        model: Classifier,
        images: Tensor,
        *,
        backward: bool,
        among: Mapping[str, ForwardNetwork] | None = None,
    ) -> None:
        size = model.batch_size
        rows = torch.arange(size, device=images.device) % len(images)
        self._model = model
        self._images = images[rows].contiguous(memory_format=torch.channels_last)
        self._batches = 1
        networks = among or bare_networks(model)
        seconds = self._seconds(networks)
        self.backend = min(seconds, key=seconds.__getitem__)
        self._network = networks[self.backend]
        work = self.both if backward else self.forward
        work()
        once = timed(work, images.device)
        self._batches = max(1, math.ceil(self.AT_LEAST / once))
        self.count = self._batches * size

    def _seconds(self, networks: Mapping[str, ForwardNetwork]) -> dict[str, float]:
        """Return the median seconds of a full batch through each network, in turns."""
        passes = {name: partial(self._pass, network) for name, network in networks.items()}
        for compile_it in passes.values():
            compile_it()
        found = alternate(passes, _ROUNDS, self._images.device)
        return {name: median(each) for name, each in found.items()}

    def forward(self) -> None:
        for _ in range(self._batches):
            self._pass(self._network)

    def both(self) -> None:
        for _ in range(self._batches):
            images = self._images.detach().requires_grad_()
            with torch.enable_grad():
                torch.autograd.grad(self._model(images).sum(), images)

    def _pass(self, network: ForwardNetwork) -> None:
        # Normalising and masking are the work of what is measured, not of a bare pass.
        with torch.inference_mode():
            network.logits(self._images)


def bare_networks(model: Classifier) -> dict[BackendName, ForwardNetwork]:
    """Return name -> the model's network through each backend that is made within seconds."""
    usable = (
        name
        for name, backend in BACKENDS.items()
        if backend.quick and not backend.lacking(model.device.type, model.precision)
    )
    return {name: ForwardNetwork(model, name) for name in usable}
