"""What a GPU refuses, and what makes it and the CPU wait for each other, operator by operator.

Tensors that are there have their numbers in ``held``; see ``pretended``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

ROOT, HERE = Path(__file__).resolve().parents[2], ("placing.py", "pretended.py")
CPU = torch.device("cpu")
aten = torch.ops.aten

# Operators whose result, or its shape, the CPU asks for. Indexing by a mask is among them, as is
# the look whether a matrix was singular.
_WAITS = {
    aten._local_scalar_dense: "item",
    aten.equal: "equal",
    aten.allclose: "allclose",
    aten.nonzero: "nonzero",
    aten.masked_select: "masked_select",
    aten._unique2: "unique",
    aten.unique_consecutive: "unique",
    aten.unique_dim: "unique",
    aten.bincount: "bincount",
    aten._linalg_check_errors: "linalg",
}
_INDEXES = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index, aten._index_put_impl_}
# Where torch takes a number of the CPU although the operator is not pointwise.
_TAKES_NUMBERS = {aten.fill, aten.fill_, aten.masked_fill, aten.masked_fill_, *_INDEXES}
MOVES = {aten._to_copy, aten.copy_, aten.copy}


class PlacementError(AssertionError):
    """An operator that a GPU would refuse."""


@dataclass(frozen=True)
class Wait:
    """The CPU waiting for the device, or the device for the CPU.

    Attributes:
        what: ``cpu`` (a copy to the CPU), ``gpu`` (a copy from it), ``mask`` (an index by one),
            ``item``, ``nonzero``, ``unique``...
        where: file and function that asked, as ``xaibench/engine/scores.py:packed_scores``.
        line: in that file.
        numbers: how many were copied or looked at.
    """

    what: str
    where: str
    line: int
    numbers: int

    def __str__(self) -> str:
        return f"{self.what} of {self.numbers} numbers at {self.where}, line {self.line}"


def asked_at() -> tuple[str, int]:
    """Return the innermost file and function of the project, and the line, that is running."""
    frame = sys._getframe(1)
    while frame:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path.name not in HERE and ".venv" not in path.parts:
            return f"{path.relative_to(ROOT)}:{frame.f_code.co_name}", frame.f_lineno
        frame = frame.f_back
    return "elsewhere", 0


def is_there(leaf: object) -> bool:
    return hasattr(leaf, "held")


def result_is_there(packet, args: tuple, there: list[Tensor]) -> bool:
    """Say whether what an operator gives is on the GPU, where nothing says where it is to be."""
    # What is written into says where the result is, as the CPU's copy of a GPU's numbers.
    return is_there(args[0]) if packet in MOVES else bool(there)


def waits_for(operator, args: tuple, kwargs: dict, there: list[Tensor]) -> str | None:
    """Return what makes one wait for the other (see ``Wait.what``), or None where nothing does.

    Args:
        there: those of its tensors that are on the GPU.
    """
    packet = operator.overloadpacket
    if packet in MOVES:
        source = args[0] if packet is aten._to_copy else args[1]
        to, without_waiting = kwargs.get("device"), _without_waiting(packet, args, kwargs)
        begins, ends = is_there(source), is_there(args[0])
        if to is not None:
            ends = torch.device(to) != CPU
        if begins == ends or (ends and without_waiting):
            return None
        return "gpu" if ends else "cpu"
    if not there:
        return None
    if packet in _INDEXES:
        at = [index for index in args[1] if index is not None]
        if not all(is_there(index) for index in at):
            return "gpu"
        return "mask" if any(i.dtype in (torch.bool, torch.uint8) for i in at) else None
    if operator is aten.repeat_interleave.Tensor and kwargs.get("output_size") is None:
        return "repeat_interleave"
    return _WAITS.get(packet)


def _without_waiting(packet, args: tuple, kwargs: dict) -> bool:
    return kwargs.get("non_blocking", False) or (
        packet is not aten._to_copy and args[2:] == (True,)
    )


def refuse_mixed(operator, args: tuple, leaves: list[Tensor]) -> None:
    """Raise PlacementError where a GPU would refuse an operator, some of whose tensors are there.

    Args:
        leaves: all tensors among its arguments.
    """
    packet = operator.overloadpacket
    # An index of the CPU is copied, and that is hidden: see ``waits_for``.
    copied = args[1] if packet in _INDEXES and is_there(args[0]) else ()
    strays = [leaf for leaf in leaves if not is_there(leaf) and all(leaf is not i for i in copied)]
    if not strays:
        return
    numbers = torch.Tag.pointwise in operator.tags or packet in _TAKES_NUMBERS
    if numbers and all(leaf.ndim == 0 for leaf in strays):
        return
    where, line = asked_at()
    shapes = ", ".join(str(tuple(leaf.shape)) for leaf in strays)
    raise PlacementError(
        f"{operator} got tensors of cuda:0 and cpu (of shape {shapes}) at {where}, line {line}"
    )
