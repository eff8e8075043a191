"""The two files of the pneumothorax set: pixels of any scale, one-hot labels, patients if named."""

from __future__ import annotations

from pathlib import Path

from xaibench.errors import UserError
from xaibench.imaging.arrays.files import Keys, find_parts
from xaibench.imaging.arrays.labels import labels_of
from xaibench.imaging.arrays.splits import ArrayMasks, ArraySplit, whole_splits
from xaibench.imaging.checksums import checksums
from xaibench.imaging.recipe_folder import GeneratedSet
from xaibench.progress import Progress

CLASSES = ("no_pneumothorax", "pneumothorax")
FILES = {name: f"pneumothorax_{name}.h5" for name in ("train", "test")}
MASK_FILES = {name: f"pneumothorax_{name}_mask.h5" for name in FILES}
"""Of the true masks of generated images."""


def read_files(
    root: Path, made: GeneratedSet | None, cache: Path, progress: Progress
) -> tuple[dict[str, ArraySplit], dict[str, str]]:
    """Return the two files, each as a split, and file name -> MD5 of all that was read.

    Raises:
        UserError: what is wrong with a file; images of two sizes, or in colour.
    """
    files = [root / name for name in FILES.values()]
    masks = {}
    if made:
        files += [root / name for name in MASK_FILES.values()]
        names = ("evidence", "tag", "lungs") if made.tagged else ("evidence", "lungs")
        masks = {name: f"pneumothorax_{{split}}_mask/{name}" for name in names}
    named = (f"pneumothorax_{{split}}/{name}" for name in ("image", "label", "patient"))
    parts = find_parts(root, files, Keys(*named, masks, need_groups=False))
    arrays = {split: part.labels for split, part in parts.items()}
    labels = labels_of(arrays, CLASSES, one_hot=True).of
    of_one = ArrayMasks(only=1, always=frozenset({"lungs"}))
    splits = whole_splits(parts, labels, of_one, progress)
    if (channels := splits["train"].pixels.shape[-1]) != 1:
        raise UserError(f"images: those of {root} have {channels} channels; they must be grey")
    return splits, checksums(files, cache, progress)
