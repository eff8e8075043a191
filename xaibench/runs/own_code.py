"""Files of a user's code that a model names, such as the factory of a network: kept with a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from xaibench.models.base import Model
from xaibench.store.run_folder import RunFolder


def kept_code(model: Model, folder: RunFolder) -> Model:
    """Return a model whose files of code lie in the run's folder, beside its config."""
    named = _named(model)
    if not named:
        return model
    kept = folder.keep((str(file) for file, _ in named.values()), "code")
    files = zip(named.items(), kept, strict=True)
    return replace(model, **{name: f"{file}:{rest}" for (name, (_, rest)), file in files})


def checksums(model: Model) -> dict[str, str]:
    """Return the name and the SHA-256 of each file of code that a model names."""
    files = [file for file, _ in _named(model).values()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _named(model: Model) -> Mapping[str, tuple[Path, str]]:
    """Return the parameters that are ``FILE.py:NAME``, as file and name."""
    told = {name: str(getattr(model, name)).rpartition(":") for name in model.beside}
    return {name: (Path(f), rest) for name, (f, _, rest) in told.items() if f.endswith(".py")}
