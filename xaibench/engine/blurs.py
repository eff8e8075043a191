"""Gaussian blurs of many strengths, each image of a batch with its own."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from xaibench.engine.gradients import PairImages

Border = Literal["reflect", "black"]
"""How an image goes on beyond its border: mirrored, the outermost pixel first; or with zeros."""
_TRUNCATE = 4.0


def blur_matrices(
    sigmas: Float[Tensor, " strength"], side: int, border: Border
) -> Float[Tensor, "strength side side"]:
    """Return the matrices that blur a line of ``side`` pixels, float32.

    The kernel of ``scipy.ndimage.gaussian_filter``: cut at the whole pixel nearest to 4 sigma, and
    scaled to a sum of 1; sigma 0 leaves the line as it is.
    """
    sigmas = sigmas.double()[:, None]
    reach = int(_TRUNCATE * float(sigmas.max()) + 0.5)
    steps = torch.arange(reach + 2, device=sigmas.device, dtype=torch.float64)
    # The last column stays 0: it is what lies beyond the kernel.
    within = steps <= (_TRUNCATE * sigmas + 0.5).floor().clamp(max=reach)
    kernel = torch.exp(-0.5 * (steps / sigmas.clamp_min(1e-3)).square()) * within
    kernel = kernel / (2 * kernel.sum(1, keepdim=True) - kernel[:, :1])
    pixel = torch.arange(side, device=sigmas.device)
    own, other = pixel[:, None], pixel[None]
    at = lambda where: kernel[:, (own - where).abs().clamp(max=reach + 1)]
    if border == "black":
        return at(other).float()
    total = kernel.new_zeros(len(sigmas), side, side)
    for mirror in range(-_mirrors(reach, side), _mirrors(reach, side) + 1):
        total += at(other + 2 * side * mirror) + at(-other - 1 + 2 * side * mirror)
    return total.float()


def _mirrors(reach: int, side: int) -> int:
    return -(-(reach + side) // (2 * side))


def blurred(
    images: PairImages,
    rows: Float[Tensor, "pair height height"],
    columns: Float[Tensor, "pair width width"],
) -> PairImages:
    """Return each image blurred along both axes by its own matrices."""
    return rows[:, None] @ images @ columns.mT[:, None]
