"""A callable by ``package.module:name`` or ``my_net.py:name``, and the files that define it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from torch import nn

from xaibench.errors import UserError, did_you_mean
from xaibench.registry import module_of

_FORM = "write `package.module:name`, or `my_net.py:name` for a file"


def load_factory(named: str) -> Callable[..., object]:
    """Return what a name says; a UserError where there is no such callable.

    The code at the top of the file, or of the module, is run.
    """
    place, colon, attribute = named.rpartition(":")
    if not colon or not place or not attribute:
        raise UserError(f"factory: {named!r} names no callable; {_FORM}")
    module = _of_file(Path(place)) if place.endswith(".py") else _of_module(place)
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            callables = [k for k, v in vars(module).items() if callable(v) and k[0] != "_"]
            near = did_you_mean(attribute, callables)
            raise UserError(f"factory: {place} has no {attribute!r}{near}")
        found = getattr(found, part)
    if not callable(found):
        raise UserError(f"factory: {named} is a {type(found).__name__}, no callable; {_FORM}")
    return found


def built(named: str, options: Mapping[str, object]) -> nn.Module:
    """Return the network that a factory makes with keyword options."""
    factory = load_factory(named)
    said = ", ".join(f"{key}={value!r}" for key, value in options.items())
    try:
        net = factory(**options)
    except (Exception, SystemExit) as error:  # foreign code may raise anything
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"factory: {named} with ({said}) failed: {why}") from error
    if not isinstance(net, nn.Module):
        raise UserError(
            f"factory: {named} gives a {type(net).__name__}; it must return a torch.nn.Module"
        )
    return net


def sources_of(named: str) -> tuple[Path, ...]:
    """Return the source files that decide what a factory makes: its file, or its whole package."""
    place = named.rpartition(":")[0]
    if place.endswith(".py"):
        return (Path(place),)
    top = importlib.import_module(place.partition(".")[0])
    folders = getattr(top, "__path__", None)
    if folders is None:
        return (Path(top.__file__),) if getattr(top, "__file__", None) else ()
    return tuple(sorted(path for folder in folders for path in Path(folder).rglob("*.py")))


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(
            f"factory: {path} is no file, neither beside the config nor in {Path.cwd()}"
        )
    try:
        return module_of(path, "xaibench_network")
    except (Exception, SystemExit) as error:
        raise UserError(f"factory: {path} failed to import: {_told(error)}") from error


def _of_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"factory: {name} cannot be imported: {_told(error)}; {_FORM}; a package must be "
            "installed or on PYTHONPATH"
        ) from error


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
