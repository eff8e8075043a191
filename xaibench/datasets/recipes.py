"""What a folder of generated data follows from, so that it is never taken for real data."""

from __future__ import annotations

import json
from pathlib import Path

from xaibench.errors import UserError


def recipe_of(root: Path, generator: str) -> dict | None:
    """Return the recipe of the set that ``generator`` wrote to ``root``; None for real data."""
    file = root / "recipe.json"
    if not file.is_file():
        return None
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); generate the set anew") from None
    return recipe if recipe.get("generator") == generator else None
