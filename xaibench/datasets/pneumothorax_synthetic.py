"""Synthetic pneumothorax: phantoms of the chest in the two HDF5 files of the data set.

What a phantom looks like is in ``radiographs``. The true masks lie in files of their own beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from xaibench.datasets.generated import drawn_in_order, generated_folder
from xaibench.datasets.radiographs import (
    RADIOGRAPH_VERSION,
    Anatomy,
    Radiograph,
    draw_radiograph,
)
from xaibench.progress import Progress

GENERATOR = "pneumothorax_synthetic"
GENERATOR_VERSION = 1
FINDING = "Pneumothorax"
# Other findings that either class may have, so that a healthy lung is not what tells them apart.
BYSTANDERS = ("Cardiomegaly", "Effusion", "Infiltration", "Nodule", "Pleural_Thickening")
_BYSTANDER_RATE, _FRAME_RATE = 0.4, 0.25
_FILES = ("train", "test")
MASKS = ("evidence", "tag", "lungs")


def mask_file(name: str) -> str:
    """Return the name of the file of true masks of ``train`` or ``test``."""
    return f"pneumothorax_{name}_mask.h5"


def write_dataset(
    root: Path,
    sizes: Mapping[str, int],
    *,
    size: int,
    positives: float,
    seed: int,
    shortcut_rate: float | None,
    progress: Progress,
    workers: int = 2,
) -> None:
    """Write ``pneumothorax_train.h5`` and ``pneumothorax_test.h5``, with masks beside, to ``root``.

    Each image is of a patient of its own, since the format names none. The files follow from the
    arguments alone, ``workers`` apart. ``root`` appears whole or not at all; where it already
    holds the same set, nothing is done.

    Args:
        sizes: images of ``train`` and of ``test``.
        size: side in pixels.
        positives: share of images with a pneumothorax, in (0, 1).
        shortcut_rate: how often the planted marker goes with the label, in [0.5, 1]: 0.5 says
            nothing, 1 gives the label away. None for no marker.
    """
    recipe = {
        "generator": GENERATOR,
        "version": [GENERATOR_VERSION, RADIOGRAPH_VERSION],
        "seed": seed,
        "sizes": {name: sizes[name] for name in _FILES},
        "size": size,
        "positives": positives,
        "shortcut_rate": shortcut_rate,
    }
    with generated_folder(root, recipe) as folder:
        if folder is None:
            return
        for number, name in enumerate(_FILES):
            count = sizes[name]
            hot = np.arange(count) < max(1, round(positives * count))
            labels = np.random.default_rng([seed, number, count]).permutation(hot)
            cases = [
                _Case((seed, number, i), bool(positive), size, shortcut_rate)
                for i, positive in enumerate(labels)
            ]
            _write(folder, name, cases, progress, workers)


@dataclass(frozen=True)
class _Case:
    """What a worker needs to draw one image; everything random follows from ``stream``."""

    stream: tuple[int, ...]
    positive: bool
    size: int
    shortcut_rate: float | None


def _draw(case: _Case) -> Radiograph:
    rng = np.random.default_rng(case.stream)
    findings = {FINDING: rng.uniform(0.5, 1)} if case.positive else {}
    if rng.random() < _BYSTANDER_RATE:
        findings[str(rng.choice(BYSTANDERS))] = rng.uniform(0.3, 0.9)
    frame = bool(rng.random() < _FRAME_RATE)
    says = rng.random() < (case.shortcut_rate or 0)
    tag = case.shortcut_rate is not None and bool(says == case.positive)
    return draw_radiograph(
        rng, Anatomy.draw(rng), findings, height=case.size, width=case.size, frame=frame, tag=tag
    )


def _write(folder: Path, name: str, cases: list[_Case], progress: Progress, workers: int) -> None:
    count, side = len(cases), cases[0].size
    # One chunk an image: images are read one by one, in any order.
    new = {"dtype": np.uint8, "compression": "gzip", "compression_opts": 1}
    with (
        h5py.File(folder / f"pneumothorax_{name}.h5", "w") as file,
        h5py.File(folder / mask_file(name), "w") as masks,
        progress.stage(f"drawing {name} radiographs", count) as advance,
        drawn_in_order(_draw, cases, workers) as drawn,
    ):
        images = file.create_dataset(
            "image", (count, side, side, 1), chunks=(1, side, side, 1), **new
        )
        file["label"] = np.array([[not case.positive, case.positive] for case in cases], np.uint8)
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
