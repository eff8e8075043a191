"""The optimiser that the options name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from xaibench.training.options import TrainingOptions


def optimizer_for(
    options: TrainingOptions, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """Return AdamW, or SGD with momentum, over all the parameters.

    One that has no gradient (its stage is frozen) is left as it is, without weight decay, and has
    no state yet: so it joins in on the day when it gets its first gradient.
    """
    shared = {"lr": options.learning_rate, "weight_decay": options.weight_decay}
    if options.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **shared)
    return torch.optim.SGD(
        parameters, momentum=options.momentum, nesterov=options.nesterov, **shared
    )
