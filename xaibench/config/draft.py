"""A config to begin with, for a data set that was recognised."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from xaibench.imaging.recognition.guess import Guess

_TEXT = """\
name: {name}
dataset: {dataset}
model: {{use: gap_cnn, width: 16}}  # small, from fresh weights; `xaibench list --kind model`
training: {training}
images: {{count: 20}}
explainers: {{random: , center_prior: , grad_cam: , integrated_gradients: {{steps: 16}}}}
metrics: {{deletion: {{steps: 20}}, insertion: {{steps: 20}}{localisation}}}
"""
_LINES = 12
_WIDTH = 96
_SIDE = 96  # pixels: a first run on a CPU takes minutes


def draft(name: str, guess: Guess) -> str:
    """Return a config's text, of 12 lines at most; files become images of 96 x 96."""
    settings = dict(guess.settings)
    if settings["use"] != "arrays":
        settings["resize"] = {"size": _SIDE}
    training = {"epochs": 5, "batch_size": 32} | ({"monitor": "loss"} if guess.regression else {})
    localisation = ", pointing_game: , mass_accuracy: " if guess.masked else ""
    return _TEXT.format(
        name=_flow(name).removesuffix("\n..."),
        dataset=_wrapped(settings),
        training=_flow(training),
        localisation=localisation,
    )


def slug(name: str) -> str:
    """Return a name that a config may have."""
    return re.sub(r"[^A-Za-z0-9_+.-]+", "_", name).lstrip("_+.-")[:64] or "mine"


def _wrapped(settings: Mapping[str, Any]) -> str:
    """Return a mapping in braces, wrapped between its items; the last line is as long as needed."""
    lines = ["{"]
    for key, value in settings.items():
        item = f"{_flow({key: value})[1:-1]}, "
        if len(lines[-1]) + len(item) > _WIDTH and len(lines) <= _LINES - _TEXT.count("\n"):
            lines.append("  ")
        lines[-1] += item
    return "\n".join(line.rstrip() for line in lines).removesuffix(",") + "}"


def _flow(value: object) -> str:
    return yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=100_000, allow_unicode=True
    ).strip()
