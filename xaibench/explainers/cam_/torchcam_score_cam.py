"""Score-CAM by torchcam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torchcam.methods import ScoreCAM as Peer

from xaibench.engine import Batch
from xaibench.explainers.base import Need
from xaibench.explainers.cam_.base import TorchcamMap
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class TorchcamScoreCam(TorchcamMap):
    """Score-CAM by torchcam: relu(sum_k a_k A_k), a the softmax over k of rises of the score.

    The target's logit of the normalised image times A_k, scaled to [0, 1] and then upsampled,
    less that of the image. grad-cam's (``cam.score_cam``) upsamples with corners aligned, and
    scales after. Not negative; torchcam's scaling to [0, 1] is left out. ``layer`` names the
    module whose output is read; the model's own ``cam_layer`` by default.
    Cost: a forward pass a channel, and two. Source: Wang et al. 2020, "Score-CAM:
    score-weighted visual explanations for convolutional neural networks", algorithm 1.
    """

    needs: ClassVar[tuple[Need, ...]] = ("scores", "feature maps")

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        channels = model.check_feature_maps(self.layer_name(model))[0]
        return PassCount((channels + 2) * len(batch))

    def extractor(self, twin: Classifier, **options: object) -> Peer:
        return Peer(twin, batch_size=twin.batch_size, **options)
