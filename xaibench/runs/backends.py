"""The backend of a run's models: chosen once for a network on a machine, and remembered."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from xaibench.atomic import write_text
from xaibench.engine.backend_choice import Choice, choose_backend
from xaibench.engine.backends import BACKENDS
from xaibench.engine.device import device_name
from xaibench.models.base import Classifier
from xaibench.training.evaluate import as_images
from xaibench.types import VALIDATION, BackendName, Data

_MEMORY = "backends.json"


def backend_of(model: Classifier, asked: BackendName | str, data: Data, cache: Path) -> Choice:
    """Set the model's backend, and return the choice.

    What was found fastest is kept by the network's structure, its size and batch, the machine and
    the versions, for all runs of the user: timed anew it could come out otherwise, and scores would
    differ in their last digits. Whether the scores agree is looked at for every model.

    Args:
        cache: takes what is kept where the user's own cache (``$XAIBENCH_CACHE``, else
            ``~/.cache/xaibench``) cannot be written.
    """
    if asked == "eager":  # nothing is tried, so no image is read
        return choose_backend(model, asked, model.example())
    split = data.splits[VALIDATION]
    rows = np.arange(min(len(split), model.batch_size))
    images = as_images(torch.from_numpy(np.ascontiguousarray(split.images(rows))), model.device)
    memories, key = (_own_cache() / _MEMORY, cache / _MEMORY), _key(model, asked)
    for memory in memories:
        if key in (known := _known(memory)):
            name, speedup = known[key]
            return choose_backend(model, name, images, speedup=speedup)
    choice = choose_backend(model, asked, images)
    for memory in memories:
        with suppress(OSError):  # of a home that is read-only, or that nobody has
            memory.parent.mkdir(parents=True, exist_ok=True)
            kept = {**_known(memory), key: [choice.name, choice.speedup or 1.0]}
            write_text(memory, json.dumps(kept))
            break
    return choice


def _own_cache() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("XAIBENCH_CACHE") or Path(folder) / "xaibench")


def _key(model: Classifier, asked: str) -> str:
    versions = [
        backend.version()
        for backend in BACKENDS.values()
        if backend.quick and not backend.lacking(model.device.type, model.precision)
    ]
    known = [
        asked, repr(model.net), model.input_shape, model.batch_size, model.precision,
        device_name(model.device), torch.get_num_threads(), versions,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


def _known(memory: Path) -> dict[str, list]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or damaged: it is only chosen again
        return {}
    fine = lambda v: isinstance(v, list) and len(v) == 2 and v[0] in BACKENDS
    return {k: v for k, v in known.items() if fine(v)} if isinstance(known, dict) else {}
