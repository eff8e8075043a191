"""What a file is that is called an image and is none."""

from __future__ import annotations

from pathlib import Path

_READ = 512  # bytes
_BEGINNINGS = {
    b"<!doctype html": "is a web page",
    b"<html": "is a web page",
    b"<svg": "is a drawing of lines (SVG), which has no pixels",
    b"%pdf": "is a PDF",
    b"version https://git-lfs": "is a pointer of Git LFS; `git lfs pull` fetches the image",
    b"pk\x03\x04": "is an archive (ZIP)",
    b"\x1f\x8b": "is packed by gzip",
}


def no_image(path: Path) -> str:
    """Return what is said of a file whose bytes are no image that can be read."""
    try:
        with path.open("rb") as file:
            begins = file.read(_READ)
    except OSError:
        return "is no image"
    if begins[128:132] == b"DICM":
        return "is no image: it is a DICOM file, whose name must end in .dcm"
    begins = begins.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    said = (what for known, what in _BEGINNINGS.items() if begins.startswith(known))
    return f"is no image: it {what}" if (what := next(said, "")) else "is no image"
