"""What made a result: code, packages, hardware. No names of machines, users or folders."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

import torch

from xaibench.cost import hardware_of

_PACKAGE = Path(__file__).parent
_PACKAGES = (
    *("xaibench", "torch", "torchvision", "timm", "captum", "grad-cam", "lime", "scikit-image"),
    *("scikit-learn", "numpy", "pandas", "pyarrow", "h5py", "matplotlib", "seaborn"),
)


def code_version(files: Iterable[Path] | None = None) -> str:
    """Return a hash of source files, by default of the whole package."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py") if files is None else files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def plugin_version(*plugins: object) -> str:
    """Return a hash of the source files of plugins, wherever they come from."""
    return code_version({Path(inspect.getfile(type(plugin))) for plugin in plugins})


def environment(device: torch.device) -> dict[str, object]:
    """Return versions, hardware and git commit, for the manifest."""
    return {
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "code": code_version(),
        "git": _git_commit(),
    }


def hardware(device: torch.device) -> str:
    """Return in a few words what a time was taken on: the GPU, or the processor and its threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return hardware_of(name, _processor(), torch.get_num_threads())


@functools.cache
def _processor() -> str:
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
