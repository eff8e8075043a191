"""Drawn radiographs as files: an image and its true masks, and sets of many of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import PositiveInt

from xaibench.imaging.mask_files import FOLDER, encoded, write_masks
from xaibench.phantoms.base import Phantoms
from xaibench.phantoms.drawing import drawn_in_order
from xaibench.phantoms.radiographs import RADIOGRAPH_VERSION
from xaibench.progress import Progress
from xaibench.types import Mask


@dataclass(frozen=True)
class Picture:
    """An image and its masks that are not empty, as the bytes of their files."""

    image: bytes
    masks: Mapping[str, bytes]

    @classmethod
    def of(cls, image: Image.Image, masks: Mapping[str, Mask], **saved: Any) -> Picture:
        """Encode an image, as ``Image.save`` is told to, and its masks."""
        file = BytesIO()
        image.save(file, **saved)
        return cls(file.getvalue(), encoded(masks))

    def write(self, root: Path, file: str, name: str) -> None:
        """Write the image to a file below ``root``, and its masks by its name among them."""
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.image)
        write_masks(root / FOLDER, name, self.masks)


@dataclass(frozen=True)
class PicturePhantoms(Phantoms):
    """A set of radiographs as files, drawn one by one.

    A subclass says what is drawn: `cases`, each with its ``path`` below ``inside``, and `picture`.
    """

    images: PositiveInt = 600

    def parameters(self) -> dict[str, object]:
        return {"radiographs": RADIOGRAPH_VERSION, "images": self.images, "seed": self.seed}

    @abstractmethod
    def cases(self) -> Iterator[Any]:
        """Yield what a worker needs to draw each image; everything random follows from it."""

    @abstractmethod
    def picture(self, case: Any) -> Picture:
        """Draw an image."""

    def draw(self, folder: Path, progress: Progress, workers: int) -> None:
        cases = list(self.cases())
        with (
            progress.stage("drawing radiographs", len(cases)) as advance,
            drawn_in_order(self.picture, cases, workers) as drawn,
        ):
            for case, picture in zip(cases, drawn, strict=True):
                picture.write(folder, f"{self.inside}/{case.path}", case.path)
                advance(1)
