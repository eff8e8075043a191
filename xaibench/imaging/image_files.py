"""Image files as pictures, grey or in colour; a file that is none is named with the reason."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from xaibench.errors import UserError
from xaibench.imaging.no_image import no_image
from xaibench.imaging.reading import Frames, Reading
from xaibench.types import ColourPicture, Picture

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"})
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000")
"""What a file may hold, whatever its name says. Pillow knows more, one of which runs a program."""

MAX_PIXELS = 64_000_000
"""Larger than any radiograph; a file that unpacks to more is refused before it is unpacked."""
_UNDECODED = re.compile("[\ud800-\udfff]")  # bytes of a name that are no text


class BadImage(Exception):  # noqa: N818 - it is about a file, and is mostly kept, not raised
    """A file that cannot be read as an image: ``path``, and ``reason`` in a few words."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def is_meant(name: str) -> bool:
    """Return whether a file or folder of this name is more than a trace of an operating system."""
    return not name.startswith(".") and name != "__MACOSX"


def find_images(root: Path) -> list[Path]:
    """Return every image file below ``root`` by its extension in any case, sorted by path.

    As `find_files`.
    """
    return find_files(root, is_image)


def is_image(path: Path) -> bool:
    """Return whether a file is meant as an image, by its extension."""
    return path.suffix.lower() in EXTENSIONS


def find_files(root: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """Return every file below ``root`` that is wanted, sorted by path.

    Leaves out ``__MACOSX``, hidden folders and hidden files (``._name`` copies among them). Links
    to folders are followed, but for those that lead to a folder which they lie in.

    Raises:
        UserError: ``root`` is no folder, a folder cannot be read, or a name is no text.
    """
    if not root.is_dir():
        raise UserError(f"{root}: is no folder; name the folder that holds the images")
    found = sorted(filter(wanted, _files(root, root.resolve(), frozenset())))
    for file in found:
        if _UNDECODED.search(str(file)):
            raise UserError(
                f"{file}: its name is no UTF-8, so that no table can hold it; rename it"
            )
    return found


def _files(folder: Path, real: Path, passed: frozenset[Path]) -> Iterator[Path]:
    """Yield the files below a folder.

    Args:
        real: the folder without links.
        passed: folders, without links, in which links were followed on the way to it.
    """
    try:
        entries = [entry for entry in os.scandir(folder) if is_meant(entry.name)]
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be read ({error.strerror}); let it be read, or move it away"
        ) from None
    for entry in entries:
        inside, link = Path(entry.path), entry.is_symlink()
        if not (inside if link else entry).is_dir():  # an entry raises where a link is a circle
            yield inside
        elif not link:
            yield from _files(inside, real / entry.name, passed)
        else:
            there = inside.resolve()
            if not any(folder.is_relative_to(there) for folder in (real, *passed)):
                yield from _files(inside, there, passed | {real})


def read_grey(path: Path, bits: int = 16) -> Picture:
    """Return the picture in grey, 0 to 255, the right way up.

    Colours become luma (ITU-R 601), which leaves grey copied to three channels as it is; a palette
    is looked up; 1 bit becomes 0 and 255; of 16 bits, 2^bits - 1 becomes 255. Transparency is left
    out, since it says nothing of the exposure. A camera's note of how it was held (EXIF) is heeded.
    Raises `BadImage` for a file that is empty, corrupt, truncated, too large to unpack, of several
    pictures, or no image.
    """
    (picture,) = read_images(path, Reading(bits=bits))
    return picture


def read_colour(path: Path, bits: int = 16) -> ColourPicture:
    """Return the picture in red, green and blue, 0 to 255, as `read_grey` reads it else.

    Grey is copied to the three channels. CMYK is converted without its colour profile.
    """
    (picture,) = read_images(path, Reading(colour=True, bits=bits))
    return picture


def read_images(
    path: Path, reading: Reading, numbers: Sequence[int] | None = None
) -> Iterator[Picture | ColourPicture]:
    """Yield pictures of an image file as `read_grey` or `read_colour` says.

    Args:
        numbers: of the pictures, from 0; None for the one that ``reading.frames`` names.

    Raises:
        BadImage: as `read_grey`; a picture that is not there.
    """
    convert = _colour if reading.colour else _grey
    try:
        with open_image(path) as image:
            count = _count(image)
            for number in [chosen(path, count, reading.frames)] if numbers is None else numbers:
                if image.tell() != number:
                    image.seek(number)
                yield convert(path, ImageOps.exif_transpose(image), reading.bits or 16)
    except BadImage:
        raise
    except Exception as error:  # decoders of broken bytes raise nearly anything
        raise BadImage(path, _reason(path, error)) from None


def count_images(path: Path) -> int:
    """Return how many pictures an image file holds; BadImage where it is none."""
    try:
        with open_image(path) as image:
            return _count(image)
    except BadImage:
        raise
    except Exception as error:
        raise BadImage(path, _reason(path, error)) from None


def chosen(path: Path, count: int, frames: Frames) -> int:
    """Return the number of the picture that counts of so many; BadImage where none is named."""
    if count == 1 or frames == "first":
        return 0
    if frames == "middle":
        return count // 2
    raise BadImage(
        path,
        f"holds {count} pictures; save the one that is meant, or set frames to first, middle or "
        "all where images are one's own",
    )


def luma(
    colours: UInt8[np.ndarray, "*n height width 3"],
) -> UInt8[np.ndarray, "*n height width"]:
    """Return colour pictures in grey (ITU-R 601), rounded as Pillow rounds it."""
    red, green, blue = (colours[..., at].astype(np.uint32) for at in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)


def open_image(path: Path) -> Image.Image:
    """Return an image file opened, its header read and its pixels not.

    Raises:
        BadImage: it cannot be read, is no image, or its pixels are more than `MAX_PIXELS`.
    """
    if reason := why_unreadable(path):
        raise BadImage(path, reason)
    try:
        image = Image.open(path, formats=FORMATS)
    except Exception as error:  # decoders of broken bytes raise nearly anything
        raise BadImage(path, _reason(path, error)) from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise BadImage(path, f"is {image.width}x{image.height}, over {MAX_PIXELS} pixels")
    return image


def why_unreadable(path: Path) -> str | None:
    """Return why a file's bytes cannot be read, in a few words; None where they can.

    It is not opened: whoever opens a pipe waits for its other end.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return "is not there"
    except OSError as error:  # a link that leads round, a name that is too long
        return f"cannot be read ({error.strerror})"
    if stat.S_ISDIR(found.st_mode):
        return "is a folder"
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    if not os.access(path, os.R_OK):
        return "cannot be read (Permission denied)"
    return None if found.st_size else "is empty"


def is_wide(image: Image.Image) -> bool:
    """Return whether an image has one channel of more than 8 bits."""
    return image.mode.startswith("I")


def _count(image: Image.Image) -> int:
    # A camera's second picture (MPO) is a copy; elsewhere nobody knows which is meant.
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def _grey(path: Path, image: Image.Image, bits: int) -> Picture:
    if is_wide(image):
        return _of_wide(path, np.asarray(image), bits)
    return np.array(_plain(path, image).convert("L"))


def _colour(path: Path, image: Image.Image, bits: int) -> ColourPicture:
    if is_wide(image):
        return np.repeat(_of_wide(path, np.asarray(image), bits)[..., None], 3, axis=-1)
    return np.array(_plain(path, image).convert("RGB"))


def _plain(path: Path, image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise BadImage(path, "has floating-point pixels, whose range is unknown")
    # A palette with transparency can become nothing else.
    return image.convert("RGBA") if image.mode in ("P", "PA") else image


def _of_wide(path: Path, wide: np.ndarray, bits: int) -> Picture:
    top = 2**bits - 1
    if wide.min() < 0 or wide.max() > top:
        raise BadImage(path, f"has pixels of more than {bits} bits ({wide.min()} to {wide.max()})")
    return ((wide.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if isinstance(error, Image.UnidentifiedImageError):
        return no_image(path)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"is over {MAX_PIXELS} pixels"
    return f"cannot be decoded ({error or type(error).__name__})"
