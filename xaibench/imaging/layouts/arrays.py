"""Arrays of images and labels in NPZ, NPY and HDF5 files, MedMNIST's among them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from xaibench.errors import UserError, did_you_mean
from xaibench.imaging.hdf5 import opened, read_rows
from xaibench.types import Rows

SPLITS = {"train": ("train",), "valid": ("val", "valid", "validation"), "test": ("test",)}
WHOLE = "all"
"""The part of a file whose arrays are of no split."""
_CHUNK = 64  # images looked at at once
_CHANNELS = (1, 3)

Stored = np.ndarray | h5py.Dataset
"""An array in memory, mapped, or in a file."""


@dataclass(frozen=True)
class Keys:
    """What arrays are called, with a split (``train_x``, ``x_train``, ``train/x``) or without."""

    images: str
    labels: str
    groups: str | None
    masks: str | None

    @property
    def all(self) -> dict[str, str]:
        named = {k: getattr(self, k) for k in ("images", "labels", "groups", "masks")}
        return {what: name for what, name in named.items() if name is not None}


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images of one array, read row by row.

    Attributes:
        stored: (total, height, width), (total, height, width, channel), or with channels first.
        first: whether channels come first.
        scale: what pixels are divided by to lie in [0, 1]; 255 of uint8, which stays as it is.
    """

    stored: Stored
    first: bool
    scale: float

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Images, height, width, channels."""
        total, *rest = self.stored.shape
        if len(rest) == 2:
            return (total, *rest, 1)
        return (total, *rest[1:], rest[0]) if self.first else (total, *rest)

    def read(
        self, rows: Rows
    ) -> UInt8[np.ndarray, "n height width channel"] | Float[np.ndarray, "n height width channel"]:
        pixels = _rows(self.stored, rows)
        if pixels.ndim == 3:
            pixels = pixels[..., None]
        elif self.first:
            pixels = np.ascontiguousarray(np.moveaxis(pixels, 1, -1))
        return pixels if pixels.dtype == np.uint8 else (pixels / self.scale).astype(np.float32)


def find_arrays(file: Path, keys: Keys) -> dict[str, dict[str, Stored]]:
    """Return split (or ``all``) -> images, labels, groups, masks, of a file or a folder of NPY.

    Raises:
        UserError: a file of another kind, or damaged; no images or labels, with what there is.
    """
    held = _held(file)
    parts: dict[str, dict[str, Stored]] = {}
    for split, names in {**SPLITS, WHOLE: ("",)}.items():
        found = {
            what: next((held[k] for k in _spelt(name, names) if k in held), None)
            for what, name in keys.all.items()
        }
        found = {what: array for what, array in found.items() if array is not None}
        if "images" in found:
            parts[split] = found
    if WHOLE in parts and len(parts) > 1:
        parts.pop(WHOLE)
    if not parts:
        hint = did_you_mean(keys.images, held)
        raise UserError(
            f"images: {file} has no array {keys.images!r}, nor train_{keys.images}{hint}"
        )
    for split, found in parts.items():
        if lacking := keys.all.keys() - found.keys() - {"masks"}:
            what = min(lacking)
            hint = did_you_mean(keys.all[what], held)
            raise UserError(f"{what}: {file} has images of {split} but no {keys.all[what]!r}{hint}")
        total = len(found["images"])
        for what, array in found.items():
            if len(array) != total:
                raise UserError(
                    f"{what}: {file} has {total} images of {split} and {len(array)} {what}; they "
                    "must be as many"
                )
    if WHOLE not in parts and (lacking := {"train", "test"} - parts.keys()):
        raise UserError(
            f"images: {file} has images of {', '.join(parts)} but none of {min(lacking)}; add "
            "them, or keep one array, which `fractions` splits"
        )
    return parts


def pixels_of(name: str, stored: Stored, bits: int | None) -> Pixels:
    """Return images that can be read: their layout, and the scale, told from every pixel.

    Raises:
        UserError: another shape or type, or a range that nobody can tell.
    """
    shape = stored.shape
    if len(shape) not in (3, 4) or 0 in shape:
        raise UserError(
            f"images: {name} is of shape {shape}; must be (N, height, width), with channels behind "
            "or before height and width"
        )
    last, first = shape[-1] in _CHANNELS, len(shape) == 4 and shape[1] in _CHANNELS
    if len(shape) == 4 and not (last or first):
        raise UserError(f"images: {name} is of shape {shape}; must have 1 or 3 channels")
    return Pixels(stored, first and not last, _scale(name, stored, bits))


def _held(file: Path) -> Mapping[str, Stored]:
    """Return name -> array of whatever a file, or a folder of NPY files, holds."""
    if file.is_dir():
        return {inside.stem: _loaded(inside) for inside in sorted(file.glob("*.npy"))}
    if not file.is_file():
        raise UserError(f"file: {file} is not there (working directory {Path.cwd()})")
    if h5py.is_hdf5(file):
        held: dict[str, Stored] = {}
        opened(file).visititems(
            lambda name, found: held.update({name: found}) if hasattr(found, "dtype") else None
        )
        return held
    if zipfile.is_zipfile(file):
        loaded = _loaded(file)
        try:
            return {name: loaded[name] for name in loaded.files}
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise _unreadable(file, error) from None
    raise UserError(f"file: {file} is neither NPZ nor HDF5, nor a folder of NPY files")


def _loaded(file: Path) -> np.ndarray | np.lib.npyio.NpzFile:
    try:
        mapped = "r" if file.suffix == ".npy" else None
        return np.load(file, mmap_mode=mapped, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> UserError:
    if "pickle" in str(error):
        return UserError(
            f"file: {file} holds Python objects, which could run code when they are read; save "
            "plain arrays"
        )
    return UserError(f"file: {file} cannot be read ({error}); write it anew")


def _spelt(name: str, splits: tuple[str, ...]) -> list[str]:
    if splits == ("",):
        return [name]
    return [form for s in splits for form in (f"{s}_{name}", f"{name}_{s}", f"{s}/{name}")]


def _rows(stored: Stored, rows: Rows) -> Shaped[np.ndarray, "n ..."]:
    return read_rows(stored, rows) if isinstance(stored, h5py.Dataset) else np.asarray(stored[rows])


def _scale(name: str, stored: Stored, bits: int | None) -> float:
    if stored.dtype == np.uint8:
        return 255.0
    if stored.dtype.kind not in "fu" or stored.dtype.itemsize > 8:
        raise UserError(f"images: {name} is {stored.dtype}; must be uint8, uint16 or float")
    low, high = np.inf, -np.inf
    for begin in range(0, len(stored), _CHUNK):
        part = np.asarray(stored[begin : begin + _CHUNK])
        if not np.isfinite(part).all():
            row = begin + int(np.flatnonzero(~np.isfinite(part).reshape(len(part), -1).all(1))[0])
            raise UserError(f"images: {name} holds pixels in row {row} that are no number")
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    if stored.dtype.kind == "u":
        top = bits or next(b for b in (8, 10, 12, 14, 16, 32, 64) if high < 2**b)
        if high >= 2**top:
            raise UserError(f"bits: are {top}, but {name} has pixels of {high:g}")
        return float(2**top - 1)
    if low < 0 or high > 255:
        raise UserError(
            f"images: {name} lies in [{low:g}, {high:g}]; must lie in [0, 1] or in 0..255"
        )
    return 255.0 if high > 1 else 1.0
