"""The loss of each head, in nats (classification) or squared units (regression)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from xaibench.types import Head

Loss = Callable[[Float[Tensor, "batch output"], Shaped[Tensor, "batch *labels"]], Float[Tensor, ""]]


def loss_for(head: Head, pos_weight: Float[Tensor, " output"] | None = None) -> Loss:
    """Return the loss ``(logits, labels) -> scalar`` in [0, inf) that fits a head.

    ``softmax``: cross-entropy with integer labels. ``single_logit`` and ``multilabel``: binary
    cross-entropy with logits. ``regression``: squared error. The last three take the mean over
    the labels that are there: one that is NaN adds nothing to the loss or to any gradient, and
    a batch without any label has loss 0.

    Args:
        pos_weight: of each output, for a binary cross-entropy: the factor of its term
            ``-y log(sigma(z))``. The mean is still over labels, not over weights.
    """
    binary = partial(_binary_cross_entropy, pos_weight=pos_weight)
    return {
        "softmax": _cross_entropy,
        "single_logit": binary,
        "multilabel": binary,
        "regression": _squared_error,
    }[head]


def _cross_entropy(
    logits: Float[Tensor, "batch output"], labels: Shaped[Tensor, " batch"]
) -> Float[Tensor, ""]:
    return F.cross_entropy(logits, labels.long())


def _binary_cross_entropy(
    logits: Float[Tensor, "batch output"],
    labels: Shaped[Tensor, "batch *labels"],
    pos_weight: Float[Tensor, " output"] | None,
) -> Float[Tensor, ""]:
    weight = None if pos_weight is None else pos_weight.to(logits)
    elementwise = partial(F.binary_cross_entropy_with_logits, pos_weight=weight)
    return _mean_of_present(elementwise, logits, labels)


def _squared_error(
    logits: Float[Tensor, "batch output"], labels: Shaped[Tensor, "batch *labels"]
) -> Float[Tensor, ""]:
    return _mean_of_present(F.mse_loss, logits, labels)


def _mean_of_present(
    elementwise: Callable[..., Tensor],
    logits: Float[Tensor, "batch output"],
    labels: Shaped[Tensor, "batch *labels"],
) -> Float[Tensor, ""]:
    labels = labels.reshape(logits.shape).to(logits.dtype)
    missing = labels.isnan()
    # Both sides are filled before the loss: 0 * NaN in the backward pass would still be NaN.
    losses = elementwise(
        logits.masked_fill(missing, 0), labels.masked_fill(missing, 0), reduction="none"
    )
    return losses.masked_fill(missing, 0).sum() / (~missing).sum().clamp(min=1)
