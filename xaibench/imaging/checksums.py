"""MD5 sums of files, computed once as long as size and time of change stay."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from xaibench.atomic import write_text
from xaibench.imaging.download import file_md5
from xaibench.progress import Progress


def checksums(files: Sequence[Path], cache: Path, progress: Progress) -> dict[str, str]:
    """Return file name -> MD5, remembering sums in ``cache / checksums.json``."""
    sums = file_checksums(files, cache, progress)
    return {file.name: md5 for file, md5 in zip(files, sums, strict=True)}


def sum_of(sums: Mapping[str, str]) -> str:
    """Return one sum of what `checksums` returns."""
    return hashlib.sha256(repr(sorted(sums.items())).encode()).hexdigest()


def file_checksums(files: Sequence[Path], cache: Path, progress: Progress) -> list[str]:
    """Return the MD5 of each file, in order; names may stand twice, in several folders."""
    memory = cache / "checksums.json"
    known = _known(memory)
    keys = {f: f"{f.resolve()}|{f.stat().st_size}|{f.stat().st_mtime_ns}" for f in files}
    missing = [f for f in files if keys[f] not in known]
    if missing:
        with progress.stage("Checksums", sum(f.stat().st_size for f in missing)) as advance:
            for file in missing:
                known[keys[file]] = file_md5(file)
                advance(file.stat().st_size)
        write_text(memory, json.dumps(known, indent=1))
    return [known[keys[f]] for f in files]


def _known(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or damaged: the sums are only computed again
        return {}
    return known if isinstance(known, dict) else {}
