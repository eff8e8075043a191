"""A GPU that is not there: tensors that say ``cuda:0`` and hold real numbers in a CPU's memory.

``FakeTensorMode`` of torch pretends devices too, and holds no numbers. What counts masks,
superpixels or tokens reads them from numbers, and backward passes of fake tensors of ``cuda`` ask
for a driver, so that little of ours runs under it. Tensors here carry both: everything runs for
real, to the same numbers as on the CPU, and whatever a GPU would refuse raises at the place that
asked for it (``test_pretended`` holds that against fake tensors, operator by operator):

- an operator that gets a tensor of each device, unless torch takes a number from the CPU there;
- ``.numpy()``, or anything else that reads a tensor's memory.

What makes one of the two wait for the other is written down: see ``Wait``. Among it is indexing by
a tensor of the CPU, which torch allows, and which hides a copy.

Below, tensors are torch's ``meta`` (backward passes of which need no driver) and only say that they
are on a GPU; what is asked of ``cuda`` is asked of ``meta``, and filled with numbers here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

ROOT = Path(__file__).resolve().parents[2]
GPU, BELOW, CPU = torch.device("cuda", 0), torch.device("meta"), torch.device("cpu")
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
_TAKES_NUMBERS = {aten.fill, aten.fill_, aten.masked_fill, aten.masked_fill_}
_IMPLICIT = torch._C.DispatchKey.CompositeImplicitAutograd
_MOVES = {aten._to_copy, aten.copy_, aten.copy}


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
        if path.is_relative_to(ROOT) and path != Path(__file__) and ".venv" not in path.parts:
            return f"{path.relative_to(ROOT)}:{frame.f_code.co_name}", frame.f_lineno
        frame = frame.f_back
    return "elsewhere", 0


class Pretended(Tensor):
    """A tensor that says it is on a GPU, and holds its numbers in ``held``."""

    @staticmethod
    def __new__(cls, held: Tensor) -> Pretended:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=BELOW,
        )

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def _set_data(self, data: Pretended) -> None:
        Tensor.data.__set__(self, data)
        self.held = data.held

    data = property(lambda self: Tensor.data.__get__(self), _set_data)
    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self) -> str:
        return f"Pretended({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        return _run(operator, args, kwargs or {}, None)


def _run(operator, args: tuple, kwargs: dict, waits: list[Wait] | None):
    leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [leaf for leaf in leaves if isinstance(leaf, Pretended)]
    packet, to = operator.overloadpacket, kwargs.get("device")
    if packet not in _MOVES and there and len(there) < len(leaves):
        _refuse_mixed(operator, leaves)
    if waits is not None and (what := _waits_for(operator, args, kwargs, there)):
        where, line = asked_at()
        waits.append(Wait(what, where, line, leaves[0].numel()))
    if to is not None:
        kwargs = kwargs | {"device": CPU}
    known = {id(leaf.held): leaf for leaf in there}
    shapes = [leaf.shape for leaf in there]
    found = operator(
        *tree_map_only(Pretended, _held, args), **tree_map_only(Pretended, _held, kwargs)
    )
    if any(leaf.held.shape != shape for leaf, shape in zip(there, shapes, strict=True)):
        raise NotImplementedError(f"{operator} changes the shape of its input in place")
    stays = torch.device(to) != CPU if to is not None else _result_there(packet, args, there)
    wrapped = lambda t: known[id(t)] if id(t) in known else _wrapped(t)
    return tree_map_only(Tensor, wrapped, found) if stays else found


def _wrapped(held: Tensor) -> Pretended:
    # A view of what was there before keeps its count of changes, even where no others have one.
    with torch.inference_mode(held.is_inference()):
        return Pretended(held)


def _held(tensor: Pretended) -> Tensor:
    return tensor.held


def _result_there(packet, args: tuple, there: list[Pretended]) -> bool:
    # What is written into says where the result is, as the CPU's copy of a GPU's numbers.
    return isinstance(args[0], Pretended) if packet in _MOVES else bool(there)


def _waits_for(operator, args: tuple, kwargs: dict, there: list[Pretended]) -> str | None:
    packet = operator.overloadpacket
    if packet in _MOVES:
        source = args[0] if packet is aten._to_copy else args[1]
        to, without_waiting = kwargs.get("device"), _without_waiting(packet, args, kwargs)
        begins, ends = isinstance(source, Pretended), isinstance(args[0], Pretended)
        if to is not None:
            ends = torch.device(to) != CPU
        if begins == ends or (ends and without_waiting):
            return None
        return "gpu" if ends else "cpu"
    if not there:
        return None
    if packet in _INDEXES:
        at = [index for index in args[1] if index is not None]
        if not all(isinstance(index, Pretended) for index in at):
            return "gpu"
        return "mask" if any(i.dtype in (torch.bool, torch.uint8) for i in at) else None
    if operator is aten.repeat_interleave.Tensor and kwargs.get("output_size") is None:
        return "repeat_interleave"
    return _WAITS.get(packet)


def _without_waiting(packet, args: tuple, kwargs: dict) -> bool:
    return kwargs.get("non_blocking", False) or (
        packet is not aten._to_copy and args[2:] == (True,)
    )


def _refuse_mixed(operator, leaves: list[Tensor]) -> None:
    strays = [leaf for leaf in leaves if not isinstance(leaf, Pretended)]
    packet = operator.overloadpacket
    if packet in _INDEXES and isinstance(leaves[0], Pretended):  # torch copies, and hides it
        return
    numbers = torch.Tag.pointwise in operator.tags or packet in _TAKES_NUMBERS
    if numbers and all(leaf.ndim == 0 for leaf in strays):
        return
    where, line = asked_at()
    shapes = ", ".join(str(tuple(leaf.shape)) for leaf in strays)
    raise PlacementError(
        f"{operator} got tensors of cuda:0 and cpu (of shape {shapes}) at {where}, line {line}"
    )


@cache
def _made_of_others(operator) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), _IMPLICIT)


class _Operators(TorchDispatchMode):
    """Sees every operator, those too that make tensors out of nothing."""

    def __init__(self, waits: list[Wait]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        # Without gradients torch hands over whole what it is made of: looked at piece by piece.
        if _made_of_others(operator):
            with self:
                return operator._op_dk(_IMPLICIT, *args, **(kwargs or {}))
        return _run(operator, args, kwargs or {}, self.waits)


class _Calls(TorchFunctionMode):
    """Asks ``meta`` for what is asked of ``cuda``, in which torch looks for a driver at once."""

    def __init__(self, waits: list[Wait]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, call, types, args=(), kwargs=None):
        if call is torch.device:  # a name, of which nothing is made yet
            return call(*args, **(kwargs or {}))
        args, kwargs = tree_map(_below, (args, kwargs or {}))
        if call is Tensor.cuda:
            return args[0].to(BELOW)
        if call is Tensor.tolist and isinstance(args[0], Pretended):
            return args[0].to(CPU).tolist()
        makes = call in (torch.tensor, torch.as_tensor, torch.asarray)
        if makes and kwargs.get("device") == BELOW and not isinstance(args[0], Tensor):
            return call(*args, **kwargs | {"device": CPU}).to(BELOW)
        if call is Tensor.new_tensor and isinstance(args[0], Pretended):
            kwargs = {"dtype": args[0].dtype} | kwargs
            return torch.tensor(*args[1:], **kwargs | {"device": CPU}).to(BELOW)
        return call(*args, **kwargs)


def _below(leaf: object) -> object:
    named = isinstance(leaf, str) and leaf.split(":")[0] == "cuda"
    return BELOW if named or (isinstance(leaf, torch.device) and leaf.type == "cuda") else leaf


@dataclass
class Device:
    """What was seen of the pretended device."""

    waits: list[Wait] = field(default_factory=list)


@contextmanager
def pretended_gpu() -> Iterator[Device]:
    """Pretend that there is a GPU; yields what is seen of it."""
    seen = Device()
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    answers = {
        "synchronize": lambda device=None: None,
        "current_device": lambda: 0,
        "get_device_capability": lambda device=None: (9, 0),
        "get_rng_state": lambda device=None: torch.empty(0),
        "set_rng_state": lambda state, device=None: None,
        "manual_seed": lambda seed: None,
        "device": lambda device: nullcontext(),
    }
    try:
        with ExitStack() as stack:
            for name, answer in answers.items():
                stack.enter_context(mock.patch.object(torch.cuda, name, answer))
            # On the class: images are read in a thread, which no mode of this one reaches.
            stack.enter_context(mock.patch.object(Tensor, "pin_memory", lambda self: self))
            stack.enter_context(_Operators(seen.waits))
            stack.enter_context(_Calls(seen.waits))
            yield seen
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)
