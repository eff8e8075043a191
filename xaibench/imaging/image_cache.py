"""Prepared images, made once for the same files and options, and read from disk afterwards."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from xaibench.errors import UserError
from xaibench.imaging.bit_depth import told_bits
from xaibench.imaging.checksums import file_checksums
from xaibench.imaging.frame_crop import Bounds
from xaibench.imaging.image_files import BadImage, Reading
from xaibench.imaging.many_files import check_bad, read_all
from xaibench.imaging.picture_files import read_picture
from xaibench.imaging.preprocess import PREPROCESS_VERSION, Placement, Preprocessing, place, prepare
from xaibench.imaging.recipe_folder import generated_folder
from xaibench.progress import Progress

_BITS = "bits.json"


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """Prepared images, with a row of the table for each.

    Attributes:
        images: read-only, mapped from disk; the picture of a bad file is black. Of colour pictures
            the last axis is red, green and blue.
        table: one row a file, in the order asked for: path, height, width (of the original), top,
            bottom, left, right (the crop, ends exclusive), cropped (bool), removed (share of the
            area that the crop cut), bad (bool), reason ("" where good). A bad file has zeros.
        options: what they were prepared by.
        reading: how files were read, with the bits that were told of them (None: none has 16).
        key: the hash that the cache knows them by.
    """

    images: UInt8[np.ndarray, "n size size *colour"]
    table: pd.DataFrame
    options: Preprocessing
    reading: Reading
    key: str

    def placement(self, row: int) -> Placement:
        """Return where the original of a row stands in its prepared image."""
        found = self.table.iloc[row]
        bounds = Bounds(*(int(found[side]) for side in Bounds._fields))
        return place(int(found["height"]), int(found["width"]), bounds, self.options.resize)


def prepared_images(
    files: Sequence[Path],
    options: Preprocessing,
    *,
    cache: Path,
    reading: Reading = Reading(),
    allowed_bad: float = 0.0,
    progress: Progress,
) -> PreparedSet:
    """Return the files' images prepared by ``options``, from the cache where it holds them.

    Args:
        allowed_bad: the share of files that may be bad; UserError above it. Their rows stay.
    """
    if not files:
        raise UserError("there are no images to prepare; check the data set's root")
    if len(set(files)) < len(files):
        raise ValueError("a file stands twice in the list of those to prepare")
    key = _key(files, options, reading, cache, progress)
    folder = cache / "prepared" / key
    recipe = {
        "preprocessing": asdict(options),
        "reading": asdict(reading),
        "version": PREPROCESS_VERSION,
        "files": len(files),
    }
    with generated_folder(folder, recipe) as new:
        if new is not None:
            _fill(new, files, options, reading, allowed_bad, progress)
    images, table, bits = _read(folder)
    table["path"] = [str(file) for file in files]  # the files may have moved since
    bad = table[table["bad"]]
    named = [BadImage(Path(p), r) for p, r in zip(bad["path"], bad["reason"], strict=True)]
    check_bad(named, len(files), allowed_bad, progress)
    return PreparedSet(images, table, options, replace(reading, bits=bits), key)


def _key(
    files: Sequence[Path],
    options: Preprocessing,
    reading: Reading,
    cache: Path,
    progress: Progress,
) -> str:
    try:
        sums = file_checksums(files, cache, progress)
        names = [[file.name, file.stat().st_size] for file in files]
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot be read ({error.strerror}); put the file there or take it "
            "out of the table that names it"
        ) from None
    known = json.dumps([PREPROCESS_VERSION, asdict(options), asdict(reading), names, sums])
    return hashlib.sha256(known.encode()).hexdigest()[:32]


def _fill(
    folder: Path,
    files: Sequence[Path],
    options: Preprocessing,
    reading: Reading,
    allowed_bad: float,
    progress: Progress,
) -> None:
    bits = reading.bits or told_bits(files, progress)
    (folder / _BITS).write_text(json.dumps(bits), encoding="utf-8")
    told = replace(reading, bits=bits)
    shape = (len(files), *[options.resize.size] * 2, *[3] * reading.colour)
    images = _mapped(folder / "images.npy", shape)
    rows = {file: row for row, file in enumerate(files)}

    def read(file: Path) -> dict[str, object]:
        prepared = prepare(read_picture(file, told), options)
        images[rows[file]] = prepared.image
        return _row(prepared.placement)

    found = read_all(files, read, allowed_bad=allowed_bad, progress=progress, title="Preparing")
    images.flush()
    table = pd.DataFrame([_bad_row(r) if isinstance(r, BadImage) else r for r in found])
    table.to_parquet(folder / "table.parquet")


def _mapped(file: Path, shape: tuple[int, ...]) -> np.memmap:
    """Return a new array in a file. Its room is taken at once: a disk that is full when a page of
    a sparse file is written kills the process.
    """
    images = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return images


def _row(placement: Placement) -> dict[str, object]:
    return {
        "height": placement.height,
        "width": placement.width,
        **placement.bounds._asdict(),
        "cropped": placement.removed > 0,
        "removed": placement.removed,
        "bad": False,
        "reason": "",
    }


def _bad_row(bad: BadImage) -> dict[str, object]:
    numbers = dict.fromkeys(("height", "width", *Bounds._fields), 0)
    return {**numbers, "cropped": False, "removed": 0.0, "bad": True, "reason": bad.reason}


def _read(
    folder: Path,
) -> tuple[UInt8[np.ndarray, "n size size *colour"], pd.DataFrame, int | None]:
    try:
        bits = json.loads((folder / _BITS).read_text(encoding="utf-8"))
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        table = pd.read_parquet(folder / "table.parquet")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: the prepared images cannot be read ({error}); delete the folder, and they "
            "are prepared anew"
        ) from None
    return images, table, bits
