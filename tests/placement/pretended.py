"""A GPU that is not there: tensors that say ``cuda:0`` and hold real numbers in a CPU's memory.

``FakeTensorMode`` of torch pretends devices too, and holds no numbers. What counts masks,
superpixels or tokens reads them from numbers, and backward passes of fake tensors of ``cuda`` ask
for a driver, so that little of ours runs under it. Tensors here carry both: everything runs for
real, to the same numbers as on the CPU, and whatever a GPU would refuse raises at the place that
asked for it (``test_pretended`` holds that against fake tensors, operator by operator):

- an operator that gets a tensor of each device, unless torch takes a number from the CPU there;
- ``.numpy()``, or anything else that reads a tensor's memory.

What makes one of the two wait for the other is written down, as ``placing.Wait``: indexing by a
tensor of the CPU too, which torch allows, and which hides a copy.

Below, tensors are torch's ``meta`` (backward passes of which need no driver) and only say that they
are on a GPU; what is asked of ``cuda`` is asked of ``meta``, and filled with numbers here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from unittest import mock

import torch
from placing import CPU, MOVES, Wait, asked_at, refuse_mixed, result_is_there, waits_for
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

GPU, BELOW = torch.device("cuda", 0), torch.device("meta")
_IMPLICIT = torch._C.DispatchKey.CompositeImplicitAutograd


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
    if packet not in MOVES and there and len(there) < len(leaves):
        refuse_mixed(operator, args, leaves)
    if waits is not None and (what := waits_for(operator, args, kwargs, there)):
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
    stays = torch.device(to) != CPU if to is not None else result_is_there(packet, args, there)
    wrapped = lambda t: known[id(t)] if id(t) in known else _wrapped(t)
    return tree_map_only(Tensor, wrapped, found) if stays else found


def _wrapped(held: Tensor) -> Pretended:
    # A view of what was there before keeps its count of changes, even where no others have one.
    with torch.inference_mode(held.is_inference()):
        return Pretended(held)


def _held(tensor: Pretended) -> Tensor:
    return tensor.held


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
