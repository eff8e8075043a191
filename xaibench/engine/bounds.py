"""Parameters that make no sense for images of a size, refused before anything is trained."""

from __future__ import annotations

import math

from xaibench.errors import UserError

Size = tuple[int, int]
"""Height and width."""


def check_steps(steps: int, size: Size) -> None:
    """Raise UserError where a curve has more steps than there are pixels to replace."""
    if steps > math.prod(size):
        raise UserError(
            f"steps: {steps} are more than the {math.prod(size)} pixels of {_told(size)}; at most "
            "as many"
        )


def check_square(parameter: str, side: int, size: Size) -> None:
    """Raise UserError where a square covers all of an image, so that nothing is left to compare."""
    if side >= max(size):
        raise UserError(
            f"{parameter}: a square of {side} pixels covers all of {_told(size)}; at most "
            f"{max(size) - 1}"
        )


def check_cells(cells: int, size: Size) -> None:
    """Raise UserError where a grid has more cells along a side than there are pixels."""
    if cells > min(size):
        raise UserError(
            f"cells: {cells} along a side are more than the pixels of {_told(size)}; at most "
            f"{min(size)}"
        )


def _told(size: Size) -> str:
    return f"images of {size[0]} x {size[1]}"
