"""One file of the pneumothorax set: pixels of any scale, one-hot labels, and patients if named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int, Shaped

from xaibench.datasets.base import Images
from xaibench.datasets.hdf5 import opened, read_rows
from xaibench.errors import UserError
from xaibench.progress import Progress

_CHUNK = 64  # images read at once when all pixels are looked at


@dataclass(frozen=True, eq=False)
class Radiographs:
    """An open file.

    Attributes:
        labels: (n,) 1 for pneumothorax.
        patients: (n,) as text, None where the file names none.
        scale: what the stored pixels are divided by to lie in [0, 1].
    """

    images: h5py.Dataset
    labels: Int[np.ndarray, " n"]
    patients: Shaped[np.ndarray, " n"] | None
    scale: float

    @classmethod
    def open(cls, file: Path, progress: Progress) -> Radiographs:
        """Open and check a file; UserError names what is wrong with it."""
        held = opened(file)
        images, labels = held.get("image"), held.get("label")
        for name, found in (("image", images), ("label", labels)):
            if not isinstance(found, h5py.Dataset):
                raise UserError(
                    f"{file}: has no data set {name!r}; it must hold 'image' (N, 256, 256, 1) and "
                    f"'label' (N, 2), and holds {', '.join(held) or 'nothing'}"
                )
        if images.ndim != 4 or images.shape[-1] != 1 or 0 in images.shape:
            raise UserError(f"{file}: 'image' must be of shape (N, 256, 256, 1), is {images.shape}")
        rows = _one_hot(file, labels, len(images))
        patients = _patients(file, held.get("patient"), len(images))
        return cls(images, rows, patients, _scale(file, images, progress))

    def pixels(self, rows: Int[np.ndarray, " n"]) -> Images:
        """Return (n, H, W, 1): uint8 as stored, or float32 in [0, 1]."""
        stored = read_rows(self.images, rows)
        if stored.dtype == np.uint8:
            return stored
        return (stored / self.scale).astype(np.float32)


def _one_hot(file: Path, labels: h5py.Dataset, total: int) -> Int[np.ndarray, " n"]:
    if labels.shape != (total, 2):
        raise UserError(
            f"{file}: 'label' must be of shape ({total}, 2), a row an image; is {labels.shape}"
        )
    values = labels[:]
    if not np.isin(values, (0, 1)).all():
        row = int(np.flatnonzero(~np.isin(values, (0, 1)).all(1))[0])
        raise UserError(f"{file}: 'label' must hold 0 and 1; row {row} is {values[row].tolist()}")
    hot = (values == 1).sum(axis=1)
    if (wrong := np.flatnonzero(hot != 1)).size:
        said = ", ".join(f"row {row} has {('none', '', 'two')[hot[row]]}" for row in wrong[:3])
        raise UserError(
            f"{file}: 'label' must have one 1 in each row; {len(wrong)} of {total} have not: {said}"
            f"{', ...' * (len(wrong) > 3)}; mend or remove these rows"
        )
    return values[:, 1].astype(np.int64)


def _patients(file: Path, found: h5py.Dataset | None, total: int) -> np.ndarray | None:
    if found is None:
        return None
    if found.shape != (total,) or found.dtype.kind not in "iuSO":
        raise UserError(
            f"{file}: 'patient' must be whole numbers or text of shape ({total},); is "
            f"{found.dtype} {found.shape}; mend or remove it"
        )
    text = found if found.dtype.kind in "iu" else found.asstr()
    return text[:].astype(str)


def _scale(file: Path, images: h5py.Dataset, progress: Progress) -> float:
    """Return 255 or 1, whichever the pixels need: every one of them is looked at."""
    if images.dtype == np.uint8:
        return 255.0
    if images.dtype.kind != "f":
        raise UserError(f"{file}: 'image' must be uint8 or float, is {images.dtype}")
    low, high = np.inf, -np.inf
    with progress.stage(f"Looking at the pixels of {file.name}", len(images)) as advance:
        for first in range(0, len(images), _CHUNK):
            part = images[first : first + _CHUNK]
            if not np.isfinite(part).all():
                row = first + int(np.flatnonzero(~np.isfinite(part).all((1, 2, 3)))[0])
                raise UserError(f"{file}: 'image' row {row} holds pixels that are no number")
            low, high = min(low, part.min()), max(high, part.max())
            advance(len(part))
    if low < 0 or high > 255:
        raise UserError(
            f"{file}: 'image' must lie in [0, 1] or in 0..255; lies in [{low:g}, {high:g}]"
        )
    scale = 255.0 if high > 1 else 1.0
    stored = "0..255" if scale == 255 else "[0, 1]"
    progress.say(f"{file.name}: pixels are {images.dtype} in {stored} (largest {high:g})")
    return scale
