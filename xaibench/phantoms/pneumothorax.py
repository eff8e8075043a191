"""Synthetic pneumothorax: phantoms of the chest in the two HDF5 files of the data set.

What a phantom looks like is in ``radiographs``. The true masks lie in files of their own beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
from pydantic import Field, PositiveInt

from xaibench.imaging.layouts.pneumothorax import FILES, MASK_FILES
from xaibench.phantoms.anatomy import Anatomy
from xaibench.phantoms.base import Phantoms
from xaibench.phantoms.drawing import drawn_in_order
from xaibench.phantoms.radiographs import RADIOGRAPH_VERSION, Radiograph, draw_radiograph
from xaibench.progress import Progress

FINDING = "Pneumothorax"
# Other findings that either class may have, so that a healthy lung is not what tells them apart.
BYSTANDERS = ("Cardiomegaly", "Effusion", "Infiltration", "Nodule", "Pleural_Thickening")
MASKS = ("evidence", "tag", "lungs")
_BYSTANDER_RATE, _FRAME_RATE = 0.4, 0.25


@dataclass(frozen=True)
class PneumothoraxPhantoms(Phantoms):
    """Chests with and without a pneumothorax, each of a patient of its own: the files name none."""

    generator = "pneumothorax_synthetic"
    version = (1, RADIOGRAPH_VERSION)
    counts = tuple(FILES)

    root: Path = Path("data/pneumothorax_synthetic")
    train: PositiveInt = 500
    test: PositiveInt = 150
    size: Annotated[int, Field(ge=64, le=1024)] = 256
    """Side in pixels."""
    positives: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of images with a pneumothorax: the classes are not balanced."""

    def parameters(self) -> dict[str, object]:
        sizes = {name: getattr(self, name) for name in FILES}
        return {
            "seed": self.seed, "sizes": sizes, "size": self.size, "positives": self.positives,
        }  # fmt: skip

    def draw(self, folder: Path, progress: Progress, workers: int) -> None:
        for number, name in enumerate(FILES):
            count = getattr(self, name)
            hot = np.arange(count) < max(1, round(self.positives * count))
            labels = np.random.default_rng([self.seed, number, count]).permutation(hot)
            cases = [_Case((self.seed, number, i), bool(hot)) for i, hot in enumerate(labels)]
            self._write(folder, name, cases, progress, workers)

    def radiograph(self, case: _Case) -> Radiograph:
        """Draw an image."""
        rng = np.random.default_rng(case.stream)
        findings = {FINDING: rng.uniform(0.5, 1)} if case.positive else {}
        if rng.random() < _BYSTANDER_RATE:
            findings[str(rng.choice(BYSTANDERS))] = rng.uniform(0.3, 0.9)
        frame = bool(rng.random() < _FRAME_RATE)
        tag = self.marked(rng, case.positive)
        side = {"height": self.size, "width": self.size}
        return draw_radiograph(rng, Anatomy.draw(rng), findings, **side, frame=frame, tag=tag)

    def _write(
        self, folder: Path, name: str, cases: list[_Case], progress: Progress, workers: int
    ) -> None:
        count, side = len(cases), self.size
        # One chunk an image: images are read one by one, in any order.
        new = {"dtype": np.uint8, "compression": "gzip", "compression_opts": 1}
        with (
            h5py.File(folder / FILES[name], "w") as file,
            h5py.File(folder / MASK_FILES[name], "w") as masks,
            progress.stage(f"drawing {name} radiographs", count) as advance,
            drawn_in_order(self.radiograph, cases, workers) as drawn,
        ):
            images = file.create_dataset(
                "image", (count, side, side, 1), chunks=(1, side, side, 1), **new
            )
            file["label"] = np.array([[not c.positive, c.positive] for c in cases], np.uint8)
            planes = {
                m: masks.create_dataset(m, (count, side, side), chunks=(1, side, side), **new)
                for m in MASKS
            }
            for row, radiograph in enumerate(drawn):
                images[row] = radiograph.image[..., None]
                planes["tag"][row], planes["lungs"][row] = radiograph.tag, radiograph.lungs
                if cases[row].positive:
                    planes["evidence"][row] = radiograph.findings[FINDING]
                advance(1)


@dataclass(frozen=True)
class _Case:
    """What a worker needs to draw one image; everything random follows from ``stream``."""

    stream: tuple[int, ...]
    positive: bool
