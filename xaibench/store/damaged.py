"""Files of a run that are read again; one that is damaged is a UserError that names it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from xaibench.errors import UserError


def read_json(file: Path) -> Any:
    """Return what a JSON file holds."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from None


def read_mapping(file: Path) -> dict[str, Any]:
    """Return the mapping that a JSON file holds."""
    found = read_json(file)
    if not isinstance(found, dict):
        raise _damaged(file, ValueError("it holds no mapping"))
    return found


def read_parquet(file: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a Parquet file's table."""
    try:
        return pd.read_parquet(file, columns=columns and list(columns))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> UserError:
    why = " ".join(str(error).split())
    return UserError(
        f"{file}: cannot be read ({why}); put the whole file back, or delete the run's folder and "
        "run it again"
    )
