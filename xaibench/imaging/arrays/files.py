"""Arrays of images and labels in NPZ, NPY and HDF5 files, MedMNIST's among them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from xaibench.errors import UserError, did_you_mean
from xaibench.imaging.hdf5 import opened, read_rows
from xaibench.types import Rows

SPLITS = {"train": ("train",), "valid": ("val", "valid", "validation"), "test": ("test",)}
WHOLE = "all"
"""The part of a file whose arrays are of no split."""
_SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")


@dataclass(frozen=True, eq=False)
class Array:
    """An array in memory, mapped, or in a file, read row by row.

    Attributes:
        where: its name and file, for messages.
    """

    where: str
    stored: np.ndarray | h5py.Dataset

    def __len__(self) -> int:
        return len(self.stored) if self.stored.shape else 0

    def rows(self, rows: Rows) -> Shaped[np.ndarray, "n ..."]:
        """Return rows in any order, repeats allowed."""
        held = self.stored
        return read_rows(held, rows) if isinstance(held, h5py.Dataset) else np.asarray(held[rows])

    def whole(self) -> Shaped[np.ndarray, "n ..."]:
        return np.asarray(self.stored[:] if self.stored.shape else self.stored[()])


@dataclass(frozen=True)
class Keys:
    """What arrays are called: by a name, with its split before or behind (``train_x``, ``x_train``,
    ``train/x``) where there are splits; or by a pattern in which ``{split}`` stands for that.

    Attributes:
        masks: name of a mask -> its array, which may be missing.
        need_groups: whether groups that are named must be there.
    """

    images: str
    labels: str
    groups: str | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    need_groups: bool = True


@dataclass(frozen=True, eq=False)
class Part:
    """The arrays of a split, one row an image."""

    images: Array
    labels: Array
    groups: Array | None
    masks: Mapping[str, Array]


def files_of(place: Path) -> list[Path]:
    """Return a file alone, or those of arrays in a folder, by name."""
    if not place.is_dir():
        return [place]
    return sorted(file for file in place.iterdir() if file.suffix.lower() in _SUFFIXES)


def find_parts(place: Path, files: Sequence[Path], keys: Keys) -> dict[str, Part]:
    """Return split (or ``all``) -> its arrays.

    Of several files an array is called ``STEM/NAME``, in NPY files ``STEM``.

    Args:
        place: what the user named, for messages.

    Raises:
        UserError: a file of another kind, or damaged; no images or labels, with what there is;
            arrays of a split that differ in length, splits without train or test.
    """
    held = held_in(place, files)
    parts = {
        split: _part(place, held, keys, split, names)
        for split, names in {**SPLITS, WHOLE: ("",)}.items()
        if _find(held, keys.images, names)
    }
    if WHOLE in parts and len(parts) > 1:
        parts.pop(WHOLE)
    if not parts:
        hint = did_you_mean(keys.images, held)
        raise UserError(f"images: {place} has no array {_wanted(keys.images)}{hint}")
    if WHOLE not in parts and (lacking := {"train", "test"} - parts.keys()):
        which = f" ({_spelt(keys.images, SPLITS[min(lacking)])[0]})"
        raise UserError(
            f"images: {place} has images of {', '.join(parts)} but none of {min(lacking)}{which}; "
            "add them, or keep one array, which `fractions` splits"
        )
    return parts


def _part(
    place: Path, held: Mapping[str, Array], keys: Keys, split: str, names: Sequence[str]
) -> Part:
    find = lambda key: None if key is None else _find(held, key, names)
    found = {what: find(getattr(keys, what)) for what in ("images", "labels", "groups")}
    for what, array in found.items():
        needed = what != "groups" or keys.need_groups
        if array is None and needed and (key := getattr(keys, what)) is not None:
            key = _spelt(key, names)[0]
            hint = did_you_mean(key, held)
            raise UserError(f"{what}: {place} has images of {split} but no {key!r}{hint}")
    masks = {name: array for name, key in keys.masks.items() if (array := find(key)) is not None}
    total = len(found["images"])
    for what, array in {**found, **masks}.items():
        if array is not None and len(array) != total:
            raise UserError(
                f"{what}: {array.where} has {len(array)} rows for {total} images of {split}; they "
                "must be as many"
            )
    return Part(**found, masks=masks)


def _find(held: Mapping[str, Array], key: str, splits: Sequence[str]) -> Array | None:
    return next((held[name] for name in _spelt(key, splits) if name in held), None)


def _spelt(key: str, splits: Sequence[str]) -> list[str]:
    if "{split}" in key:
        return [key.replace("{split}", split) for split in splits if split]
    return [
        form
        for s in splits
        for form in ((f"{s}_{key}", f"{key}_{s}", f"{s}/{key}") if s else (key,))
    ]


def _wanted(key: str) -> str:
    return f"{key!r}" if "{split}" in key else f"{key!r}, nor train_{key}"


def held_in(place: Path, files: Sequence[Path]) -> dict[str, Array]:
    """Return name -> array of whatever the files hold; those of a folder by their file, too.

    Raises:
        UserError: a file of another kind, or damaged.
    """
    apart = len(files) > 1 or place.is_dir()
    held = {}
    for file in files:
        for name, stored in _arrays(file).items():
            called = f"{file.stem}/{name}".rstrip("/") if apart else name
            held[called] = Array(f"{name!r} of {file}" if name else str(file), stored)
    return held


def _arrays(file: Path) -> Mapping[str, np.ndarray | h5py.Dataset]:
    if not file.is_file():
        raise UserError(f"file: {file} is not there (working directory {Path.cwd()})")
    suffix = file.suffix.lower()
    if suffix == ".npy":
        return {"": _of_npy(file)}
    if suffix in (".h5", ".hdf5") or h5py.is_hdf5(file):
        return _datasets(opened(file))
    if zipfile.is_zipfile(file):
        return _of_npz(file)
    raise UserError(f"file: {file} is neither NPZ nor HDF5, nor a folder of NPY files")


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}
    file.visititems(
        lambda name, item: found.update({name: item}) if hasattr(item, "dtype") else None
    )
    return found


def _of_npy(file: Path) -> np.ndarray:
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable(file, error) from None


def _of_npz(file: Path) -> dict[str, np.ndarray]:
    try:  # opened here: NumPy leaves a file open that it cannot read
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> UserError:
    if "pickle" in str(error):
        return UserError(
            f"file: {file} holds Python objects, which could run code when they are read; save "
            "plain arrays"
        )
    return UserError(f"file: {file} cannot be read ({error}); write it anew")
