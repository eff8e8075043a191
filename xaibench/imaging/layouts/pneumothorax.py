"""The two files of the pneumothorax set: pixels of any scale, one-hot labels, patients if named."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from xaibench.errors import UserError
from xaibench.imaging.hdf5 import opened
from xaibench.imaging.recipe_folder import GeneratedSet
from xaibench.imaging.stored import StoredSplit
from xaibench.progress import Progress
from xaibench.types import Rows

FILES = {name: f"pneumothorax_{name}.h5" for name in ("train", "test")}
MASK_FILES = {name: f"pneumothorax_{name}_mask.h5" for name in FILES}
"""Of the true masks of generated images."""
_CHUNK = 64  # images read at once when all pixels are looked at


def read_files(root: Path, made: GeneratedSet | None, progress: Progress) -> dict[str, StoredSplit]:
    """Return the two files, each as a split.

    Raises:
        UserError: what is wrong with a file; images of two sizes, a patient in both files.
    """
    names = ("evidence", "tag", "lungs") if made and made.tagged else ("evidence", "lungs")
    splits = {}
    for name in FILES:
        masks = (root / MASK_FILES[name], names) if made else None
        splits[name] = _read(name, root / FILES[name], masks, progress)
    train, test = splits["train"], splits["test"]
    sizes = [split.stored.shape[1:3] for split in (train, test)]
    if sizes[0] != sizes[1]:
        raise UserError(f"{root}: images of train are {sizes[0]}, of test {sizes[1]}")
    # Where no patients are named, groups are ids, which are never the same.
    if both := sorted(set(train.groups) & set(test.groups)):
        raise UserError(
            f"{root}: {len(both)} patients have images in both files ({', '.join(both[:3])}"
            f"{', ...' * (len(both) > 3)}); move each to one of them"
        )
    return splits


def _read(
    name: str, file: Path, masks: tuple[Path, tuple[str, ...]] | None, progress: Progress
) -> StoredSplit:
    held = opened(file)
    images, labels = held.get("image"), held.get("label")
    for key, found in (("image", images), ("label", labels)):
        if not isinstance(found, h5py.Dataset):
            raise UserError(
                f"{file}: has no data set {key!r}; it must hold 'image' (N, 256, 256, 1) and "
                f"'label' (N, 2), and holds {', '.join(held) or 'nothing'}"
            )
    if images.ndim != 4 or images.shape[-1] != 1 or 0 in images.shape:
        raise UserError(f"{file}: 'image' must be of shape (N, 256, 256, 1), is {images.shape}")
    rows = _one_hot(file, labels, len(images))
    patients = _patients(file, held.get("patient"), len(images))
    return StoredSplit.whole(name, images, rows, patients, masks, _scale(file, images, progress))


def _one_hot(file: Path, labels: h5py.Dataset, total: int) -> Rows:
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


def _patients(
    file: Path, found: h5py.Dataset | None, total: int
) -> Shaped[np.ndarray, " n"] | None:
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
