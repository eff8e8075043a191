"""What stands in a checkpoint beside tensors, and what is put in its place: nothing of it is run.

Trainers keep options, paths and whole classes beside the weights. `torch.load` with
``weights_only`` looks every name up in a list and nowhere else; an inert object in the place of a
foreign class lets the weights beside it be read, without the class being imported.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import OrderedDict
from collections.abc import Iterable

import numpy as np
import torch

from xaibench.networks.pickled import HIDDEN

NAMED = torch.__version__ >= "2.6"
"""Whether `torch.load` lets an object stand under the name of another; torch 2.5 reads less."""

# What tensors, and the plain values beside them, are pickled by.
_DATA = re.compile(
    r"torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_\w+|torch\.storage\.\w*Storage"
    r"|torch\.(\w*Storage|Size|Tensor|device|[a-z]*(int|float|complex)\d+\w*|bool|half|double|long)"
    r"|torch\.nn\.parameter\.(Parameter|Buffer)|torch\.serialization\._get_layout"
    r"|collections\.(OrderedDict|Counter)|_codecs\.encode|argparse\.Namespace"
    r"|numpy\.dtype|numpy\.dtypes\.\w+|numpy\._?core\.multiarray\.scalar"
    r"|builtins\.(set|bytearray|complex)"
)
# Values of libraries that are well known: nobody misses them, and no weights are inside.
_VALUES = re.compile(
    r"builtins\.(frozenset|slice|range|dict|list|tuple|int|float|str|bytes|bool|object)"
    r"|pathlib\.(_local\.)?\w*Path|copyreg\._reconstructor"
    r"|(datetime|decimal|fractions|uuid|enum|typing|types\.SimpleNamespace|functools\.partial|numpy)\b.*"
    r"|torch\.torch_version\.TorchVersion"
)
# Dictionaries under another class: their items are options.
_OPTIONS = re.compile(
    r"(lightning|pytorch_lightning|lightning_fabric)\.([\w.]+\.)?AttributeDict"
    r"|yacs\.config\.CfgNode|easydict\.EasyDict|addict\.addict\.Dict|mmengine\.config\.\w+\.ConfigDict"
)
# What nobody keeps beside weights but to have it run.
_HOSTILE = re.compile(
    r"(os|_?io|subprocess|sys|shutil|socket|importlib|runpy|pty|ctypes|pip|webbrowser|urllib)\..*"
    r"|builtins\.(eval|exec|compile|open|__import__|getattr|setattr)|copyreg extension .*"
    + f"|{HIDDEN}"
)


class Unread:
    """Stands where a checkpoint has an object of a class that is not looked at; holds nothing."""

    def __new__(cls, *_: object) -> Unread:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def _dictionary(*_: object) -> dict:
    return {}


def _list(*_: object) -> list:
    return []


# What is filled item by item, which `torch.load` does of its own kinds alone.
_FILLED = {"collections.defaultdict": _dictionary, "collections.deque": _list}


def foreign(names: Iterable[str]) -> list[str]:
    """Return those of a pickle's names that are neither tensors' nor plain values'."""
    known = (_DATA, _VALUES, _OPTIONS)
    plain = lambda name: name in _FILLED or any(kind.fullmatch(name) for kind in known)
    return [name for name in names if not plain(name)]


def is_code(name: str) -> bool:
    """Say whether a name is refused, not only left unread: what is there to be run.

    All of the standard library counts that holds no plain values; a class of another package is
    never imported, and does nothing.
    """
    return is_hostile(name) or name.partition(".")[0] in sys.stdlib_module_names


def is_hostile(name: str) -> bool:
    """Say whether a name has no place in any checkpoint, such as ``os.system``."""
    return _HOSTILE.fullmatch(name) is not None


def safe_globals(names: Iterable[str]) -> list[object]:
    """Return what `torch.load` may take for the names that a file asks for."""
    names = tuple(names)
    unread = [n for n in names if _VALUES.fullmatch(n) and not _DATA.fullmatch(n)]
    unread += [n for n in foreign(names) if not is_code(n)]
    options = [n for n in names if _OPTIONS.fullmatch(n)]
    # Of argparse, and of NumPy: scores and epochs are numbers of its kinds. Nothing else is made.
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefdSU"}
    scalar = type(np.float64(0)).__reduce__(np.float64(0))[0]
    if not NAMED:
        return [argparse.Namespace, np.dtype, *kinds, scalar]
    # As NumPy 1 called it, and as NumPy 2 does.
    scalars = [(scalar, f"numpy.{room}.multiarray.scalar") for room in ("core", "_core")]
    stand_ins = [*((Unread, n) for n in unread), *((OrderedDict, n) for n in options)]
    stand_ins += [(made, name) for name, made in _FILLED.items()]
    return [argparse.Namespace, np.dtype, *kinds, *scalars, *stand_ins]
