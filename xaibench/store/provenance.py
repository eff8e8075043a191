"""What made a result: code, packages, hardware; no names of machines or users. No torch."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from xaibench import __version__

_PACKAGE = Path(__file__).parents[1]
_PACKAGES = (
    *("torch", "torchvision", "timm", "captum", "grad-cam", "lime", "scikit-image"),
    *("scikit-learn", "numpy", "pandas", "pyarrow", "h5py", "matplotlib", "seaborn"),
)


def code_version(files: Iterable[Path] | None = None) -> str:
    """Return a hash of source files, wherever they lie, by default of the whole package."""
    digest = hashlib.sha256()
    every = _PACKAGE.rglob("*.py") if files is None else files
    for name, source in sorted((path.name.encode(), path.read_bytes()) for path in every):
        digest.update(name + b"\0" + source + b"\0")
    return digest.hexdigest()


def training_version() -> str:
    """Return a hash of the source files that decide what a training gives."""
    rooms = [_PACKAGE / room for room in ("models", "networks", "training")]
    files = [path for room in rooms for path in room.rglob("*.py")]
    return code_version([*files, _PACKAGE / "randomness.py", _PACKAGE / "types.py"])


def plugin_version(*plugins: object) -> str:
    """Return a hash of the source files of plugins, wherever they come from.

    Of a plugin of an installed package it takes every source file of that package, since what the
    plugin imports decides what it gives, too; of a file on its own that file alone. What a plugin
    names in ``sources()``, such as a network's code and weights, counts likewise.
    """
    files = {file for plugin in plugins for file in _sources(type(plugin))}
    for plugin in plugins:
        files.update(getattr(plugin, "sources", tuple)())
    return code_version(files)


def _sources(cls: type) -> Iterator[Path]:
    """Yield the files that define a class: its own, its package's, those of foreign bases."""
    own = cls.__module__.partition(".")[0]
    yield Path(inspect.getfile(cls))
    if own != _PACKAGE.name:
        for folder in getattr(sys.modules.get(own), "__path__", ()):
            yield from Path(folder).rglob("*.py")
    for base in cls.__mro__:
        room = base.__module__.partition(".")[0]
        if room not in (own, _PACKAGE.name, *sys.stdlib_module_names):
            yield Path(inspect.getfile(base))


def environment(device: str, threads: int) -> dict[str, object]:
    """Return versions, hardware and git commit, for the manifest.

    Args:
        device: ``cpu``, ``mps``, or the GPU's name.
        threads: of a CPU's passes.
    """
    return {
        "python": platform.python_version(),
        "packages": {"xaibench": __version__}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": device,
        "code": code_version(),
        "git": _git_commit(),
    }


def hardware(
    device: str, threads: int, processor: str | None = None, through: str | None = None
) -> str:
    """Return in a few words what a time was taken on: the GPU, or the processor and its threads.

    Args:
        device: ``cpu``, ``mps``, or the GPU's name.
        processor: this machine's if None.
        through: what makes the passes, where it is not eager PyTorch.
    """
    name = processor or processor_name()
    if device == "cpu":
        name = f"{name}, {threads} thread{'s' * (threads != 1)}"
    else:
        name = f"{device} on {name}" if device == "mps" else device
    return f"{name}, passes through {through}" if through else name


@functools.cache
def processor_name() -> str:
    """Return the processor's name where Linux tells it, else what the platform says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git_commit() -> str | None:
    """Return the commit of the checkout that holds this package, ``+`` behind it if changed."""
    ask = lambda *words: subprocess.run(
        ["git", "-C", str(_PACKAGE), *words], capture_output=True, text=True, timeout=10, check=True
    ).stdout.strip()
    try:
        return ask("rev-parse", "HEAD") + ("+" if ask("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None
