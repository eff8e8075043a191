"""Image files that are none, are of another kind than their name says, or say what cannot be."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from bad_case import CACHE, OUT, Case, both, written
from PIL import Image

TITLE = "Images"
WORDS = ("data", "stats", "image_folder", "--root", "set", *CACHE, *OUT)
TABLE = ("data", "stats", "image_table", "--root", "set", "--set", "table=t.csv", *CACHE, *OUT)
LABEL = ("--set", "label=class")
ODD = "set/b/odd.png"
ONE_OF_9 = "1 of 9 image files are bad: "
MEND = "; mend or remove them, or raise allowed_bad (now 0) to leave them out"
SIDE = 12


def encoded(pixels: np.ndarray, kind: str = "PNG", **more: object) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind, **more)
    return file.getvalue()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def good(folder: Path) -> None:
    """Eight images of two classes."""
    for number in range(8):
        file = folder / "set" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(noise(SIDE, SIDE, seed=number)))


def odd(content: str | bytes, name: str = ODD) -> Callable[[Path], object]:
    """Return what writes the eight, and a ninth that is odd."""
    return both(good, written(name, content))


def made(make: Callable[[Path], object], name: str = ODD) -> Callable[[Path], object]:
    """The same where ``make`` makes the ninth at its place."""
    return both(good, lambda folder: make(folder / name))


def bad(what: str, reason: str, make: Callable[[Path], object], name: str = ODD) -> Case:
    return Case(what, WORDS, f"{ONE_OF_9}{name}: {reason}{MEND}", make)


def several(kind: str) -> bytes:
    rest = [Image.fromarray(noise(SIDE, SIDE, seed=number)) for number in (1, 2)]
    return encoded(noise(SIDE, SIDE), kind, save_all=True, append_images=rest)


def png(width: int, height: int, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of a header, and chunks of (type, content)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(held)) + kind + held + struct.pack(">I", zlib.crc32(kind + held))
        for kind, held in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def tabled(rows: str, *more: Callable[[Path], object]) -> Callable[[Path], object]:
    lines = "".join(f"{'ab'[n % 2]}/{n}.png,{'ab'[n % 2]},\n" for n in range(8))
    return both(good, written("set/t.csv", f"path,class,mask\n{lines}{rows}"), *more)


JPEG = encoded(noise(40, 40, 3), "JPEG")
PNG = encoded(noise(40, 40, 3))
WIDE = np.full((SIDE, SIDE), 4096, np.uint16)
SEVERAL = (
    "holds 3 pictures; save the one that is meant, or set frames to first, middle or all where "
    "images are one's own"
)

CASES = (
    bad("a JPEG breaks off", "cannot be decoded (…)", odd(JPEG[: len(JPEG) // 2])),
    bad("a PNG breaks off", "cannot be decoded (…)", odd(PNG[: len(PNG) // 2])),
    bad("it is empty", "is empty", odd(b"")),
    bad("it is a web page", "is no image: it is a web page", odd("<!DOCTYPE html>\n<html>404")),
    bad(
        "it is a pointer of Git LFS",
        "is no image: it is a pointer of Git LFS; `git lfs pull` fetches the image",
        odd("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
    ),
    bad(
        "it is a drawing of lines",
        "is no image: it is a drawing of lines (SVG), which has no pixels",
        odd("<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ),
    bad("it is a program for a printer", "is no image", odd("%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n")),
    bad(
        "it is DICOM",
        "is no image: it is a DICOM file, whose name must end in .dcm",
        odd(bytes(128) + b"DICM"),
    ),
    bad(
        "its extension is DICOM's",
        "has no DICM preamble, …",
        odd(PNG, "set/b/x.dcm"),
        "set/b/x.dcm",
    ),
    bad("its GIF moves", SEVERAL, odd(several("GIF"))),
    bad("its TIFF has pages", SEVERAL, odd(several("TIFF"), "set/b/odd.tif"), "set/b/odd.tif"),
    bad(
        "its pixels are floats",
        "has floating-point pixels, whose range is unknown",
        odd(encoded(noise(SIDE, SIDE).astype(np.float32) / 255, "TIFF")),
    ),
    bad(
        "its pixels have 32 bits",
        "has pixels of more than 16 bits (70000 to 70000)",
        odd(encoded(np.full((SIDE, SIDE), 70_000, np.int32), "TIFF")),
    ),
    Case(
        "its pixels have more bits than was said",
        (*WORDS, "--set", "bits=12"),
        f"{ONE_OF_9}{ODD}: has pixels of more than 12 bits (4096 to 4096){MEND}",
        odd(encoded(WIDE)),
    ),
    bad(
        "its header announces 900 million pixels",
        "is over 64000000 pixels",
        odd(png(30_000, 30_000)),
    ),
    bad("its header announces no pixels", "is no image", odd(png(0, 5))),
    bad(
        "its text unpacks to 90 million letters",
        "cannot be decoded (…)",
        odd(png(8, 8, (b"zTXt", b"k\0\0" + zlib.compress(b"a" * 90_000_000)))),
    ),
    bad(
        "its link leads nowhere", "is not there", made(lambda file: file.symlink_to("nowhere.png"))
    ),
    bad(
        "its link leads round",
        "cannot be read (Too many levels of symbolic links)",
        made(lambda file: file.symlink_to("odd.png")),
    ),
    bad("it is a pipe", "is no regular file", made(os.mkfifo)),
    bad(
        "its name breaks the line and colours the terminal",
        "is empty",
        odd(b"", "set/b/new\nline\x1b[31m.png"),
        "set/b/new line\\x1b[31m.png",
    ),
    Case(
        "its name is no text",
        WORDS,
        "set/b/latin\\udce9.png: its name is no UTF-8, so that no table can hold it; rename it",
        made(lambda folder: (folder / os.fsdecode(b"latin\xe9.png")).write_bytes(PNG), "set/b"),
    ),
    Case(
        "the table names it in other letters",
        (*TABLE, *LABEL),
        f"{ONE_OF_9}set/a/IMG_1.png: is not there, but IMG_1.PNG is (line 10 of t.csv){MEND}",
        tabled("a/IMG_1.png,a,\n", written("set/a/IMG_1.PNG", PNG)),
    ),
    Case(
        "the table names a folder",
        (*TABLE, *LABEL),
        f"{ONE_OF_9}set/a/x.png: is a folder (line 10 of t.csv){MEND}",
        tabled("a/x.png,a,\n", lambda folder: (folder / "set/a/x.png").mkdir()),
    ),
    Case(
        "its name is longer than any",
        (*TABLE, *LABEL),
        f"{ONE_OF_9}set/aaa…aaa.png: cannot be read (File name too long) (line 10 of t.csv){MEND}",
        tabled(f"{'a' * 500}.png,a,\n"),
    ),
    Case(
        "sizes differ, and nothing makes them one",
        (*WORDS, "--set", "resize=null"),
        "resize: is null, but images differ in height x width: 8 of 12 x 12, 1 of 40 x 40; set "
        "resize: {size: [12, 12]}, or another size, to make them one",
        odd(PNG),
    ),
    Case(
        "a crop, and nothing makes sizes one",
        (*WORDS, "--set", "resize=null", "--set", "crop={}"),
        "--set resize=null: resize: is null, but what crop leaves of images differs in size; set "
        "resize: {size: 224}, or leave crop out",
        good,
    ),
    Case(
        "frames that are none of those there are",
        (*WORDS, "--set", "frames=last"),
        "--set frames=last: frames: must be 'error', 'first', 'middle' or 'all', got 'last' …",
        good,
    ),
    Case(
        "pictures of one file, and a mask of the whole",
        (*WORDS, "--set", "frames=all", "--set", "masks=masks"),
        "frames: all, but masks and boxes are of whole files, and b/odd.tif holds 3 pictures; set "
        "frames to first or middle, or leave the masks out",
        both(
            odd(several("TIFF"), "set/b/odd.tif"),
            written("masks/b/odd.png", encoded(noise(12, 12))),
        ),
    ),
    Case(
        "the table names a mask that is not there",
        (*TABLE, *LABEL, "--set", "mask=mask"),
        "masks: set/masks/1.png, of c.png, is not there; mend it, or leave its name out",
        tabled("c.png,a,masks/1.png\n", written("set/c.png", PNG)),
    ),
)
