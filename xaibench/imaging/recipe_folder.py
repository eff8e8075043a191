"""Folders of generated files: there whole or not at all, each with the recipe it follows from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from xaibench.atomic import telling
from xaibench.errors import UserError

RECIPE = "recipe.json"


@contextmanager
def generated_folder(root: Path, recipe: Mapping[str, object]) -> Iterator[Path | None]:
    """Yield a hidden folder to fill; it takes the name of ``root`` if nothing was raised.

    ``recipe`` says what the files follow from; it must be plain JSON and is written beside them as
    ``recipe.json``. Yields None where ``root`` already holds a set of the same recipe: there is
    nothing to do. Raises `UserError` where ``root`` holds anything else, and touches nothing there.
    """
    if root.exists():
        _check_same(root, recipe)
        yield None
        return
    partial_root = root.with_name(f".{root.name}.partial-{os.getpid()}")
    shutil.rmtree(partial_root, ignore_errors=True)  # left by a process killed outright
    with telling(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        partial_root.mkdir()
        try:
            yield partial_root
            (partial_root / RECIPE).write_text(json.dumps(recipe, indent=2) + "\n")
            _take_name(partial_root, root, recipe)
        finally:
            shutil.rmtree(partial_root, ignore_errors=True)


def _take_name(partial_root: Path, root: Path, recipe: Mapping[str, object]) -> None:
    try:
        os.replace(partial_root, root)
    except OSError:
        if not root.exists():
            raise
        _check_same(root, recipe)  # another process was quicker: the same recipe, the same files


def _check_same(root: Path, recipe: Mapping[str, object]) -> None:
    mend = "choose another folder or delete this one"
    try:
        found = json.loads((root / RECIPE).read_text())
    except (OSError, ValueError):
        raise UserError(
            f"{root} exists but holds no generated set (no readable recipe.json); {mend}"
        ) from None
    if found != json.loads(json.dumps(recipe)):
        raise UserError(
            f"{root} holds a set of another recipe: {json.dumps(found)}, "
            f"asked for {json.dumps(recipe)}; {mend}"
        )


@dataclass(frozen=True)
class GeneratedSet:
    """A generated data set that was found: its folder, and the recipe that lies there.

    Readers of files are told which set these are of; None says that they are real.
    """

    root: Path
    recipe: Mapping[str, object]

    @property
    def tagged(self) -> bool:
        """Whether a marker was planted that goes with the label."""
        return self.recipe["shortcut_rate"] is not None


def generated_set(root: Path, generator: str) -> GeneratedSet | None:
    """Return the set that ``generator`` wrote to ``root``; None for real data."""
    file = root / RECIPE
    if not file.is_file():
        return None
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); generate the set anew") from None
    return GeneratedSet(root, recipe) if recipe.get("generator") == generator else None


def set_name(original: str, made: GeneratedSet | None, whole: bool = True) -> str:
    """Return what every table and figure calls a data set.

    Neither a part of the original nor a generated set is the original: figures do not compare.
    """
    if made is None:
        return original + "_subset" * (not whole)
    return f"{original}{'_shortcut' * made.tagged}_synthetic"
