"""Synthetic NIH ChestX-ray14: phantoms of the chest in the folders and tables of the original.

What a phantom looks like is in ``radiographs``. True masks lie beside, one name for each finding.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image
from scipy.ndimage import binary_dilation, find_objects, label

from xaibench.datasets.generated import drawn_in_order, generated_folder
from xaibench.datasets.mask_files import FOLDER, encoded, write_masks
from xaibench.datasets.nih_masks import SHORTCUT_FINDING
from xaibench.datasets.nih_tables import BOX_SIDE, BOXES, ENTRIES, LISTS, NO_FINDING
from xaibench.datasets.radiographs import FINDINGS, RADIOGRAPH_VERSION, Anatomy, draw_radiograph
from xaibench.progress import Progress

GENERATOR = "nih_chestxray14_synthetic"
GENERATOR_VERSION = 1
# How often a finding is drawn beside the others. Skewed as in the original, but not by its factor
# of eighty, so that a small set has some of each.
WEIGHTS = dict(zip(FINDINGS, (10, 5, 6, 4, 12, 4, 4, 3, 14, 6, 7, 4, 4, 12), strict=True))
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
_SIZES, _PATIENT = range(2)  # independent random streams


def write_dataset(
    root: Path,
    images: int,
    *,
    size: int,
    seed: int,
    shortcut_rate: float | None,
    progress: Progress,
    workers: int = 2,
) -> None:
    """Write images, ``Data_Entry_2017.csv``, ``BBox_List_2017.csv``, both lists and true masks.

    Patients have one to five images with none to three findings each. Some PNGs are RGBA or have
    a palette, as in the original. Half of the findings that NIH boxed have a box around each part
    of their true mask. The files follow from the arguments alone, ``workers`` apart. ``root``
    appears whole or not at all; where it already holds the same set, nothing is done.

    Args:
        size: side in pixels.
        shortcut_rate: how often the planted marker goes with Pneumothorax, in [0.5, 1]: 0.5 says
            nothing, 1 gives it away. None for no marker.
    """
    recipe = {
        "generator": GENERATOR,
        "version": [GENERATOR_VERSION, RADIOGRAPH_VERSION],
        "seed": seed,
        "images": images,
        "size": size,
        "shortcut_rate": shortcut_rate,
    }
    with generated_folder(root, recipe) as folder:
        if folder is not None:
            _write(folder, images, size, seed, shortcut_rate, progress, workers)


@dataclass(frozen=True)
class _Patient:
    """What a worker needs to draw a patient's images; everything random follows from ``stream``."""

    stream: tuple[int, ...]
    images: int
    size: int
    shortcut_rate: float | None


@dataclass(frozen=True)
class _Image:
    """A drawn image, its masks, and what the tables say of it."""

    png: bytes
    masks: dict[str, bytes]
    findings: tuple[str, ...]
    boxes: list[tuple[str, list[float]]]


@dataclass(frozen=True)
class _Drawn:
    """A drawn patient."""

    age: int
    sex: str
    in_test: bool
    images: list[_Image]


def _patients(images: int, size: int, seed: int, shortcut_rate: float | None) -> Iterator[_Patient]:
    rng = np.random.default_rng([seed, _SIZES])
    number = 0
    while images > 0:
        count = min(int(rng.integers(1, IMAGES_PER_PATIENT + 1)), images)
        images -= count
        number += 1
        yield _Patient((seed, _PATIENT, number), count, size, shortcut_rate)


def _draw(patient: _Patient) -> _Drawn:
    rng = np.random.default_rng(patient.stream)
    anatomy = Anatomy.draw(rng)
    return _Drawn(
        age=int(rng.integers(18, 90)),
        sex=str(rng.choice(("M", "F"))),
        in_test=bool(rng.random() < _TEST_RATE),
        images=[_draw_image(rng, anatomy, patient) for _ in range(patient.images)],
    )


def _draw_image(rng: np.random.Generator, anatomy: Anatomy, patient: _Patient) -> _Image:
    weights = np.array(list(WEIGHTS.values()))
    count = rng.choice(len(_COUNTS), p=_COUNTS)
    chosen = rng.choice(FINDINGS, count, replace=False, p=weights / weights.sum())
    findings = {str(name): rng.uniform(0.4, 1) for name in sorted(chosen)}
    rate = patient.shortcut_rate
    says = rng.random() < (rate or 0)
    tag = rate is not None and bool(says == (SHORTCUT_FINDING in findings))
    mode = rng.choice(list(_MODES), p=list(_MODES.values()))
    boxed = [name for name in findings if name in BOXED and rng.random() < _BOX_RATE]
    side = patient.size
    drawn = draw_radiograph(rng, anatomy, findings, height=side, width=side, frame=False, tag=tag)
    file = BytesIO()
    # The palette of a grey picture holds every grey, so no mode changes a value.
    Image.fromarray(drawn.image).convert(str(mode)).save(file, "PNG")
    return _Image(
        file.getvalue(),
        encoded({"lungs": drawn.lungs, "tag": drawn.tag, **drawn.findings}),
        tuple(findings),
        [(name, box) for name in boxed for box in boxes_around(drawn.findings[name])],
    )


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
    scale = BOX_SIDE / len(mask)
    boxes = []
    for size, (rows, columns) in zip(sizes[1:], find_objects(parts), strict=True):
        if 10 * size >= mask.sum():
            corner = (columns.start, rows.start)
            extent = (columns.stop - columns.start, rows.stop - rows.start)
            boxes.append([scale * value for value in (*corner, *extent)])
    return boxes


def _write(
    folder: Path,
    images: int,
    size: int,
    seed: int,
    shortcut_rate: float | None,
    progress: Progress,
    workers: int,
) -> None:
    patients = list(_patients(images, size, seed, shortcut_rate))
    tables = _Tables(size)
    row = 0
    with (
        progress.stage("drawing chest radiographs", images) as advance,
        drawn_in_order(_draw, patients, workers) as drawn,
    ):
        for number, patient in enumerate(drawn, start=1):
            for follow_up, image in enumerate(patient.images):
                name = f"{number:08d}_{follow_up:03d}.png"
                file = folder / f"images_{1 + row // IMAGES_PER_FOLDER:03d}" / "images" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(image.png)
                write_masks(folder / FOLDER, name, image.masks)
                tables.add(name, number, follow_up, patient, image)
                row += 1
            advance(len(patient.images))
    tables.write(folder)


class _Tables:
    """The two tables and the two lists, as NIH has them."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._entries, self._boxes = [_HEADER], [_BOX_HEADER]
        self._lists = {split: [] for split in LISTS}

    def add(self, name: str, number: int, follow_up: int, patient: _Drawn, image: _Image) -> None:
        findings = "|".join(image.findings) or NO_FINDING
        who = (number, patient.age, patient.sex, "PA")
        self._entries.append((name, findings, follow_up, *who, self._side, self._side, 1, 1, ""))
        for finding, box in image.boxes:
            written = "Infiltrate" if finding == "Infiltration" else finding
            self._boxes.append((name, written, *box, "", "", ""))
        self._lists["test" if patient.in_test else "train"].append(name)

    def write(self, folder: Path) -> None:
        for file, rows in ((ENTRIES[0], self._entries), (BOXES, self._boxes)):
            with open(folder / file, "w", newline="") as opened:
                csv.writer(opened, lineterminator="\n").writerows(rows)
        for split, names in self._lists.items():
            (folder / LISTS[split]).write_text("".join(f"{name}\n" for name in names))
