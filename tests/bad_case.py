"""A mistake, the command that meets it, and the sentence in which it is told.

The tables stand in ``bad_*.py`` beside this file, each with a ``TITLE`` and its ``CASES``;
`test_bad_input.py` runs all of them, and ``docs/site/errors.py`` makes a page of them. Commands
run in the folder that ``make`` was given, so that names in sentences are short.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ANYTHING = "…"
OUT = ("--out", "out")
CACHE = ("--cache", "cache")

SMALL = """\
name: small
segments: {n_segments: 20}
images: {count: 2}
dataset:
  use: pcam
  when_missing: synthesize
  synthetic: {root: patches, train: 24, valid: 12, test: 12}
model: {use: timm, architecture: resnet10t, weights: none}
training: {epochs: 1, batch_size: 8}
explainers:
  random: {draws: 2}
metrics:
  deletion: {steps: 4}
"""
"""A config that runs; most mistakes are one change of it."""


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes:
        what: the mistake, in words.
        words: of the command line, behind ``xaibench``.
        said: the whole sentence; ``…`` stands for what is not the same everywhere.
        make: writes the input into a folder.
    """

    what: str
    words: tuple[str, ...]
    said: str
    make: Callable[[Path], object] = lambda folder: None

    def is_said(self, line: str) -> bool:
        parts = map(re.escape, f"xaibench: {self.said}".split(ANYTHING))
        return re.fullmatch(".*".join(parts), line) is not None


def config(old: str = "", new: str = "", file: str = "config.yaml") -> Callable[[Path], object]:
    """Return what writes `SMALL` with one change."""
    assert old in SMALL
    text = SMALL.replace(old, new, 1) if old else SMALL + new
    return lambda folder: (folder / file).write_text(text, encoding="utf-8")


def written(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Return what writes one file, and the folders above it."""

    def write(folder: Path) -> None:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        file.write_bytes(data)

    return write


def both(*makers: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return what does one after the other."""

    def make(folder: Path) -> None:
        for each in makers:
            each(folder)

    return make


def tables() -> Mapping[str, tuple[Case, ...]]:
    """Return the cases of every table: title -> cases, by the names of the files."""
    files = sorted(Path(__file__).parent.glob("bad_*.py"))
    modules = [importlib.import_module(file.stem) for file in files if file != Path(__file__)]
    return {module.TITLE: module.CASES for module in modules}
