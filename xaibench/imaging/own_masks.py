"""Where the evidence is, as the masks in a user's own files say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool
from PIL import ImageOps

from xaibench.errors import UserError
from xaibench.imaging.checksums import file_checksums
from xaibench.imaging.image_files import EXTENSIONS, BadImage, open_image, why_unreadable
from xaibench.imaging.picture_sets import Asked
from xaibench.progress import Progress
from xaibench.types import Labels, Mask, Rows

NAME = "evidence"
_COLOURS = ("RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr")


@dataclass(frozen=True)
class OwnMasks:
    """Where the evidence for an image's own label is; all False for others, and without a file.

    Attributes:
        files: path of an image -> its mask's file.
    """

    files: Mapping[str, Path]

    def __call__(self, asked: Asked) -> dict[str, Bool[np.ndarray, "n tall wide"]]:
        masks = []
        speaks = shown(asked.labels, asked.targets)
        for row, speak in zip(asked.rows.itertuples(index=False), speaks, strict=True):
            size = int(row.height), int(row.width)
            known = speak and row.path in self.files
            masks.append(
                read_own_mask(self.files[row.path], size) if known else np.zeros(size, bool)
            )
        return {NAME: asked.carry(masks)}


def masks_known(files: Mapping[str, Path], cache: Path, progress: Progress) -> str:
    """Return what a set of masks follows from: each image's path and its mask's checksum.

    Raises:
        UserError: a mask's file cannot be read.
    """
    for path, file in files.items():
        if reason := why_unreadable(file):
            raise UserError(f"masks: {file}, of {path}, {reason}; mend it, or leave its name out")
    sums = file_checksums(list(files.values()), cache, progress)
    return "\n".join(f"{path} {md5}" for path, md5 in zip(files, sums, strict=True))


def find_masks(folder: Path, paths: Sequence[str], suffix: str) -> dict[str, Path]:
    """Return path of an image -> its mask: ``folder / PATH`` with ``suffix`` behind its stem.

    The extension may be that of any image file. Images without a mask are left out.

    Raises:
        UserError: there is no such folder, or no image has a mask in it.
    """
    if not folder.is_dir():
        raise UserError(f"masks: {folder} is no folder (working directory {Path.cwd()})")
    found = {}
    for path in paths:
        bare = PurePosixPath(path)
        stem = folder / bare.with_name(f"{bare.stem}{suffix}")
        tried = [stem.with_name(f"{stem.name}{bare.suffix}")]
        tried += [stem.with_name(f"{stem.name}{end}") for end in sorted(EXTENSIONS)]
        if file := next((file for file in tried if file.is_file()), None):
            found[path] = file
    if not found:
        wanted = PurePosixPath(paths[0]).with_suffix("") if paths else "PATH"
        raise UserError(
            f"masks: {folder} has a mask of none of the {len(paths)} images; looked for "
            f"{wanted}{suffix} with an image's extension"
        )
    return found


def read_own_mask(file: Path, size: tuple[int, int]) -> Mask:
    """Return the pixels above half of the file's brightest one, the right way up.

    So 0 and 1, 0 and 255, and a JPEG's shades of both are all understood.

    Args:
        size: height and width that the mask must have, its image's.
    """
    try:
        with open_image(file) as opened:
            turned = ImageOps.exif_transpose(opened)
            grey = turned.convert("L") if turned.mode in _COLOURS else turned
            values = np.asarray(grey).astype(np.float32)
    except BadImage as bad:
        raise UserError(f"masks: {bad}; mend or remove it") from None
    except Exception as error:  # decoders of broken bytes raise nearly anything
        raise UserError(
            f"masks: {file} cannot be read as an image ({error}); mend or remove it"
        ) from None
    if not np.isfinite(values).all():
        raise UserError(f"masks: {file} holds pixels that are no number; mend or remove it")
    if values.shape != size:
        raise UserError(
            f"masks: {file} has {values.shape[0]} x {values.shape[1]} pixels, its image "
            f"{size[0]} x {size[1]}; they must be the same"
        )
    return values > values.max() / 2


def shown(labels: Labels, targets: Rows) -> Bool[np.ndarray, " n"]:
    """Return whether each image shows its target, by its labels; 0.5 and more of several does."""
    if labels.ndim == 1:
        return labels == targets
    return np.take_along_axis(labels, targets[:, None], axis=1)[:, 0] >= 0.5
