"""Synthetic NIH ChestX-ray14: phantoms of the chest in the folders and tables of the original.

What a phantom looks like is in ``radiographs``. True masks lie beside, one name for each finding.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Bool
from PIL import Image
from pydantic import Field, PositiveInt
from scipy.ndimage import binary_dilation, find_objects, label

from xaibench.imaging.layouts import nih
from xaibench.phantoms.base import Phantoms
from xaibench.phantoms.drawing import drawn_in_order
from xaibench.phantoms.pictures import Picture
from xaibench.phantoms.radiographs import RADIOGRAPH_VERSION, Anatomy, draw_radiograph
from xaibench.progress import Progress

# How often a finding is drawn beside the others. Skewed as in the original, but not by its factor
# of eighty, so that a small set has some of each.
WEIGHTS = dict(zip(nih.FINDINGS, (10, 5, 6, 4, 12, 4, 4, 3, 14, 6, 7, 4, 4, 12), strict=True))
BOXED = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia",
    "Pneumothorax",
)  # fmt: skip
IMAGES_PER_PATIENT = 5
IMAGES_PER_FOLDER = 500
_COUNTS = (0.4, 0.3, 0.2, 0.1)  # of images with 0, 1, 2 and 3 findings
_MODES = {"L": 0.92, "RGBA": 0.05, "P": 0.03}
_BOX_RATE, _TEST_RATE = 0.5, 0.2
_HEADER = (
    "Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender",
    "View Position", "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]", "",
)  # fmt: skip
_BOX_HEADER = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", "")
_BOX_NAMES = {"Infiltration": "Infiltrate"}
_SIZES, _PATIENT = range(2)  # independent random streams


@dataclass(frozen=True)
class NihPhantoms(Phantoms):
    """Patients with one to five images, of none to three findings each.

    Some PNGs are RGBA or have a palette, as in the original. Half of the findings that NIH boxed
    have a box around each part of their true mask.
    """

    generator = "nih_chestxray14_synthetic"
    version = (1, RADIOGRAPH_VERSION)

    root: Path = Path("data/nih_chestxray14_synthetic")
    images: PositiveInt = 900
    size: Annotated[int, Field(ge=64, le=1024)] = 128
    """Side in pixels as drawn; the data set's own ``size`` is another matter."""

    def parameters(self) -> dict[str, object]:
        return {"seed": self.seed, "images": self.images, "size": self.size}

    def draw(self, folder: Path, progress: Progress, workers: int) -> None:
        entries, boxes = [_HEADER], [_BOX_HEADER]
        lists: dict[str, list[str]] = {split: [] for split in nih.LISTS}
        with (
            progress.stage("drawing chest radiographs", self.images) as advance,
            drawn_in_order(self.patient, self._cases(), workers) as drawn,
        ):
            for images in drawn:
                for image in images:
                    inside = f"images_{1 + (len(entries) - 1) // IMAGES_PER_FOLDER:03d}/images"
                    image.picture.write(folder, f"{inside}/{image.name}", image.name)
                    entries.append(image.entry)
                    boxes += image.boxes
                    lists[image.split].append(image.name)
                advance(len(images))
        for file, rows in ((nih.ENTRIES[0], entries), (nih.BOXES, boxes)):
            with open(folder / file, "w", newline="") as opened:
                csv.writer(opened, lineterminator="\n").writerows(rows)
        for split, names in lists.items():
            (folder / nih.LISTS[split]).write_text("".join(f"{name}\n" for name in names))

    def patient(self, case: tuple[int, int]) -> list[_Image]:
        """Draw the images of a patient of some number; everything random follows from it."""
        number, count = case
        rng = np.random.default_rng([self.seed, _PATIENT, number])
        anatomy = Anatomy.draw(rng)
        who = (number, int(rng.integers(18, 90)), str(rng.choice(("M", "F"))), "PA")
        split = "test" if rng.random() < _TEST_RATE else "train"
        return [self._image(rng, anatomy, split, (at, *who)) for at in range(count)]

    def _cases(self) -> Iterator[tuple[int, int]]:
        """Yield the number of each patient, and how many images there are."""
        rng = np.random.default_rng([self.seed, _SIZES])
        number, left = 0, self.images
        while left > 0:
            count = min(int(rng.integers(1, IMAGES_PER_PATIENT + 1)), left)
            left -= count
            number += 1
            yield number, count

    def _image(
        self, rng: np.random.Generator, anatomy: Anatomy, split: str, who: tuple[int | str, ...]
    ) -> _Image:
        follow_up, number, *_ = who
        weights = np.array(list(WEIGHTS.values()))
        count = rng.choice(len(_COUNTS), p=_COUNTS)
        chosen = rng.choice(nih.FINDINGS, count, replace=False, p=weights / weights.sum())
        findings = {str(name): rng.uniform(0.4, 1) for name in sorted(chosen)}
        tag = self.marked(rng, nih.SHORTCUT_FINDING in findings)
        mode = rng.choice(list(_MODES), p=list(_MODES.values()))
        boxed = [name for name in findings if name in BOXED and rng.random() < _BOX_RATE]
        side = self.size
        drawn = draw_radiograph(
            rng, anatomy, findings, height=side, width=side, frame=False, tag=tag
        )
        # The palette of a grey picture holds every grey, so no mode changes a value.
        image = Image.fromarray(drawn.image).convert(str(mode))
        masks = {"lungs": drawn.lungs, "tag": drawn.tag, **drawn.findings}
        name = f"{number:08d}_{follow_up:03d}.png"
        return _Image(
            name,
            split,
            Picture.of(image, masks, format="PNG"),
            (name, "|".join(findings) or nih.NO_FINDING, *who, side, side, 1, 1, ""),
            [
                (name, _BOX_NAMES.get(finding, finding), *box, "", "", "")
                for finding in boxed
                for box in boxes_around(drawn.findings[finding])
            ],
        )


@dataclass(frozen=True)
class _Image:
    """A drawn image, the list that it stands in, and its rows in the tables."""

    name: str
    split: str
    picture: Picture
    entry: tuple[int | str, ...]
    boxes: list[tuple[float | str, ...]]


def boxes_around(mask: Bool[np.ndarray, "side side"]) -> list[list[float]]:
    """Return x, y, w, h in 1,024-pixel coordinates around each part of a mask, as people draw them.

    What lies within an eighth of the side is one part. A part of less than a tenth of the mask has
    no box, unless all are so small: then one box is around them all.
    """
    near = binary_dilation(mask, np.ones((3, 3)), iterations=max(len(mask) // 16, 1))
    parts, count = label(near, np.ones((3, 3)))
    parts *= mask
    sizes = np.bincount(parts[mask], minlength=count + 1)
    if 10 * sizes.max() < mask.sum():
        parts = mask.astype(int)
        sizes = np.array([0, mask.sum()])
    scale = nih.BOX_SIDE / len(mask)
    boxes = []
    for size, (rows, columns) in zip(sizes[1:], find_objects(parts), strict=True):
        if 10 * size >= mask.sum():
            corner = (columns.start, rows.start)
            extent = (columns.stop - columns.start, rows.stop - rows.start)
            boxes.append([scale * value for value in (*corner, *extent)])
    return boxes
