"""PatchCamelyon's six files, and the tables and masks beside them: names, fetching, reading."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from xaibench.errors import UserError
from xaibench.imaging.arrays.files import Array, Keys, find_parts
from xaibench.imaging.arrays.labels import labels_of
from xaibench.imaging.arrays.splits import ArrayMasks, ArraySplit, whole_splits
from xaibench.imaging.checksums import checksums
from xaibench.imaging.download import download, gunzip
from xaibench.imaging.recipe_folder import GeneratedSet
from xaibench.imaging.tables import read_table
from xaibench.progress import Progress

SIZES = {"train": 262_144, "valid": 32_768, "test": 32_768}
ZENODO = "https://zenodo.org/records/2546921/files"
# Of the compressed files, as in torchvision.datasets.PCAM.
MD5 = {
    "train_x": "1571f514728f59376b705fc836ff4b63",
    "train_y": "35c2d7259d906cfc8143347bb8e05be7",
    "valid_x": "d5b63470df7cfa627aeec8b9dc0c066e",
    "valid_y": "2b85f58b927af9964a4c15b8f7e8f179",
    "test_x": "d8c2d60d490dbd479f8199bdfa0cf6ec",
    "test_y": "60a7035772fbdb7f34eb86d4420cf66a",
}
CLASSES = ("normal", "tumour")
SIDE = 96
CENTRE = slice(32, 64)


def file_name(part: str, suffix: str = "h5") -> str:
    """Return the original's name of a file, such as for part ``test_x``."""
    return f"{_stem(part)}.{suffix}"


def missing_files(root: Path | None) -> list[str]:
    """Return those of the six files that neither lie in ``root`` nor, packed, as .gz."""
    names = [file_name(part) for part in MD5]
    there = lambda name: (root / name).is_file() or (root / f"{name}.gz").is_file()
    return [name for name in names if root is None or not there(name)]


def fetch_files(root: Path, progress: Progress) -> None:
    """Fetch and unpack what is missing in ``root``."""
    for part, md5 in MD5.items():
        _fetch(root, part, md5, progress)


def read_files(
    root: Path, made: GeneratedSet | None, cache: Path, progress: Progress
) -> tuple[dict[str, ArraySplit], dict[str, str]]:
    """Return the three splits whole, and file name -> MD5 of all that was read.

    Groups are the slides of the table ``..._meta.csv`` (column ``wsi``), where there is one. Of
    real positives no more is known than that the centre counts (``centre_weak``).

    Args:
        cache: where packed files are unpacked if ``root`` is read-only.
    """
    files = [_unpacked(root, part, cache, progress) for part in MD5]
    mask_files = sorted(root.glob("*_mask.h5"))
    names = ("evidence", "tag") if made and made.tagged else ("evidence",)
    masks = {name: f"{_stem('{split}_mask')}/{name}" for name in names} if made else {}
    keys = Keys(f"{_stem('{split}_x')}/x", f"{_stem('{split}_y')}/y", masks=masks)
    parts = find_parts(root, [*files, *mask_files] if made else files, keys)
    labels = labels_of({split: part.labels for split, part in parts.items()}, CLASSES)
    splits = whole_splits(parts, labels.of, ArrayMasks(only=1), progress)
    if (shape := splits["train"].pixels.shape[1:]) != (SIDE, SIDE, 3):
        raise UserError(f"images: those of {root} are {shape}; PatchCamelyon's are 96 x 96 x 3")
    for name, split in splits.items():
        slides = _slides(root / file_name(f"{name}_meta", "csv"), len(split))
        groups = split.groups if slides is None else slides
        true = split.true if made else ArrayMasks({"centre_weak": _centres(len(split))}, only=1)
        splits[name] = replace(split, groups=groups, true=true)
    return splits, checksums([*files, *mask_files], cache, progress)


def _centres(total: int) -> Array:
    centre = np.zeros((SIDE, SIDE), bool)
    centre[CENTRE, CENTRE] = True
    return Array("the centre", np.broadcast_to(centre, (total, SIDE, SIDE)))


def _stem(part: str) -> str:
    return f"camelyonpatch_level_2_split_{part}"


def _slides(meta: Path, total: int) -> Shaped[np.ndarray, " total"] | None:
    """Return the slide of each patch, None where no table names them."""
    if not meta.is_file():
        return None
    slides = read_table(meta).get("wsi")
    if slides is None:
        return None
    if len(slides) != total or slides.isna().any():
        raise UserError(
            f"{meta}: must name a slide (column 'wsi') for each of {total} patches; has "
            f"{slides.notna().sum()}; mend or remove it"
        )
    return slides.to_numpy(dtype=object).astype(str)


def _unpacked(root: Path, part: str, cache: Path, progress: Progress) -> Path:
    """Return a part's HDF5 file, unpacked beside its .gz or, if that is read-only, in cache."""
    file = root / file_name(part)
    if file.is_file():
        return file
    elsewhere = cache / "unpacked" / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    target = file if os.access(root, os.W_OK) else elsewhere / file.name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        gunzip(file.with_name(f"{file.name}.gz"), target, progress)
    return target


def _fetch(root: Path, part: str, md5: str, progress: Progress) -> None:
    file = root / file_name(part)
    packed = file.with_name(f"{file.name}.gz")
    if file.is_file():
        return
    root.mkdir(parents=True, exist_ok=True)
    download(f"{ZENODO}/{packed.name}?download=1", packed, md5, progress)
    gunzip(packed, file, progress)
    packed.unlink()  # its bytes stand unpacked beside it, and it can be had again
