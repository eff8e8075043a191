"""What belongs to the whole process, and which no plugin may leave changed."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

_OPEN_FILES = Path("/proc/self/fd")


@dataclass(frozen=True)
class Setting:
    """Something global.

    Attributes:
        promise: the check that tells of it.
        put: takes what ``get`` gave.
        values: under which a plugin is tried, one after the other, so that one that always sets
            the same value is seen by one of the two; None: as it is.
    """

    promise: str
    what: str
    get: Callable[[], object]
    put: Callable[[object], object]
    values: tuple[object, object] | None = None


RANDOM = "leaves the global random generators as found"
FILTERS = "leaves the warnings filters as found"
FILES = "leaves no file open"
_FLAGS = "leaves flags of precision and determinism as found"
_PLACE = "leaves environment and working folder as found"


def _numpy_state() -> tuple:
    name, keys, *rest = np.random.get_state()
    return name, keys.tobytes(), *rest


def _put_numpy_state(state: tuple) -> None:
    np.random.set_state((state[0], np.frombuffer(state[1], np.uint32), *state[2:]))


def _put_torch_state(state: bytes) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _put_environment(values: dict[str, str]) -> None:
    if dict(os.environ) != values:
        os.environ.clear()
        os.environ.update(values)


def _flag(name: str, place: object) -> Setting:
    get, put = lambda: getattr(place, name), lambda value: setattr(place, name, value)
    return Setting(_FLAGS, f"torch.backends.cudnn.{name}", get, put, (False, True))


_GENERATORS = (
    Setting(
        RANDOM,
        "the generator of torch",
        lambda: torch.get_rng_state().numpy().tobytes(),
        _put_torch_state,
    ),
    Setting(RANDOM, "the generator of numpy.random", _numpy_state, _put_numpy_state),
    Setting(RANDOM, "the generator of random", random.getstate, random.setstate),
)
_SETTINGS = (
    Setting(
        "leaves grad mode as found",
        "torch.is_grad_enabled()",
        torch.is_grad_enabled,
        torch.set_grad_enabled,
    ),
    Setting(
        "leaves grad mode as found",
        "torch.is_inference_mode_enabled()",
        torch.is_inference_mode_enabled,
        lambda value: None,
    ),
    Setting(
        "leaves the default dtype as found",
        "torch.get_default_dtype()",
        torch.get_default_dtype,
        torch.set_default_dtype,
    ),
    Setting(
        "leaves the number of threads as found",
        "torch.get_num_threads()",
        torch.get_num_threads,
        torch.set_num_threads,
        (2, 1),
    ),
    Setting(
        _FLAGS,
        "torch.are_deterministic_algorithms_enabled()",
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    _flag("benchmark", torch.backends.cudnn),
    _flag("deterministic", torch.backends.cudnn),
    _flag("allow_tf32", torch.backends.cudnn),
    Setting(
        _FLAGS,
        "torch.get_float32_matmul_precision()",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    Setting(_FLAGS, "numpy.geterr()", np.geterr, lambda value: np.seterr(**value)),
    Setting(_PLACE, "os.environ", lambda: dict(os.environ), _put_environment),
    Setting(_PLACE, "the working folder", os.getcwd, os.chdir),
)
PROMISES = tuple(
    dict.fromkeys([RANDOM, *(setting.promise for setting in _SETTINGS), FILTERS, FILES])
)


@contextmanager
def kept() -> Iterator[None]:
    """Put back all that is global, but for random generators, so that one fault is told once.

    Generators go on, since a plugin that draws from them must not draw the same twice.
    """
    before = [(setting, setting.get()) for setting in _SETTINGS]
    try:
        yield
    finally:
        for setting, value in before:
            if setting.get() != value:
                setting.put(value)


def changes(act: Callable[[], object], *, generators: bool = True) -> dict[str, str]:
    """Return promise -> what an act leaves changed; it is done twice, under different settings.

    Whatever it changes when it is first done at all (what libraries do when they are imported)
    must be done with before.

    Args:
        generators: whether it must leave torch's random generator alone, too.
    """
    found: dict[str, str] = {}
    ends = []
    generated = _GENERATORS if generators else _GENERATORS[1:]
    if _types_are_enforced():
        generated = generated[:-1]
    outside = [(setting, setting.get()) for setting in (*_GENERATORS, *_SETTINGS)]
    try:
        for turn in (0, 1):
            _seed(7919 + turn)
            for setting in _SETTINGS:
                if setting.values:
                    setting.put(setting.values[turn])
            found = _changed_by(act, (*generated, *_SETTINGS)) | found
            ends.append(random.getstate())
    finally:
        for setting, value in outside:
            if setting.get() != value:
                setting.put(value)
    if _types_are_enforced() and ends[0] == ends[1]:
        found[RANDOM] = "the generator of random was seeded; leave it alone"
    return found


def _changed_by(act: Callable[[], object], settings: tuple[Setting, ...]) -> dict[str, str]:
    found = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="a filter of the check's own")
        filters = list(warnings.filters)
        before, files = [setting.get() for setting in settings], _open_files()
        act()
        for setting, value in zip(settings, before, strict=True):
            if (now := setting.get()) != value:
                told = "" if setting.promise in (RANDOM, _PLACE) else f" from {value} to {now}"
                found[setting.promise] = f"{setting.what} was changed{told}; put it back"
        if warnings.filters != filters:
            found[FILTERS] = "warnings.filters was changed; use `with warnings.catch_warnings():`"
        opened = [_target(number) for number in _open_files() - files]
        if opened:
            found[FILES] = f"left open: {', '.join(sorted(opened))}; use `with open(...)`"
    return found


def _types_are_enforced() -> bool:
    """Say whether types in signatures are, which draws from `random` what items to look at.

    Then that generator is seen to be seeded, since it ends twice in one state, but not drawn from.
    """
    return any(type(finder).__module__.startswith("jaxtyping") for finder in sys.meta_path)


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def _open_files() -> set[str]:
    """Return the numbers of open files; none where the system does not tell them."""
    if not _OPEN_FILES.is_dir():
        return set()
    return {name for name in os.listdir(_OPEN_FILES) if (_OPEN_FILES / name).exists()}


def _target(number: str) -> str:
    try:
        return os.readlink(_OPEN_FILES / number)
    except OSError:
        return f"file {number}"
