"""PatchCamelyon's six files, and the tables and masks beside them: names, fetching, reading."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Int, Shaped

from xaibench.errors import UserError
from xaibench.imaging.checksums import checksums
from xaibench.imaging.download import download, gunzip
from xaibench.imaging.hdf5 import opened
from xaibench.imaging.recipe_folder import GeneratedSet
from xaibench.imaging.stored import StoredSplit
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
SIDE = 96
CENTRE = slice(32, 64)


def file_name(part: str, suffix: str = "h5") -> str:
    """Return the original's name of a file, such as for part ``test_x``."""
    return f"camelyonpatch_level_2_split_{part}.{suffix}"


def missing_files(root: Path | None) -> list[str]:
    """Return those of the six files that neither lie in ``root`` nor, packed, as .gz."""
    names = [file_name(part) for part in MD5]
    there = lambda name: (root / name).is_file() or (root / f"{name}.gz").is_file()
    return [name for name in names if root is None or not there(name)]


def fetch_files(root: Path, progress: Progress) -> None:
    """Fetch and unpack what is missing in ``root``."""
    for part, md5 in MD5.items():
        _fetch(root, part, md5, progress)


class PcamSplit(StoredSplit):
    """Patches of one file; of real positives, no more is known than that the centre counts."""

    def masks(
        self, indices: Int[np.ndarray, " k"], targets: Int[np.ndarray, " k"]
    ) -> dict[str, Bool[np.ndarray, "k 96 96"]]:
        if self.true_masks is not None:
            return super().masks(indices, targets)
        centre = np.zeros((SIDE, SIDE), bool)
        centre[CENTRE, CENTRE] = True
        return {"centre_weak": centre & self.shown(indices, targets)}


def read_files(
    root: Path, made: GeneratedSet | None, cache: Path, progress: Progress
) -> tuple[dict[str, PcamSplit], dict[str, str]]:
    """Return the three splits whole, and file name -> MD5 of all that was read.

    Groups are the slides of the table ``..._meta.csv`` (column ``wsi``), where there is one.

    Args:
        cache: where packed files are unpacked if ``root`` is read-only.
    """
    files = {part: _unpacked(root, part, cache, progress) for part in MD5}
    sums = checksums([*files.values(), *sorted(root.glob("*_mask.h5"))], cache, progress)
    names = ("evidence", "tag") if made and made.tagged else ("evidence",)
    splits = {}
    for split in SIZES:
        labels = _labels(files[f"{split}_y"])
        patches = _patches(files[f"{split}_x"], len(labels))
        slides = _slides(root / file_name(f"{split}_meta", "csv"), len(labels))
        masks = (root / file_name(f"{split}_mask"), names) if made else None
        splits[split] = PcamSplit.whole(split, patches, labels, slides, masks)
    return splits, sums


def _patches(file: Path, total: int) -> h5py.Dataset:
    patches = opened(file).get("x")
    shape = getattr(patches, "shape", None)
    if shape != (total, SIDE, SIDE, 3) or patches.dtype != np.uint8:
        raise UserError(
            f"{file}: must hold 'x', uint8 of shape ({total}, {SIDE}, {SIDE}, 3), as many "
            f"as labels; has {getattr(patches, 'dtype', 'none')} {shape}"
        )
    return patches


def _labels(file: Path) -> Int[np.ndarray, " total"]:
    with opened(file) as content:
        found = content.get("y")
        labels = found[:] if isinstance(found, h5py.Dataset) else np.zeros(0)
    if labels.ndim != 4 or labels.shape[1:] != (1, 1, 1) or not np.isin(labels, (0, 1)).all():
        raise UserError(
            f"{file}: must hold 'y' of shape (N, 1, 1, 1) with 0 and 1, has {labels.shape}"
        )
    return labels.reshape(-1).astype(np.int64)


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
