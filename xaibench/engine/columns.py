"""A classifier as other libraries take it: images in, a column a class out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xaibench.models.base import Classifier
from xaibench.types import Space


class Columns(nn.Module):
    """Images in [0, 1] in, a column a class, label or output out, in evaluation mode.

    A single logit z has the columns of both classes: 1 - sigma(z) and sigma(z), or -z and z. Passes
    are counted by the classifier. Each image goes through alone, so that no column depends on what
    else a library has in hand, not even by rounding.
    """

    def __init__(self, model: Classifier, space: Space) -> None:
        super().__init__()
        # Not as a module of its own, whose modes and softmax layers a library might change.
        self._asked = (model, space)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        model, space = self._asked
        logits = torch.cat([model.logits(image) for image in images.split(1)])
        if space == "prob":
            return model.probabilities(logits)
        return torch.cat([-logits, logits], 1) if model.head == "single_logit" else logits
