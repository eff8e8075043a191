"""Results on disk: one JSON file a machine, rewritten whole after every step of work."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

from xaibench.atomic import write_text
from xaibench.store.provenance import processor_name

if TYPE_CHECKING:  # a machine that lacks a package can still tell what it has
    from benchmarks.contest import Contest, Result
    from benchmarks.method import Method
    from benchmarks.subjects import Subject

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "timm", "captum", "lime", "grad-cam", "quantus", "torchcam", "numpy")


def machine(device: torch.device) -> dict[str, object]:
    """Return what figures depend on: processor or GPU, threads, versions; no host's name."""
    return {
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        "device": device.type,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "versions": {name: version(name) for name in PACKAGES},
    }


def version(package: str) -> str | None:
    """Return an installed package's version; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def slug(about: Mapping[str, object]) -> str:
    """Return a machine's file name, such as ``amd-epyc-7b13-2-threads``."""
    words = re.sub(r"\(.*?\)|[^a-z0-9]+", "-", str(about["name"]).lower())
    threads = f"-{about['threads']}-threads" if about["device"] == "cpu" else ""
    return re.sub(r"-+", "-", words).strip("-") + threads


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def row(subject: Subject, method: Method, result: Result, contest: Contest) -> dict:
    """Return one line of the table, with all its repetitions.

    ``seconds``, ``limits`` and ``ours`` are of all images of a repetition, one a round; ``bare``
    and ``bare_both`` are of one pass.
    """
    count = method.images
    return {
        "size": subject.size.name,
        "method": method.name,
        "implementation": result.contestant.name,
        "parameters": method.parameters,
        "images": count,
        "source": subject.source,
        "seconds_an_image": median(result.seconds) / count if result.seconds else None,
        "forward_passes": result.passes.forward / count if result.seconds else None,
        "backward_passes": result.passes.backward / count if result.seconds else None,
        "times_limit": result.times_limit,
        "times_ours": result.times_ours,
        "difference": result.difference,
        "note": result.note,
        "seconds": result.seconds,
        "limits": result.limits,
        "ours": result.ours,
        "bare": contest.bare,
        "bare_through": contest.through,
        "bare_both": contest.bare_both,
    }


class Record:
    """A machine's JSON file; what was measured before stays until it is measured anew.

    Args:
        path: of the file; read if it is there.
    """

    def __init__(self, path: Path, about: Mapping[str, object]) -> None:
        self.path = path
        self.content: dict = {"rows": []}
        if path.exists():
            self.content = json.loads(path.read_text())
        self.content["machine"] = dict(about)

    def add_rows(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows, each in place of the one of the same size, method and implementation."""
        key = lambda r: (r["size"], r["method"], r["implementation"])
        versions = {"date": today(), "versions": self.content["machine"]["versions"]}
        new = {key(r): dict(r) | versions for r in rows}
        kept = [r for r in self.content["rows"] if key(r) not in new]
        self.content["rows"] = [*kept, *new.values()]
        self.write()

    def put(self, section: str, content: Mapping[str, object]) -> None:
        """Put a section's content in place of the older one."""
        self.content[section] = {**content, "date": today()}
        self.write()

    def write(self) -> None:
        write_text(self.path, json.dumps(_plain(self.content), indent=1, sort_keys=True) + "\n")


def _plain(value: object) -> object:
    """Return the value as JSON has it: there is no NaN, which becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
