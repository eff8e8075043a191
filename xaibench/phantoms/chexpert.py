"""Synthetic radiographs in the tables and folders of CheXpert.

The layout is that of CheXpert-v1.0-small (Irvin et al. 2019), with true masks beside. Severities
are continuous, some labels are uncertain and some missing. What an image looks like is in
``radiographs``; a lateral view is a narrow, mirrored one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Shaped
from PIL import Image
from pydantic import Field

from xaibench.imaging.layouts.chexpert import COMPETITION, FACTS, FINDINGS, SHORTCUT_FINDING
from xaibench.phantoms.pictures import Picture, PicturePhantoms
from xaibench.phantoms.radiographs import Anatomy, draw_radiograph
from xaibench.progress import Progress

PHANTOM = {name: name for name in COMPETITION} | {"Pleural Effusion": "Effusion"}
"""CheXpert's name of a finding -> that of the phantoms."""
PRESENT, UNCERTAIN, MISSING, LATERAL = 0.35, 0.08, 0.12, 0.15
VALID_SHARE = 0.15
_LAYOUT, _ANATOMY, _IMAGE, _TAG = range(4)  # independent random streams


@dataclass(frozen=True)
class ChexpertPhantoms(PicturePhantoms):
    """Patients with one to three studies, of which some have a lateral view."""

    generator = "chexpert_synthetic"
    version = 2
    inside = "CheXpert-v1.0-small"

    root: Path = Path("data/chexpert_synthetic")
    images: Annotated[int, Field(ge=60)] = 600
    """About so many: no study is cut in two."""

    def cases(self) -> Iterator[_Case]:
        rng = np.random.default_rng([self.seed, _LAYOUT])
        number = patient = 0
        train = round((1 - VALID_SHARE) * self.images)
        for split, end in (("train", train), ("valid", self.images)):
            while number < end:
                patient += 1
                sex, age = str(rng.choice(["Male", "Female"])), int(rng.integers(18, 91))
                for study in range(1, int(rng.integers(1, 4)) + 1):
                    severities = _severities(rng)
                    labels = _labels(rng, severities, certain=split == "valid")
                    views = ["frontal"] + ["lateral"] * (rng.random() < LATERAL)
                    for at, view in enumerate(views, 1):
                        number += 1
                        path = f"{split}/patient{patient:05d}/study{study}/view{at}_{view}.jpg"
                        facts = f"{self.inside}/{path}", sex, age, view.capitalize()
                        row = (*facts, "AP" if view == "frontal" else "", *labels)
                        yield _Case(number, patient, path, view == "lateral", severities, row)

    def picture(self, case: _Case) -> Picture:
        stream = lambda kind, number: np.random.default_rng([self.seed, kind, number])
        rng = stream(_IMAGE, case.number)
        there = {name: s for name, s in zip(COMPETITION, case.severities, strict=True) if s}
        height, width = int(rng.integers(180, 221)), int(rng.integers(200, 241))
        drawn = draw_radiograph(
            rng,
            Anatomy.draw(stream(_ANATOMY, case.patient)),
            {PHANTOM[name]: severity for name, severity in there.items()},
            height=height,
            width=round(0.6 * width) if case.lateral else width,
            frame=False,
            tag=self.marked(stream(_TAG, case.number), there.get(SHORTCUT_FINDING, 0) > 0),
        )
        placed = lambda picture: _aside(picture, width) if case.lateral else picture
        masks = {name: drawn.findings[PHANTOM[name]] for name in there}
        masks |= {"lungs": drawn.lungs, "tag": drawn.tag}
        masks = {name: placed(mask) for name, mask in masks.items()}
        image = Image.fromarray(placed(drawn.image))
        return Picture.of(image, masks, format="JPEG", quality=90)

    def draw(self, folder: Path, progress: Progress, workers: int) -> None:
        super().draw(folder, progress, workers)
        for split in ("train", "valid"):
            with open(folder / self.inside / f"{split}.csv", "w", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow([*FACTS, *FINDINGS])
                own = (case for case in self.cases() if case.path.startswith(f"{split}/"))
                table.writerows(case.row for case in own)


@dataclass(frozen=True)
class _Case:
    """What a worker needs to draw one image, and its row of the table."""

    number: int
    patient: int
    path: str
    lateral: bool
    severities: tuple[float, ...]
    row: tuple[int | str, ...]


def _severities(rng: np.random.Generator) -> tuple[float, ...]:
    """Return a severity in [0, 1] for each finding of the competition; 0 where it is not there."""
    there = rng.random(len(COMPETITION)) < PRESENT
    drawn = np.round(rng.uniform(0.3, 1, len(COMPETITION)), 2)
    kind = rng.random(len(COMPETITION))
    severity = np.where(kind < 0.25, 0.5, np.where(kind < 0.6, 1.0, drawn))
    return tuple((there * severity).tolist())


def _labels(rng: np.random.Generator, severities: tuple[float, ...], certain: bool) -> list[str]:
    """Return what the table says of each finding; all is known of a ``certain`` study."""
    labels = dict(zip(COMPETITION, map(str, severities), strict=True))
    for name, kind in zip(labels, [] if certain else rng.random(len(labels)), strict=False):
        if kind < UNCERTAIN:
            labels[name] = "-1.0"
        elif kind < UNCERTAIN + MISSING:
            labels[name] = ""
    labels["No Finding"] = "" if any(severities) else "1.0"
    return [labels.get(finding, "") for finding in FINDINGS]


def _aside(
    picture: Shaped[np.ndarray, "height narrow"], width: int
) -> Shaped[np.ndarray, "height width"]:
    """Return a picture mirrored, in the middle of a black (or False) one of ``width``."""
    before = (width - picture.shape[1]) // 2
    after = width - picture.shape[1] - before
    return np.pad(picture[:, ::-1], ((0, 0), (before, after)))
