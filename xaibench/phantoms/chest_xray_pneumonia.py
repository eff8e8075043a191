"""Synthetic paediatric radiographs in the folders and names of Kaggle's pneumonia set.

The layout is that of https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia as it
unpacks (``chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}``), with true masks beside. Like the
original it deals out images, not patients. What an image looks like is in ``radiographs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from xaibench.phantoms.pictures import Picture, PicturePhantoms
from xaibench.phantoms.radiographs import Anatomy, draw_radiograph

# About the original's: 73 % pneumonia, 89 % in train, next to nothing in val.
PNEUMONIA, FOLDER_SHARES = 0.7, {"train": 0.87, "val": 0.02, "test": 0.11}
MOST_IMAGES_PER_PATIENT = 4

_LAYOUT, _ANATOMY, _IMAGE = range(3)  # independent random streams


@dataclass(frozen=True)
class KermanyPhantoms(PicturePhantoms):
    """Children's chests, seven of ten with pneumonia, up to four images of each."""

    generator = "chest_xray_pneumonia_synthetic"
    version = 1
    inside = "chest_xray"

    root: Path = Path("data/chest_xray_pneumonia_synthetic")
    images: Annotated[int, Field(ge=40)] = 700

    def cases(self) -> Iterator[_Case]:
        rng = np.random.default_rng([self.seed, _LAYOUT])
        sick = round(PNEUMONIA * self.images)
        number = patient = 0
        for count, ill in ((sick, True), (self.images - sick, False)):
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
                    tag = self.marked(rng, ill)
                    severity = float(rng.uniform(0.4, 1)) if ill else 0.0
                    yield _Case(number, patient, f"{folder}/{name}", severity, tag)

    def picture(self, case: _Case) -> Picture:
        rng = np.random.default_rng([self.seed, _IMAGE, case.number])
        height = int(rng.integers(200, 257))
        drawn = draw_radiograph(
            rng,
            Anatomy.draw(np.random.default_rng([self.seed, _ANATOMY, case.patient]), child=True),
            {"Pneumonia": case.severity} if case.severity else {},
            height=height,
            width=round(height * rng.uniform(1.0, 1.25)),
            frame=bool(rng.random() < 0.5),
            tag=case.tag,
        )
        masks = {"lungs": drawn.lungs, "tag": drawn.tag}
        if case.severity:
            masks["evidence"] = drawn.findings["Pneumonia"]
        return Picture.of(Image.fromarray(drawn.image), masks, format="JPEG", quality=90)


@dataclass(frozen=True)
class _Case:
    """What a worker needs to draw one image."""

    number: int
    patient: int
    path: str
    severity: float
    tag: bool
