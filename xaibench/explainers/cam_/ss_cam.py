"""SS-CAM by torchcam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveFloat, PositiveInt
from torchcam import methods as package

from xaibench.engine import Batch
from xaibench.explainers.base import Need
from xaibench.explainers.cam_.base import TorchcamMap
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class SsCam(TorchcamMap):
    """SS-CAM: Score-CAM whose scores are means over noisy masks; relu(sum_k a_k A_k).

    a is the softmax over k of the mean, over ``samples``, of the target's logit of the
    normalised image times a mask, less that of the image. A mask is A_k scaled to [0, 1] and
    upsampled, plus normal noise of deviation ``stdev``, drawn from the image's seed. torchcam:
    35 samples, deviation 2. Not negative; torchcam's scaling to [0, 1] is left
    out. ``layer`` names the module whose output is read; the model's own ``cam_layer`` by
    default.
    Cost: ``samples`` forward passes a channel, and two. Source: Wang et al. 2020, "SS-CAM:
    smoothed Score-CAM for sharper visual feature localization".
    """

    needs: ClassVar[tuple[Need, ...]] = ("scores", "feature maps")

    samples: PositiveInt = 8
    stdev: PositiveFloat = 2.0

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        channels = model.check_feature_maps(self.layer_name(model))[0]
        return PassCount((self.samples * channels + 2) * len(batch))

    def extractor(self, twin: Classifier, **options: object) -> package.SSCAM:
        return package.SSCAM(
            twin, batch_size=twin.batch_size, num_samples=self.samples, std=self.stdev, **options
        )
