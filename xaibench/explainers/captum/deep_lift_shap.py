"""DeepLIFT averaged over many baselines (DeepSHAP), through captum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from captum.attr import DeepLiftShap as Peer
from pydantic import Field

from xaibench.engine import Batch, Pixels
from xaibench.engine.hookable import hookable
from xaibench.explainers.captum.base import (
    Attributions,
    Background,
    PixelAttribution,
    RowWise,
    background,
    check_deep_lift,
    inputs,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


class _DeepLiftShap(RowWise, Peer):
    pass


@register("explainer")
@dataclass(frozen=True)
class DeepLiftShap(PixelAttribution):
    """Mean of DeepLIFT's contributions to the logit over several baselines, signed.

    ``baselines`` images of ``background`` (random ``colours``, or ``noise``), drawn from the
    image's seed; captum leaves them to the caller. See ``captum.deep_lift`` for the rest.
    Cost: two forward and two backward passes a baseline. Source: Lundberg and Lee 2017, "A
    unified approach to interpreting model predictions", section 4.2.
    """

    baselines: Annotated[int, Field(ge=2)] = 10
    background: Background = "colours"
    needs = ("gradients",)

    def check(self, model: Classifier) -> None:
        check_deep_lift(self, model)

    def copies(self, model: Classifier, batch: Batch) -> int:
        return model.batch_size  # captum knows one set of baselines for all images of a call

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = 2 * self.baselines * len(batch)
        return PassCount(passes, passes)

    def linear(self, weights: Pixels, batch: Batch) -> Pixels:
        drawn = background(batch, self.baselines, self.background)
        return weights * (batch.images - drawn.mean(1))

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        with hookable(model) as score:
            return _DeepLiftShap(score).attribute(
                inputs(batch),
                baselines=background(batch, self.baselines, self.background)[0],
                additional_forward_args=(batch.targets,),
            )
