"""The weight of positives in a binary cross-entropy, against imbalance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from xaibench.errors import UserError
from xaibench.models.base import Classifier


def positive_weight(
    option: float | Literal["balanced"] | None,
    model: Classifier,
    labels: Shaped[Tensor, "n *labels"],
    say: Callable[[str], None],
) -> Float[Tensor, " output"] | None:
    """Return the weight of each output's positives, in (0, inf), or None for no weights.

    ``balanced`` is the sum of (1 - y) over the sum of y of the training labels that are there:
    negatives / positives where labels are 0 and 1. An output that lacks either keeps weight 1,
    and ``say`` is told its name.
    """
    if option is None:
        return None
    if model.head not in ("single_logit", "multilabel"):
        raise UserError(
            f"training.pos_weight: a {model.head} head has no positives to weigh; leave it out, "
            "or use a single logit (model.single_logit: true) or several labels"
        )
    names = model.classes[1:] if model.head == "single_logit" else model.classes
    if option != "balanced":
        return torch.full((len(names),), float(option))
    columns = labels.reshape(len(labels), -1).double()
    positives, negatives = columns.nansum(0), (1 - columns).nansum(0)
    lacking = (positives == 0) | (negatives == 0)
    if lacking.any():
        without = ", ".join(n for n, lacks in zip(names, lacking.tolist(), strict=True) if lacks)
        say(f"pos_weight: 1 for {without}: the training labels lack positives or negatives of it")
    return torch.where(lacking, 1.0, negatives / positives).float()
