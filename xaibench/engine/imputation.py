"""Imputation: missing pixels that are each the weighted mean of their neighbours, all at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from xaibench.engine.batch import Pixels

_WEIGHTS = {
    (dy, dx): 1 / 12 if dy and dx else 1 / 6 for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx
}
"""Offset of a neighbour (down, right) -> its weight: a straight one counts twice a diagonal one."""

_TOLERANCE = 1e-8  # of the residual, relative to the right-hand side
_MOST_ITERATIONS = 1000
_DAMPING = 0.8
_OVERCORRECTION = 1.8


def impute(
    images: Pixels,
    missing: Bool[Tensor, "batch height width"],
    fallback: Float[Tensor, "batch channel"],
) -> Float[Tensor, "batch channel height width"]:
    """Return the images with each missing pixel the weighted mean of its neighbours, float64.

    Neighbours are the up to eight pixels around it, straight ones of weight 1/6, diagonal ones of
    1/12; at a border the weights of those that are there are scaled to add up to 1. Neighbours may
    be missing too, so that the pixels of an image are one system of linear equations. It is solved
    for all images and channels together, on their device, by conjugate gradients with a multigrid
    preconditioner, to a residual of 1e-8 of the right-hand side.

    Args:
        fallback: what an image becomes that misses every pixel, which the equations leave open.

    Source: Rong et al. 2022, "A consistent and efficient evaluation strategy for attribution
    methods", section 4.2, equation 3, with the weights of its code.
    """
    unknown = missing[:, None].double()
    known = images.double() * (1 - unknown)
    gone = missing.flatten(1).all(1)
    # Nothing is solved where nothing, or everything, is missing.
    grid = _Grid.of(unknown * ~gone[:, None, None, None])
    solved = _solve(grid, _neighbour_sum(known) * unknown)
    nothing = fallback.double()[..., None, None]
    filled = torch.where(gone[:, None, None, None], nothing, solved)
    return torch.where(missing[:, None], filled, images.double())


def _neighbour_sum(values: Float[Tensor, "batch channel height width"]) -> Tensor:
    """Return the weighted sum of each pixel's neighbours, nothing beyond the border."""
    padded = F.pad(values, (1, 1, 1, 1))
    total = torch.zeros_like(values)
    for offset, weight in _WEIGHTS.items():
        total.add_(_shifted(padded, offset), alpha=weight)
    return total


def _shifted(padded: Tensor, offset: tuple[int, int]) -> Tensor:
    """Return each pixel's neighbour at an offset, of an image padded by one pixel."""
    (dy, dx), (height, width) = offset, (side - 2 for side in padded.shape[-2:])
    return padded[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]


@dataclass(frozen=True)
class _Grid:
    """A system on a grid: conductances between neighbours, and from each pixel to what is known.

    Attributes:
        edges: offset -> conductance to that neighbour; 0 where one of both is no unknown.
        ground: conductance to all known neighbours together.
        diagonal: the sum of all of a pixel's conductances.
    """

    edges: dict[tuple[int, int], Tensor]
    ground: Tensor
    diagonal: Tensor

    @classmethod
    def of(cls, unknown: Float[Tensor, "batch 1 height width"]) -> _Grid:
        padded = F.pad(unknown, (1, 1, 1, 1))
        edges = {at: w * unknown * _shifted(padded, at) for at, w in _WEIGHTS.items()}
        return cls._made(edges, _neighbour_sum(1 - unknown) * unknown)

    @classmethod
    def _made(cls, edges: dict[tuple[int, int], Tensor], ground: Tensor) -> _Grid:
        return cls(edges, ground, ground + sum(edges.values()))

    def times(self, x: Tensor) -> Tensor:
        """Return the matrix times a vector for each image and channel."""
        padded, product = F.pad(x, (1, 1, 1, 1)), self.diagonal * x
        for offset, conductance in self.edges.items():
            product.addcmul_(conductance, _shifted(padded, offset), value=-1)
        return product

    def coarser(self) -> _Grid:
        """Return the system of squares of 2 x 2 pixels that have one value each (Galerkin's)."""
        ground = sum(_corner(self.ground, y, x) for y in (0, 1) for x in (0, 1))
        edges = {offset: torch.zeros_like(ground) for offset in _WEIGHTS}
        for (dy, dx), conductance in self.edges.items():
            for y in (0, 1):
                for x in (0, 1):
                    offset = ((y + dy) // 2, (x + dx) // 2)
                    if offset != (0, 0):  # an edge within a square carries nothing
                        edges[offset] += _corner(conductance, y, x)
        return self._made(edges, ground)

    def single(self) -> _Grid:
        """Return the same in single precision."""
        edges = {offset: conductance.float() for offset, conductance in self.edges.items()}
        return _Grid(edges, self.ground.float(), self.diagonal.float())


def _corner(values: Tensor, y: int, x: int) -> Tensor:
    """Return one pixel of each square of 2 x 2; 0 beyond an odd side."""
    height, width = values.shape[-2:]
    return F.pad(values, (0, width % 2, 0, height % 2))[..., y::2, x::2]


def _solve(grid: _Grid, right: Tensor) -> Tensor:
    """Return x with grid x = right for each image and channel, by preconditioned gradients."""
    levels = [grid.single()]
    while max(levels[-1].ground.shape[-2:]) > 1:
        levels.append(levels[-1].coarser())
    inverses = [torch.where(g.diagonal > 0, 1 / g.diagonal, 0.0) for g in levels]
    dot = lambda a, b: (a * b).sum((2, 3), keepdim=True)
    least = (_TOLERANCE**2) * dot(right, right)
    x, residual = torch.zeros_like(right), right.clone()
    direction, before = torch.zeros_like(right), torch.ones_like(least)
    for step in range(_MOST_ITERATIONS):
        running = dot(residual, residual) > least
        if step % 4 == 0 and not running.any():  # asked seldom: the answer waits for the device
            break
        z = _cycle(levels, inverses, 0, residual.float()).double()
        rho = dot(residual, z)
        # An image that is solved stays as it is, whatever the others still need.
        direction = torch.where(running, z + rho / before * direction, 0.0)
        image = grid.times(direction)
        alpha = torch.where(running, rho / dot(direction, image), 0.0)
        x, residual = x + alpha * direction, residual - alpha * image
        before = torch.where(running, rho, 1.0)
    return x


def _cycle(levels: list[_Grid], inverses: list[Tensor], at: int, right: Tensor) -> Tensor:
    """Return an approximate solution by a V-cycle, the same operator whatever the right side."""
    grid, smooth = levels[at], inverses[at] * _DAMPING
    if at == len(levels) - 1:
        return inverses[at] * right
    x = smooth * right
    left = right - grid.times(x)
    below = sum(_corner(left, dy, dx) for dy in (0, 1) for dx in (0, 1))
    coarse = _cycle(levels, inverses, at + 1, below)
    spread = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    # Values that are constant in a square make the coarse system too stiff (Braess 1995).
    x = x + _OVERCORRECTION * spread[..., : right.shape[2], : right.shape[3]]
    return x + smooth * (right - grid.times(x))
