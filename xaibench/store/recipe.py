"""What a run was made of, by its manifest, and in what two runs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from xaibench.store.damaged import read_mapping

MODEL = ("dataset.images", "model", "training")
"""The parts of a manifest that decide what a model learns, but for the seed and the images."""
EVERYTHING = ("seed", *MODEL, "explainers", "engine", "environment")
_FOLLOWS = ("checkpoint", "best_", "seeds", "save_every", "tensorboard")  # or does not matter
_MOST = 3  # differences that are told


def manifest_of(folder: Path) -> Mapping[str, object]:
    """Return the manifest of a run's folder; nothing where there is none."""
    file = folder / "manifest.json"
    return read_mapping(file) if file.is_file() else {}


def differences(one: Path, other: Path, parts: Sequence[str]) -> str:
    """Return in words in what the manifests of two runs differ; empty where in nothing.

    What only one of them tells is passed over: an older run does not know a newer option.
    """
    facts, others = ({k: v for p in parts for k, v in _facts(f, p)} for f in (one, other))
    told = [
        f"{key} is {value} in {one} and {others[key]} in {other}"
        for key, value in facts.items()
        if key in others and others[key] != value
    ]
    return "; ".join(told[:_MOST]) + "; …" * (len(told) > _MOST)


def _facts(folder: Path, part: str) -> Iterator[tuple[str, object]]:
    """Yield ``training.epochs`` and so on with its value."""
    value: object = manifest_of(folder)
    for key in part.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is not None:
        yield from _leaves(part, value)


def _leaves(place: str, value: object) -> Iterator[tuple[str, object]]:
    if not isinstance(value, Mapping):
        yield place, value
        return
    for key, inner in value.items():
        # The file of the weights is told by its content, in weights_used.
        if not key.startswith(_FOLLOWS) and f"{place}.{key}" != "model.weights":
            yield from _leaves(f"{place}.{key}", inner)
