"""Synthetic paediatric radiographs in the folders and names of Kaggle's pneumonia set.

The layout is that of https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia as it
unpacks (``chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}``), with true masks beside. Like the
original it deals out images, not patients. What an image looks like is in ``radiographs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from xaibench.datasets import recipes
from xaibench.datasets.generated import drawn_in_order, generated_folder
from xaibench.datasets.mask_files import FOLDER, encoded, write_masks
from xaibench.datasets.radiographs import RADIOGRAPH_VERSION, Anatomy, draw_radiograph
from xaibench.errors import UserError
from xaibench.progress import Progress

GENERATOR = "chest_xray_pneumonia_synthetic"
GENERATOR_VERSION = 1
INSIDE = "chest_xray"
JPEG_QUALITY = 90
# About the original's: 73 % pneumonia, 89 % in train, next to nothing in val.
PNEUMONIA, FOLDER_SHARES = 0.7, {"train": 0.87, "val": 0.02, "test": 0.11}
MOST_IMAGES_PER_PATIENT = 4

_LAYOUT, _ANATOMY, _IMAGE = range(3)  # independent random streams


def write_dataset(
    root: Path,
    images: int,
    seed: int,
    shortcut_rate: float | None,
    progress: Progress,
    workers: int = 2,
) -> None:
    """Write ``images`` radiographs under ``root`` in the layout of the original.

    The files follow from the arguments alone, ``workers`` apart. ``root`` appears whole or not at
    all; where it already holds the same set, nothing is done.

    Args:
        shortcut_rate: how often the planted marker agrees with the label, in [0.5, 1]; None for
            no marker.
    """
    check_shortcut_rate(shortcut_rate)
    recipe = {
        "generator": GENERATOR,
        "version": GENERATOR_VERSION,
        "radiographs": RADIOGRAPH_VERSION,
        "images": images,
        "seed": seed,
        "shortcut_rate": shortcut_rate,
    }
    with generated_folder(root, recipe) as folder:
        if folder is None:
            return
        items = list(_items(images, seed, shortcut_rate))
        with (
            progress.stage("drawing radiographs", len(items)) as advance,
            drawn_in_order(_draw, items, workers) as drawn,
        ):
            for item, (jpeg, masks) in zip(items, drawn, strict=True):
                file = folder / INSIDE / item.path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(jpeg)
                write_masks(folder / FOLDER, item.path, masks)
                advance(1)


def recipe_of(root: Path) -> dict | None:
    """Return the recipe of the generated set whose clean root this is; None for real images."""
    return recipes.recipe_of(root.parent, GENERATOR) if root.name == INSIDE else None


def check_shortcut_rate(rate: float | None) -> None:
    if rate is not None and not 0.5 <= rate <= 1:
        raise UserError(
            f"shortcut_rate is {rate}; it must be between 0.5 (the marker says nothing) and 1 "
            "(the marker gives the label away), or null for no marker"
        )


@dataclass(frozen=True)
class _Item:
    """What a worker needs to draw one image; everything random follows from it."""

    seed: int
    number: int
    patient: int
    path: str
    severity: float
    tag: bool


def _items(images: int, seed: int, shortcut_rate: float | None) -> Iterator[_Item]:
    rng = np.random.default_rng([seed, _LAYOUT])
    sick = round(PNEUMONIA * images)
    number = patient = 0
    for count, ill in ((sick, True), (images - sick, False)):
        end = number + count
        while number < end:
            patient += 1
            cause = rng.choice(["bacteria", "virus"])
            shots = min(int(rng.integers(1, MOST_IMAGES_PER_PATIENT + 1)), end - number)
            for shot in range(1, shots + 1):
                number += 1
                folder = rng.choice(list(FOLDER_SHARES), p=list(FOLDER_SHARES.values()))
                old = "" if patient % 2 else "NORMAL2-"
                name = (
                    f"PNEUMONIA/person{patient}_{cause}_{number}.jpeg"
                    if ill
                    else f"NORMAL/{old}IM-{patient:04d}-{shot:04d}.jpeg"
                )
                agrees = rng.random() < (shortcut_rate or 0)
                yield _Item(
                    seed,
                    number,
                    patient,
                    f"{folder}/{name}",
                    severity=float(rng.uniform(0.4, 1)) if ill else 0.0,
                    tag=shortcut_rate is not None and bool(agrees) == ill,
                )


def _draw(item: _Item) -> tuple[bytes, dict[str, bytes]]:
    """Return an image's JPEG and its masks as PNGs."""
    rng = np.random.default_rng([item.seed, _IMAGE, item.number])
    height = int(rng.integers(200, 257))
    drawn = draw_radiograph(
        rng,
        Anatomy.draw(np.random.default_rng([item.seed, _ANATOMY, item.patient]), child=True),
        {"Pneumonia": item.severity} if item.severity else {},
        height=height,
        width=round(height * rng.uniform(1.0, 1.25)),
        frame=bool(rng.random() < 0.5),
        tag=item.tag,
    )
    file = BytesIO()
    Image.fromarray(drawn.image).save(file, "JPEG", quality=JPEG_QUALITY)
    masks = {"lungs": drawn.lungs, "tag": drawn.tag}
    if item.severity:
        masks["evidence"] = drawn.findings["Pneumonia"]
    return file.getvalue(), encoded(masks)
