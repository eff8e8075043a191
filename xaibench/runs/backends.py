"""The backend of a run's models: chosen once for a network on a machine, and remembered."""

from __future__ import annotations

import hashlib
import json
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

    What ``auto`` found fastest is kept by the network's structure, its size and batch, the machine
    and the versions: so a run that is begun again goes on with the same, and nothing is timed
    twice. Whether its scores agree is looked at for every model.
    """
    if asked == "eager":  # nothing is tried, so no image is read
        return choose_backend(model, asked, model.example())
    split = data.splits[VALIDATION]
    rows = np.arange(min(len(split), model.batch_size))
    images = as_images(torch.from_numpy(np.ascontiguousarray(split.images(rows))), model.device)
    if asked != "auto":
        return choose_backend(model, asked, images)
    memory, key = cache / _MEMORY, _key(model)
    known = _known(memory)
    if key in known:
        name, speedup = known[key]
        return choose_backend(model, name, images, speedup=speedup)
    choice = choose_backend(model, "auto", images)
    write_text(memory, json.dumps({**_known(memory), key: [choice.name, choice.speedup or 1.0]}))
    return choice


def _key(model: Classifier) -> str:
    versions = [
        backend.version()
        for backend in BACKENDS.values()
        if backend.quick and not backend.lacking(model.device.type, model.precision)
    ]
    known = [
        repr(model.net), model.input_shape, model.batch_size, model.precision,
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
