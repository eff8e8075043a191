"""shap's PartitionExplainer on an image: Owen values of a tree of rectangles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor

from xaibench.engine import Batch, Fill, fill_images, in_batches
from xaibench.explainers.shap.base import ShapExplainer, package
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register
from xaibench.types import Space


@register("explainer")
@dataclass(frozen=True)
class Partition(ShapExplainer):
    """Owen values of rectangles that are halved where they matter most, by shap; signed.

    shap's PartitionExplainer with its image masker: the image is halved again and again, each half
    is shown and hidden with the other one shown and hidden, and the half that changes the score
    most is divided next, until ``max_evals`` copies were scored; what is not divided is spread
    evenly. Sums over the image to score(x) - score(fill). ``at_once``: masks that are chosen
    before any of them is scored (the package's image examples: 50; its default: 10). 500 copies
    are the package's default and ours. Hidden pixels are the ``fill``, where its examples blur.
    Cost: ``max_evals`` forward passes, one more where it is odd. Source: Lundberg and Lee 2017, "A
    unified approach to interpreting model predictions"; Owen 1977; the shap package.
    """

    max_evals: Annotated[int, Field(ge=4)] = 500
    at_once: PositiveInt = 50
    fill: Fill = "dataset_mean"
    space: Space = "prob"

    def cost(self, model: Classifier, batch: Batch) -> PassCount | None:
        values = batch.images[0].numel()
        if self.max_evals > 2 * values:  # the tree may be at its end before
            return None
        return PassCount((self.max_evals + self.max_evals % 2) * len(batch), 0)

    def explain(self, model: Classifier, one: Batch) -> Float[Tensor, "height width"]:
        as_array = lambda images: images[0].permute(1, 2, 0).cpu().numpy()

        def scores(copies: Float[np.ndarray, "n height width channel"]) -> np.ndarray:
            images = torch.from_numpy(np.asarray(copies, np.float32)).permute(0, 3, 1, 2)
            images = images.to(one.images.device)
            found = images.new_zeros(len(images))

            def score(part: slice) -> None:
                targets = one.targets.expand(len(images[part]))
                found[part] = model.score(images[part], targets, self.space)

            with torch.no_grad():
                in_batches(model, len(images), score)
            return found.double().cpu().numpy()

        masker = package.maskers.Image(np.ascontiguousarray(as_array(fill_images(one, self.fill))))
        explained = package.PartitionExplainer(scores, masker)(
            as_array(one.images)[None],
            max_evals=self.max_evals,
            batch_size=self.at_once,
            silent=True,
        )
        return torch.from_numpy(explained.values[0]).sum(-1)
