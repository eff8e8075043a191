"""What a generated set follows from, and how it is written: whole or not at all."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, NonNegativeInt

from xaibench.errors import UserError
from xaibench.imaging.recipe_folder import GeneratedSet, generated_folder, generated_set
from xaibench.progress import Progress


@dataclass(frozen=True)
class Phantoms(ABC):
    """A generated set in the files of a data set, with true masks; it stands in where those lack.

    The fields are what a config may set under ``synthetic``; the files follow from them alone.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    generator: ClassVar[str]
    version: ClassVar[int | tuple[int, ...]]
    """Raised with every change of a file."""
    counts: ClassVar[tuple[str, ...]] = ("images",)
    """The fields that are numbers of images."""
    inside: ClassVar[str] = ""
    """The folder in ``root`` that stands for the original's; empty where that is ``root``."""

    root: Path
    """Where the set is written, and read once it is there."""
    seed: NonNegativeInt = 42
    """Of the images; the run's seed is another matter."""
    shortcut_rate: Annotated[float, Field(ge=0.5, le=1)] | None = None
    """How often a planted marker agrees with the label: 0.5 says nothing, 1 gives it away. None
    plants no marker."""

    def __post_init__(self) -> None:
        rate = self.shortcut_rate
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}; it must be 0 or more")
        if rate is not None and not 0.5 <= rate <= 1:
            raise UserError(
                f"shortcut_rate is {rate}; it must be between 0.5 (the marker says nothing) and 1 "
                "(the marker gives the label away), or null for no marker"
            )
        for name in self.counts:
            if (count := getattr(self, name)) < 1:
                raise UserError(f"{name} is {count}; it must be at least 1")

    @property
    def recipe(self) -> dict[str, object]:
        """What the files follow from, as plain JSON; it is written beside them."""
        said = {"generator": self.generator, "version": self.version}
        return said | self.parameters() | {"shortcut_rate": self.shortcut_rate}

    @abstractmethod
    def parameters(self) -> dict[str, object]:
        """Return what stands between generator and marker in the recipe."""

    @abstractmethod
    def draw(self, folder: Path, progress: Progress, workers: int) -> None:
        """Write all files but the recipe to a folder, whatever its name."""

    def write(self, progress: Progress, workers: int | None = None) -> None:
        """Write the set to ``root``, which appears whole or not at all.

        Where ``root`` already holds the same set, nothing is done.

        Args:
            workers: processes that draw, which no file depends on; None for one a processor.

        Raises:
            UserError: ``root`` holds anything else.
        """
        with generated_folder(self.root, self.recipe) as folder:
            if folder is not None:
                self.draw(folder, progress, (os.cpu_count() or 1) if workers is None else workers)

    def marked(self, rng: np.random.Generator, shown: bool) -> bool:
        """Draw whether an image has the marker, by whether it shows what the marker goes with."""
        agrees = rng.random() < (self.shortcut_rate or 0)
        return self.shortcut_rate is not None and bool(agrees == shown)

    @classmethod
    def made(cls, files: Path) -> GeneratedSet | None:
        """Return the generated set whose files lie in a folder; None where they are real ones."""
        if cls.inside and files.name != cls.inside:
            return None
        return generated_set(files.parent if cls.inside else files, cls.generator)
