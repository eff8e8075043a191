"""The contract of an explainer: ``attribute(model, batch)``, one relevance a pixel."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from pydantic import ConfigDict

from xaibench.engine import Batch, Maps, Pixels
from xaibench.errors import PluginError, UserError
from xaibench.models.base import Classifier, PassCount
from xaibench.segmentation.base import Segmentation

MapStatus = Literal["ok", "constant", "nan"]
Need = Literal[
    "scores", "gradients", "feature maps", "linear head", "tokens", "attention", "no fixed size"
]
"""What an explainer may ask of a model; see ``Explainer.needs``."""

_INSIDE = ("gradients", "feature maps", "linear head", "tokens", "attention")


@dataclass(frozen=True)
class Explanation:
    """Maps with what they cost.

    Attributes:
        maps: float32, larger = more evidence for the target.
        statuses: one an image: ``ok``, ``constant`` (says nothing, scores as a random one), or
            ``nan`` (has values that are not finite, is never scored).
        passes: images passed forward and backward, over the whole batch.
        seconds: wall time, with what gradients that it shares with others took when they were made.
    """

    maps: Maps
    statuses: tuple[MapStatus, ...]
    passes: PassCount
    seconds: float


class Explainer(ABC):
    """A plugin that explains; its fields are the parameters that a config may set.

    A subclass is a frozen dataclass, marked by ``@register("explainer")``, with one method,
    ``attribute``.
    """

    kind: ClassVar[str] = "explainer"
    name: ClassVar[str]
    control: ClassVar[bool] = False
    """True for a map that knows nothing of the model: a row that every table needs."""
    draws: ClassVar[int] = 1
    """Maps an image, each of other seeds, over which its scores are averaged; the first is kept."""
    needs: ClassVar[tuple[Need, ...]] = ("scores",)
    """What it asks of a model, for people; ``check`` is what looks whether a model has it."""
    expected: ClassVar[Mapping[str, str]] = {}
    """Check -> why it fails, and may, for ``xaibench check``; the check must fail then."""
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    def validate(self) -> None:
        """Raise UserError for what types cannot say; runs before anything loads."""

    def check(self, model: Classifier) -> None:
        """Raise UserError where the model lacks what the explainer needs; runs before the run."""

    @final
    def admit(self, model: Classifier) -> None:
        """Raise UserError where the model lacks what ``needs`` says, or ``check`` looks for."""
        lacking = [need for need in self.needs if need in _INSIDE]
        if model.scores_only and lacking:
            raise UserError(
                f"{self.name} needs {' and '.join(lacking)} of the model, and this one has none: "
                "it gives scores alone; use an explainer that needs only these, such as lime, rise "
                "or square_occlusion, or give the network as a module"
            )
        self.check(model)

    def cost(self, model: Classifier, batch: Batch) -> PassCount | None:
        """Return the passes that explaining the batch takes, all images together.

        None where nobody can say before: it depends on what is found on the way. Scores that a
        block shares (``unmasked_score``) are counted for nobody.
        """
        return None

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps | None:
        """Return the maps that it must give where each target's score is ``sum(weights * image)``.

        None where it promises nothing there. A conformance check compares.

        Args:
            weights: of each image's own target, one a channel and pixel.
        """
        return None

    def facts(self, model: Classifier) -> dict[str, object]:
        """Return what was resolved from the model (such as the layer), for tables and manifest."""
        return {}

    def own_segmentation(self) -> Segmentation | None:
        """Return how it divides images, where it asks ``batch.segmenter``; a run begins early."""
        return None

    @abstractmethod
    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        """Return the relevance of each pixel for ``batch.targets``; larger = more evidence."""

    @final
    def __call__(self, model: Classifier, batch: Batch) -> Explanation:
        """Explain a batch: checks what comes back, counts passes and time, restores the model."""
        before = model.passes.copy()
        kept = batch.block()[0].gradients
        lent, begun = kept.lent_seconds, time.perf_counter()
        with model.as_found():
            maps = self.attribute(model, batch)
        if maps.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - begun + kept.lent_seconds - lent
        wanted = (len(batch), *batch.images.shape[2:])
        if tuple(maps.shape) != wanted:
            raise PluginError(f"{self.name}: maps of shape {tuple(maps.shape)}, must be {wanted}")
        if maps.device != batch.images.device:
            raise PluginError(
                f"{self.name}: maps on {maps.device}, images on {batch.images.device}"
            )
        if not maps.is_floating_point():
            raise PluginError(f"{self.name}: maps of {maps.dtype}, must be floating point")
        maps = maps.detach().float()
        return Explanation(maps, _statuses(maps), model.passes.since(before), seconds)


def _statuses(maps: Maps) -> tuple[MapStatus, ...]:
    flat = maps.flatten(1)
    finite = flat.isfinite().all(dim=1).tolist()
    constant = (flat == flat[:, :1]).all(dim=1).tolist()
    return tuple(
        "nan" if not f else "constant" if c else "ok" for f, c in zip(finite, constant, strict=True)
    )
