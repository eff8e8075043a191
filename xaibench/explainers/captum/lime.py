"""LIME with captum's own choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from captum._utils.models.linear_model import SkLearnLasso
from captum.attr import Lime as Peer
from captum.attr._core.lime import get_exp_kernel_similarity_function
from pydantic import Field, NonNegativeFloat, PositiveFloat

from xaibench.engine import Batch, fill_images
from xaibench.engine.seeding import seeded
from xaibench.explainers.captum.base import (
    Attributions,
    RegionAttribution,
    score_function,
)
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Lime(RegionAttribution):
    """Coefficients of a lasso regression of the score on which superpixels are kept, signed.

    Each superpixel is kept with probability 1/2 in each of ``samples`` copies, weighted by
    exp(-d^2 / (2 kernel_width^2)), d the cosine distance of the copy from the image. captum: 50
    samples, ``alpha`` 0.01 (which finds nothing where a probability moves by less), kernel width 1,
    black, each number of the image a feature. ``lime`` is the lime package's.
    Cost: ``samples`` passes. Source: Ribeiro et al. 2016, "Why should I trust you?", equation 1.
    """

    samples: Annotated[int, Field(ge=2)] = 100
    alpha: NonNegativeFloat = 0.0001
    kernel_width: PositiveFloat = 1.0

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(self.samples * len(batch), 0)

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        peer = Peer(
            score_function(model, self.space),
            interpretable_model=SkLearnLasso(alpha=self.alpha),
            similarity_func=get_exp_kernel_similarity_function("cosine", self.kernel_width),
        )
        with seeded(int(batch.seeds), model.device):
            return peer.attribute(
                batch.images,
                baselines=fill_images(batch, self.baseline),
                feature_mask=batch.segments[:, None],
                additional_forward_args=(batch.targets,),
                n_samples=self.samples,
                perturbations_per_eval=model.batch_size,
            )
