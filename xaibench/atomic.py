"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling to write; it takes ``path``'s place if nothing was raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays, since writers choose their format by it.
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file of text, in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
