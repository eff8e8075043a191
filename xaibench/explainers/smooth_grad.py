"""SmoothGrad: the gradient, averaged over noisy copies of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt
from torch import Tensor

from xaibench.engine import Batch, Maps, Pixels, gradient_sums, over_channels
from xaibench.engine.noise import noisy_copies
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class SmoothGrad(Explainer):
    """Gradient of the target's score, averaged over copies of the image with Gaussian noise.

    ``1/n sum_k g(x + sigma z_k)``, z_k standard normal and seeded by image, n = ``samples``, sigma
    = ``noise`` (max x - min x), of all channels of the image; copies are not cut to [0, 1].
    ``magnitude`` makes one number of a pixel: ``abs``, the absolute value of the average, mean over
    channels (not negative); ``square``, the average of squared gradients, likewise (SmoothGrad
    Squared of Hooker et al. 2019, not negative); ``signed``, the average's sum over channels.
    captum's NoiseTunnel adds noise of standard deviation 1 to 5 copies; the paper's is a tenth to a
    fifth of the range, of 50.
    Cost: ``samples`` forward and backward passes. Source: Smilkov et al. 2017, "SmoothGrad:
    removing noise by adding noise", section 3.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients",)
    samples: PositiveInt = 50
    noise: Annotated[float, Field(ge=0)] = 0.15
    magnitude: Literal["abs", "square", "signed"] = "abs"
    space: Space = "logit"

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        passes = self.samples * len(batch)
        return PassCount(passes, passes)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        return self._joined(weights.square() if self.magnitude == "square" else weights)

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        square = self.magnitude == "square"
        total = gradient_sums(
            model,
            batch.targets,
            self.samples,
            noisy_copies(batch.images, batch.seeds, self.noise),
            lambda gradients, image, copy: gradients.double().square() if square else gradients,
            self.space,
        )
        return self._joined(total / self.samples)

    def _joined(self, gradients: Tensor) -> Maps:
        return over_channels(gradients, "sum" if self.magnitude == "signed" else "mean_abs")
