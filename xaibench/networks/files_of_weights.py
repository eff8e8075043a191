"""The files that hold a network's weights: one, or those of a folder as Hugging Face writes it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from xaibench.errors import UserError

_INDEX = ".index.json"
_WHOLE = ("model.safetensors", "pytorch_model.bin")
_NAMES = (*_WHOLE, *(f"{name}{_INDEX}" for name in _WHOLE))
_RECORDS = ("config.json", "preprocessor_config.json")


def check_weights(weights: str, key: str | None, words: tuple[str, ...]) -> None:
    """Raise UserError where ``weights`` is neither a word nor a file, or its key has no file.

    Args:
        key: ``weights_key``, or None.
        words: what it may be besides a path.
    """
    if weights in words:
        if key is not None:
            raise UserError(
                f"weights_key: is of a checkpoint, and weights is {weights!r}; leave it out, or "
                "name a file in `weights`"
            )
        return
    path = Path(weights)
    if not path.exists():
        *others, last = (f"neither {words[0]!r}", *map(repr, words[1:]), "an existing file")
        raise UserError(
            f"weights: {weights!r} is {' nor '.join((*others, last))} (relative paths are taken "
            f"from {Path.cwd()}); no file is downloaded"
        )
    files_of(path)


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that hold a checkpoint's weights, the index of several before them.

    Args:
        path: a file, an index (``model.safetensors.index.json``), or a folder that holds either.

    Raises:
        UserError: the folder holds none, or a part that the index names is not there.
    """
    if path.is_dir():
        found = next((path / name for name in _NAMES if (path / name).is_file()), None)
        if found is None:
            raise UserError(
                f"weights: the folder {path} holds none of {', '.join(_NAMES)}; name the file in it"
            )
        return files_of(found)
    if not path.name.endswith(_INDEX):
        return (path,)
    parts = [path.with_name(name) for name in _parts(path)]
    for part in parts:
        if not part.is_file():
            raise UserError(f"weights: {path} names {part.name}, which is not beside it")
    return (path, *parts)


def records_of(path: Path) -> dict[str, object]:
    """Return what the JSON files beside the weights say, by name; nothing for a file by itself.

    Args:
        path: as of ``files_of``.
    """
    folder = path if path.is_dir() else path.parent
    if path.name not in _NAMES and not path.is_dir():
        return {}
    found = {}
    for name in _RECORDS:
        try:
            found[name] = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # they are not needed
            continue
    return found


def said_of(path: Path) -> str:
    """Return a checkpoint's name and the SHA-256 of all its files."""
    files = files_of(path)
    digests = []
    for each in files:
        with each.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(files) == 1:
        return f"{path.name} (sha256 {digests[0]})"
    whole = hashlib.sha256("".join(digests).encode()).hexdigest()
    return f"{path.name} ({len(files) - 1} parts, sha256 {whole})"


def _parts(index: Path) -> list[str]:
    """Return the names of the files that an index spreads weights over."""
    try:
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        plain = all(isinstance(name, str) and Path(name).name == name for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        names, plain = [], False
    if not plain or not names:
        raise UserError(
            f"weights: {index} is no index of weights: it must have weight_map, from names to "
            "files beside it"
        )
    return sorted(set(names))
