"""Synthetic radiographs in the tables and folders of CheXpert.

The layout is that of CheXpert-v1.0-small (Irvin et al. 2019), with true masks beside. Severities
are continuous, some labels are uncertain and some missing. What an image looks like is in
``radiographs``; a lateral view is a narrow, mirrored one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from xaibench.datasets import recipes
from xaibench.datasets.chexpert_table import COMPETITION, FACTS, FINDINGS
from xaibench.datasets.generated import drawn_in_order, generated_folder
from xaibench.datasets.mask_files import FOLDER, encoded, write_masks
from xaibench.datasets.radiographs import RADIOGRAPH_VERSION, Anatomy, draw_radiograph
from xaibench.progress import Progress

GENERATOR = "chexpert_synthetic"
GENERATOR_VERSION = 2
INSIDE = "CheXpert-v1.0-small"
PHANTOM = {name: name for name in COMPETITION} | {"Pleural Effusion": "Effusion"}
"""CheXpert's name of a finding -> that of the phantoms."""
PRESENT, UNCERTAIN, MISSING, LATERAL = 0.35, 0.08, 0.12, 0.15
VALID_SHARE = 0.15
SHORTCUT_FINDING = "Cardiomegaly"
_LAYOUT, _ANATOMY, _IMAGE, _TAG = range(4)  # independent random streams


def write_dataset(
    root: Path,
    images: int,
    seed: int,
    progress: Progress,
    workers: int = 2,
    shortcut_rate: float | None = None,
) -> None:
    """Write about ``images`` radiographs under ``root``: ``train.csv``, ``valid.csv``, folders.

    Args:
        shortcut_rate: how often the planted marker agrees with Cardiomegaly (any severity), in
            [0.5, 1]; None for none.

    The files follow from the arguments alone, ``workers`` apart. ``root`` appears whole or not at
    all; where it already holds the same set, nothing is done.
    """
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
        for split in ("train", "valid"):
            rows = [item for item in items if item.path.startswith(f"{split}/")]
            with open(folder / INSIDE / f"{split}.csv", "w", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow([*FACTS, *FINDINGS])
                table.writerows(_row(item) for item in rows)


def recipe_of(folder: Path) -> dict | None:
    """Return the recipe of the generated set whose tables lie here; None for real images."""
    return recipes.recipe_of(folder.parent, GENERATOR) if folder.name == INSIDE else None


@dataclass(frozen=True)
class _Item:
    """What a worker needs to draw one image, and the table to describe it."""

    seed: int
    number: int
    patient: int
    path: str
    sex: str
    age: int
    view: str
    severities: tuple[float, ...]
    labels: tuple[str, ...]
    tag: bool


def _items(images: int, seed: int, shortcut_rate: float | None) -> Iterator[_Item]:
    """Yield images: patients with one to three studies, of which some have a lateral view."""
    rng = np.random.default_rng([seed, _LAYOUT])
    number = patient = 0
    train = round((1 - VALID_SHARE) * images)
    for split, end in (("train", train), ("valid", images)):
        while number < end:
            patient += 1
            sex, age = str(rng.choice(["Male", "Female"])), int(rng.integers(18, 91))
            for study in range(1, int(rng.integers(1, 4)) + 1):
                severities = _severities(rng)
                labels = _labels(rng, severities, certain=split == "valid")
                views = ["frontal"] + ["lateral"] * (rng.random() < LATERAL)
                for view_number, view in enumerate(views, 1):
                    number += 1
                    path = f"{split}/patient{patient:05d}/study{study}/view{view_number}_{view}.jpg"
                    tag = _tagged(seed, number, severities, shortcut_rate)
                    facts = path, sex, age, view, severities, labels
                    yield _Item(seed, number, patient, *facts, tag)


def _tagged(seed: int, number: int, severities: tuple[float, ...], rate: float | None) -> bool:
    if rate is None:
        return False
    agrees = np.random.default_rng([seed, _TAG, number]).random() < rate
    return bool(agrees == (severities[COMPETITION.index(SHORTCUT_FINDING)] > 0))


def _severities(rng: np.random.Generator) -> tuple[float, ...]:
    """Return a severity in [0, 1] for each finding of the competition; 0 where it is not there."""
    there = rng.random(len(COMPETITION)) < PRESENT
    drawn = np.round(rng.uniform(0.3, 1, len(COMPETITION)), 2)
    kind = rng.random(len(COMPETITION))
    severity = np.where(kind < 0.25, 0.5, np.where(kind < 0.6, 1.0, drawn))
    return tuple((there * severity).tolist())


def _labels(
    rng: np.random.Generator, severities: tuple[float, ...], certain: bool
) -> tuple[str, ...]:
    """Return what the table says of each finding; all is known of a ``certain`` study."""
    labels = [str(severity) for severity in severities]
    if certain:
        return tuple(labels)
    for at, kind in enumerate(rng.random(len(severities))):
        if kind < UNCERTAIN:
            labels[at] = "-1.0"
        elif kind < UNCERTAIN + MISSING:
            labels[at] = ""
    return tuple(labels)


def _row(item: _Item) -> list[str | int]:
    labels = dict(zip(COMPETITION, item.labels, strict=True))
    labels["No Finding"] = "" if any(item.severities) else "1.0"
    frontal = item.view == "frontal"
    facts = [f"{INSIDE}/{item.path}", item.sex, item.age, item.view.capitalize(), "AP" * frontal]
    return [*facts, *(labels.get(finding, "") for finding in FINDINGS)]


def _draw(item: _Item) -> tuple[bytes, dict[str, bytes]]:
    """Return an image's JPEG and its masks as PNGs."""
    rng = np.random.default_rng([item.seed, _IMAGE, item.number])
    severities = dict(zip(COMPETITION, item.severities, strict=True))
    lateral = item.view == "lateral"
    height, width = int(rng.integers(180, 221)), int(rng.integers(200, 241))
    drawn = draw_radiograph(
        rng,
        Anatomy.draw(np.random.default_rng([item.seed, _ANATOMY, item.patient])),
        {PHANTOM[name]: value for name, value in severities.items() if value},
        height=height,
        width=round(0.6 * width) if lateral else width,
        frame=False,
        tag=item.tag,
    )
    placed = (lambda picture: _aside(picture, width)) if lateral else (lambda picture: picture)
    file = BytesIO()
    Image.fromarray(placed(drawn.image)).save(file, "JPEG", quality=90)
    masks = {name: drawn.findings[PHANTOM[name]] for name, value in severities.items() if value}
    masks |= {"lungs": drawn.lungs, "tag": drawn.tag}
    return file.getvalue(), encoded({name: placed(mask) for name, mask in masks.items()})


def _aside(
    picture: Shaped[np.ndarray, "height narrow"], width: int
) -> Shaped[np.ndarray, "height width"]:
    """Return a picture mirrored, in the middle of a black (or False) one of ``width``."""
    before = (width - picture.shape[1]) // 2
    after = width - picture.shape[1] - before
    return np.pad(picture[:, ::-1], ((0, 0), (before, after)))
