"""IS-CAM by torchcam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveInt
from torchcam import methods as package

from xaibench.engine import Batch
from xaibench.explainers.base import Need
from xaibench.explainers.cam_.base import TorchcamMap
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class IsCam(TorchcamMap):
    """IS-CAM: Score-CAM whose scores are means along a path of masks; relu(sum_k a_k A_k).

    a is the softmax over k of the mean, over i = 1 .. ``samples``, of the target's logit of the
    normalised image times c_i times A_k, scaled to [0, 1] and upsampled, less that of the
    image. c_i = sum of j / samples, j = 1 .. i, is above 1 from the middle of the path on.
    torchcam: 10 samples, ours, too. Not negative; torchcam's scaling to [0, 1] is left out.
    ``layer`` names the module whose output is read; the model's own ``cam_layer`` by default.
    Cost: ``samples`` forward passes a channel, and two. Source: Naidu et al. 2020, "IS-CAM:
    integrated Score-CAM for axiomatic-based explanations".
    """

    needs: ClassVar[tuple[Need, ...]] = ("scores", "feature maps")

    samples: PositiveInt = 10

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        channels = model.check_feature_maps(self.layer_name(model))[0]
        return PassCount((self.samples * channels + 2) * len(batch))

    def extractor(self, twin: Classifier, **options: object) -> package.ISCAM:
        return package.ISCAM(twin, batch_size=twin.batch_size, num_samples=self.samples, **options)
