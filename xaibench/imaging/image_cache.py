"""Prepared images, made once for the same files and options, and read from disk afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from xaibench.errors import UserError
from xaibench.imaging.checksums import file_checksums
from xaibench.imaging.frame_crop import Bounds
from xaibench.imaging.image_files import BadImage, why_unreadable
from xaibench.imaging.many_files import check_bad
from xaibench.imaging.preparing import BITS, IMAGES, TABLE, Asked, fill
from xaibench.imaging.preprocess import PREPROCESS_VERSION, Placement, Preprocessing, place
from xaibench.imaging.reading import Reading
from xaibench.imaging.recipe_folder import generated_folder
from xaibench.progress import Progress


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """Prepared images, with a row of the table for each.

    Attributes:
        images: read-only, mapped from disk; the picture of a bad file is black. Of colour pictures
            the last axis is red, green and blue.
        table: one row an image, in the order asked for: path, height, width (of the original), top,
            bottom, left, right (the crop, ends exclusive), cropped (bool), removed (share of the
            area that the crop cut), bad (bool), reason ("" where good). A bad file has zeros. Also
            frame, the number of the file's picture from 0, where such were asked for.
        options: what they were prepared by.
        reading: how files were read, with the bits that were told of them (None: none has 16).
        key: the hash that the cache knows them by.
    """

    images: UInt8[np.ndarray, "n tall wide *colour"]
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
    frames: Sequence[int] | None = None,
    allowed_bad: float = 0.0,
    progress: Progress,
) -> PreparedSet:
    """Return the files' images prepared by ``options``, from the cache where it holds them.

    Args:
        frames: the number of each image's picture in its file, from 0; None: one picture a file,
            as ``reading`` names it.
        allowed_bad: the share of files that may be bad; UserError above it. Their rows stay.
    """
    if not files:
        raise UserError("there are no images to prepare; check the data set's root")
    asked = Asked(files, frames)
    key = _key(asked, options, reading, cache, progress)
    folder = cache / "prepared" / key
    recipe = {
        "preprocessing": asdict(options),
        "reading": _known(reading),
        "version": PREPROCESS_VERSION,
        "files": len(files),
    }
    with generated_folder(folder, recipe) as new:
        if new is not None:
            fill(new, asked, options, reading, allowed_bad=allowed_bad, progress=progress)
    images, table, bits = _read(folder)
    table["path"] = [str(file) for file in files]  # the files may have moved since
    if frames is not None:
        table["frame"] = list(frames)
    bad = table[table["bad"]].drop_duplicates("path")
    named = [BadImage(Path(p), r) for p, r in zip(bad["path"], bad["reason"], strict=True)]
    check_bad(named, len(asked.rows), allowed_bad, progress)
    return PreparedSet(images, table, options, replace(reading, bits=bits), key)


def _key(
    asked: Asked,
    options: Preprocessing,
    reading: Reading,
    cache: Path,
    progress: Progress,
) -> str:
    wrong = {file: why for file in asked.rows if (why := why_unreadable(file))}
    whole = [file for file in asked.rows if file not in wrong]
    try:
        sums = dict(zip(whole, file_checksums(whole, cache, progress), strict=True))
        sizes = {file: file.stat().st_size for file in whole}
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot be read ({error.strerror}); mend or remove it"
        ) from None
    names = [[file.name, sizes.get(file, 0)] for file in asked.files]
    sums = [sums.get(file) or wrong[file] for file in asked.files]
    known = [PREPROCESS_VERSION, asdict(options), _known(reading), names, sums]
    known += [] if asked.frames is None else [[int(number) for number in asked.frames]]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


def _known(reading: Reading) -> dict[str, object]:
    """Return what a key and a recipe say of a reading: what came later only where it is asked for,

    so that what was prepared before is found again.
    """
    plain = Reading(reading.colour, reading.bits)
    always = {"colour": reading.colour, "bits": reading.bits}
    return always | {k: v for k, v in asdict(reading).items() if v != getattr(plain, k)}


def _read(
    folder: Path,
) -> tuple[UInt8[np.ndarray, "n tall wide *colour"], pd.DataFrame, int | None]:
    try:
        bits = json.loads((folder / BITS).read_text(encoding="utf-8"))
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
        table = pd.read_parquet(folder / TABLE)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: the prepared images cannot be read ({error}); delete the folder, and they "
            "are prepared anew"
        ) from None
    return images, table, bits
