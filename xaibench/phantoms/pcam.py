"""Synthetic PatchCamelyon: a set of painted patches in the files of the original.

Names and layouts are those of https://github.com/basveeling/pcam, with masks beside. What a patch
looks like is in ``patches``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
from pydantic import PositiveInt

from xaibench.imaging.layouts.pcam import file_name
from xaibench.phantoms.base import Phantoms
from xaibench.phantoms.drawing import drawn_in_order
from xaibench.phantoms.patches import SIZE, Stain, draw_patch
from xaibench.progress import Advance, Progress

SPLITS = ("train", "valid", "test")
PATCHES_PER_SLIDE = 40

_STAIN, _PATCH, _LABELS = range(3)  # independent random streams of a split


@dataclass(frozen=True)
class PcamPhantoms(Phantoms):
    """Painted patches, half of them with tumour, of slides that have their own stain."""

    generator = "pcam_synthetic"
    version = 2
    counts = SPLITS

    root: Path = Path("data/pcam_synthetic")
    train: PositiveInt = 6000
    valid: PositiveInt = 500
    test: PositiveInt = 500

    def parameters(self) -> dict[str, object]:
        return {"seed": self.seed, "sizes": {name: getattr(self, name) for name in SPLITS}}

    def draw(self, folder: Path, progress: Progress, workers: int) -> None:
        slides = {split: self._slides(split) for split in SPLITS}
        every = chain.from_iterable(slides.values())
        with drawn_in_order(self.patches, every, workers) as drawn:
            for split, own in slides.items():
                with progress.stage(f"drawing {split} patches", getattr(self, split)) as advance:
                    _write_split(folder, split, own, drawn, advance)

    def patches(self, slide: _Slide) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[bool]]:
        """Return images, evidence and tags of a slide's patches, and which hold any tumour."""

        def stream(kind: int, item: int) -> np.random.Generator:
            return np.random.default_rng([self.seed, slide.split, kind, item])

        stain = Stain.draw(stream(_STAIN, slide.number))
        first = slide.number * PATCHES_PER_SLIDE
        patches = [
            draw_patch(stream(_PATCH, first + i), label, stain, self.shortcut_rate)
            for i, label in enumerate(slide.labels)
        ]
        return (
            np.stack([patch.image for patch in patches]),
            np.stack([patch.evidence for patch in patches]),
            np.stack([patch.tag for patch in patches]),
            [patch.tumour for patch in patches],
        )

    def _slides(self, split: str) -> list[_Slide]:
        number, size = SPLITS.index(split), getattr(self, split)
        order = np.random.default_rng([self.seed, number, _LABELS, 0])
        labels = order.permutation(np.arange(size) % 2)
        return [
            _Slide(number, at, tuple(labels[start : start + PATCHES_PER_SLIDE].tolist()))
            for at, start in enumerate(range(0, size, PATCHES_PER_SLIDE))
        ]


@dataclass(frozen=True)
class _Slide:
    """What a worker needs to draw one slide; everything random follows from these numbers."""

    split: int
    number: int
    labels: tuple[int, ...]


def _write_split(
    folder: Path, split: str, slides: list[_Slide], drawn: Iterator[tuple], advance: Advance
) -> None:
    """Write a split; ``drawn`` goes over the slides of this split, then over those of the next."""
    labels = np.concatenate([slide.labels for slide in slides])
    size = len(labels)
    with (
        h5py.File(folder / file_name(f"{split}_x"), "w") as x_file,
        h5py.File(folder / file_name(f"{split}_mask"), "w") as mask_file,
        open(folder / file_name(f"{split}_meta", "csv"), "w", newline="") as meta_file,
    ):
        new = {"dtype": np.uint8, "compression": "gzip"}
        plane, picture = (SIZE, SIZE), (SIZE, SIZE, 3)
        x = x_file.create_dataset("x", (size, *picture), chunks=(1, *picture), **new)
        evidence = mask_file.create_dataset("evidence", (size, *plane), chunks=(1, *plane), **new)
        tag = mask_file.create_dataset("tag", (size, *plane), chunks=(1, *plane), **new)
        meta = csv.writer(meta_file, lineterminator="\n")
        meta.writerow(["wsi", "tumor_patch"])
        first = 0
        for slide in slides:
            images, evidences, tags, tumours = next(drawn)
            rows = slice(first, first := first + len(images))
            x[rows], evidence[rows], tag[rows] = images, evidences, tags
            meta.writerows([f"{split}_slide_{slide.number:03d}", tumour] for tumour in tumours)
            advance(len(images))
    with h5py.File(folder / file_name(f"{split}_y"), "w") as y_file:
        y_file.create_dataset("y", data=labels.astype(np.uint8).reshape(-1, 1, 1, 1))
