"""What differs between two runs: config key by key, data, model, code, packages, hardware."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import yaml

from xaibench.store.finished import FinishedRun

COLUMNS = ["what", "key", "first", "second"]
# Parts of the manifest; what the config says already is left to it.
PARTS = {
    "data": "dataset",
    "model": "model",
    "engine": "engine",
    "protocol": "protocols",
    "made by": "environment",
}
ABSENT = "not there"
_WIDTH = 120
_MISSING = object()


def differences(first: FinishedRun, second: FinishedRun) -> pd.DataFrame:
    """Return one row for each key whose values differ: ``COLUMNS``, values as text.

    ``what`` is ``config``, or a part of the manifest. Where a whole section is there in one run
    alone it is one row.
    """
    rows = [("config", *row) for row in _differ(_config(first), _config(second))]
    for what, part in PARTS.items():
        found = _differ(first.manifest.get(part, {}), second.manifest.get(part, {}))
        rows += [(what, *row) for row in found]
    return pd.DataFrame(rows, columns=COLUMNS)


def _config(run: FinishedRun) -> Mapping[str, Any]:
    file = run.folder / "config.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _differ(first: object, second: object, place: str = "") -> Iterator[tuple[str, str, str]]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys([*first, *second]):
            at = f"{place}.{key}" if place else str(key)
            yield from _differ(first.get(key, _MISSING), second.get(key, _MISSING), at)
    elif first is _MISSING or second is _MISSING or first != second:
        yield place, _told(first), _told(second)


def _told(value: object) -> str:
    if value is _MISSING:
        return ABSENT
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return textwrap.shorten(text, _WIDTH, placeholder=" …")
