"""A Python file of a user's as a module, found by its place and run once for what it holds."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def module_of(path: Path, room: str) -> ModuleType:
    """Return a file as a module ``ROOM_PLACE.STEM``, whose name no other file has.

    The same module as before where the file is as it was: of one class, configs are equal. What
    the file raises is passed on.
    """
    source = hashlib.sha256(path.read_bytes()).hexdigest()
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"{room}_{place}.{path.stem}"
    known = sys.modules.get(name)
    if known is not None and known.__source__ == source:
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    module.__source__ = source
    sys.modules[name] = module  # dataclasses look their module up by name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
