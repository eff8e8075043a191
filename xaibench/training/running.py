"""What training has seen since its last validation."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from xaibench.models.base import Classifier
from xaibench.training.evaluate import Figures, figures


class Running:
    """Loss, logits and seconds since the last validation, each drawn image once.

    The images are as they were trained on, augmented and by the weights of their step. It is
    saved and loaded with the state of training.
    """

    def __init__(self, device: torch.device) -> None:
        # On the device: reading a loss at every step would make a GPU wait for the CPU.
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.clear()

    def clear(self) -> None:
        self._loss_sum.zero_()
        self._logits: list[Tensor] = []
        self._rows: list[Tensor] = []
        self.images, self.seconds = 0, 0.0

    def add(
        self,
        loss: Float[Tensor, ""],
        logits: Float[Tensor, "batch output"],
        rows: Int[Tensor, " batch"],
    ) -> None:
        """Take in a step: its mean loss, and the logits of the training images ``rows``."""
        self._loss_sum += loss.detach().double() * len(rows)
        self._logits.append(logits.detach())
        self._rows.append(rows)
        self.images += len(rows)

    def figures(self, model: Classifier, labels: Shaped[Tensor, "n *labels"]) -> Figures:
        """Return the mean loss, and what the logits are worth by the labels of all ``n`` images."""
        found = figures(model, torch.cat(self._logits).cpu(), labels[torch.cat(self._rows)])
        return Figures(**found | {"loss": self._loss_sum.item() / self.images})

    def state_dict(self) -> dict[str, object]:
        joined = lambda parts: torch.cat(parts).cpu() if parts else None
        return {
            "loss_sum": self._loss_sum.item(),
            "logits": joined(self._logits),
            "rows": joined(self._rows),
            "images": self.images,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        self._loss_sum.fill_(state["loss_sum"])
        listed = lambda tensor, device: [] if tensor is None else [tensor.to(device)]
        self._logits = listed(state["logits"], self._loss_sum.device)
        self._rows = listed(state["rows"], torch.device("cpu"))
        self.images, self.seconds = state["images"], state["seconds"]
