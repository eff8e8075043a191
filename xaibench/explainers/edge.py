"""The edges of the image: what an explainer looks like that draws outlines and asks no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from xaibench.engine import Batch, Maps
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Edge(Explainer):
    """Control: Sobel gradient magnitude of the grey image. No passes.

    Grey is the mean of the channels. sqrt((d_x^2 + d_y^2) / 2), where d is the difference of a
    pixel's two neighbours along an axis, smoothed across by 1/4, 1/2, 1/4. At the border the image
    goes on mirrored, its outermost pixel first. In [0, 1], on the scale of
    ``skimage.filters.sobel``: a ramp that rises by s a pixel gives sqrt(2) s.
    Source: Adebayo et al. 2018, "Sanity checks for saliency maps", which compare with an edge
    detector; the operator is Sobel's.
    """

    control: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ()

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount()

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        grey = batch.images.mean(1, keepdim=True)
        # Of a mirror that repeats the outermost pixel the first one beyond it is that pixel.
        framed = F.pad(grey, (1, 1, 1, 1), mode="replicate")
        difference = grey.new_tensor([-1.0, 0.0, 1.0])
        smoothing = grey.new_tensor([0.25, 0.5, 0.25])
        along_y = difference[:, None] * smoothing[None]
        kernels = torch.stack([along_y, along_y.T])[:, None]
        return F.conv2d(framed, kernels).square().sum(1).div(2).sqrt()
