"""Smooth Grad-CAM++ by torchcam."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import PositiveFloat, PositiveInt
from torchcam.methods import SmoothGradCAMpp as Peer

from xaibench.engine import Batch
from xaibench.explainers.cam_.base import TorchcamMap
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class SmoothGradCamPlusPlus(TorchcamMap):
    """Smooth Grad-CAM++: Grad-CAM++ with powers of the gradient meaned over noisy images.

    alpha = G2 / (2 G2 + sum_ij G3 A), G2 and G3 means of g^2 and g^3 over ``samples``
    normalised images with normal noise of deviation ``stdev``, drawn from the image's seed;
    torchcam's defaults are ours. As torchcam has it, A is there the clear image's; the maps
    that are weighted, and the gradient that alpha is multiplied by, are the last noisy image's.
    Not negative; torchcam's scaling to [0, 1] is left out. ``layer`` names the module whose
    output is read; the model's own ``cam_layer`` by default.
    Cost: ``samples`` forward and backward passes, and one forward. Source: Omeiza et al. 2019,
    "Smooth Grad-CAM++: an enhanced inference level visualization technique for deep
    convolutional neural network models".
    """

    samples: PositiveInt = 4
    stdev: PositiveFloat = 0.3

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount((self.samples + 1) * len(batch), self.samples * len(batch))

    def extractor(self, twin: Classifier, **options: object) -> Peer:
        return Peer(twin, num_samples=self.samples, std=self.stdev, **options)
