"""The part of a network that training leaves as it was built, for a while or throughout."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.training.options import TrainingOptions


@dataclass(frozen=True, eq=False)
class Freezing:
    """What can be trained, and what of it is frozen until which epoch.

    Attributes:
        trainable: the network's parameters that wanted gradients when training began.
        parameters: those of ``trainable`` that are frozen.
        modules: the frozen modules. They stay in eval mode, since a BatchNorm in training mode
            would change its running statistics, and a dropout the features of fixed weights.
        epochs: how many epochs they are frozen; None for all.
    """

    trainable: tuple[nn.Parameter, ...]
    parameters: tuple[nn.Parameter, ...]
    modules: tuple[nn.Module, ...]
    epochs: int | None

    @classmethod
    def of(cls, model: Classifier, options: TrainingOptions) -> Freezing:
        """Return what the options freeze; a UserError where the model has no such stages."""
        trainable = {n: p for n, p in model.net.named_parameters() if p.requires_grad}
        inside = _inside(model, options)
        frozen = tuple(p for n, p in trainable.items() if inside(n))
        left = options.frozen_epochs == 0 or len(frozen) < len(trainable)
        if not trainable or not left:
            raise UserError(
                "training: no parameter of the model can be trained; use epochs: 0, or freeze less"
            )
        modules = tuple(m for n, m in model.net.named_modules() if inside(n))
        return cls(tuple(trainable.values()), frozen, modules, options.frozen_epochs)

    def set_modes(self, model: Classifier, epoch: int) -> None:
        """Put the model into training mode as far as it is trained in an epoch, from 0."""
        frozen = self.epochs is None or epoch < self.epochs
        model.train()
        for parameter in self.parameters:
            parameter.requires_grad_(not frozen)
        if frozen:
            for module in self.modules:
                module.training = False  # not eval(), which would reach into the head


def _inside(model: Classifier, options: TrainingOptions):
    """Return whether a module or parameter of a name is frozen."""
    chosen = options.frozen_stages
    if chosen == "backbone":
        head = model.head_module
        if head is None:
            raise UserError(
                "training.frozen_stages: backbone needs a model that names its head; "
                "use a number of stages, or 0"
            )
        return lambda name: not _within(name, head)
    if chosen > len(model.stages):
        known = "; ".join(", ".join(stage) for stage in model.stages) or "none"
        raise UserError(
            f"training.frozen_stages: {chosen} is more than the model's {len(model.stages)} "
            f"stages ({known}); use fewer, or backbone"
        )
    names = [name for stage in model.stages[:chosen] for name in stage]
    return lambda name: any(_within(name, each) for each in names)


def _within(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}.")
