"""Synthetic PatchCamelyon: a set of painted patches in the files of the original.

Names and layouts are those of https://github.com/basveeling/pcam, with masks beside. What a patch
looks like is in ``pcam_patches``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import h5py
import numpy as np

from xaibench.datasets.generated import drawn_in_order, generated_folder
from xaibench.datasets.pcam_patches import SIZE, Stain, draw_patch
from xaibench.errors import UserError, did_you_mean
from xaibench.progress import Advance, Progress

GENERATOR_VERSION = 2
SPLITS = ("train", "valid", "test")
PATCHES_PER_SLIDE = 40

_STAIN, _PATCH, _LABELS = range(3)  # independent random streams of a split


def write_dataset(
    root: Path,
    sizes: Mapping[str, int],
    seed: int,
    shortcut_rate: float | None,
    progress: Progress,
    workers: int = 2,
) -> None:
    """Write the splits in ``sizes`` under ``root`` in the layout of the original.

    The files follow from the arguments alone, ``workers`` apart. ``root`` appears whole or not at
    all; where it already holds the same set, nothing is done.
    """
    recipe = {
        "generator": "pcam_synthetic",
        "version": GENERATOR_VERSION,
        "seed": seed,
        "sizes": {name: sizes[name] for name in SPLITS if name in sizes},
        "shortcut_rate": shortcut_rate,
    }
    _check(sizes, seed, shortcut_rate, workers)
    slides = {
        split: _slides(split, size, seed, shortcut_rate) for split, size in recipe["sizes"].items()
    }
    with (
        generated_folder(root, recipe) as folder,
        drawn_in_order(_draw_slide, chain.from_iterable(slides.values()), workers) as drawn,
    ):
        if folder is None:
            return
        for split, size in recipe["sizes"].items():
            with progress.stage(f"drawing {split} patches", size) as advance:
                _write_split(folder, split, size, slides[split], drawn, advance)


def _check(sizes: Mapping[str, int], seed: int, shortcut_rate: float | None, workers: int) -> None:
    if seed < 0:
        raise UserError(f"seed is {seed}; it must be 0 or more")
    if workers < 1:
        raise UserError(f"workers is {workers}; it must be at least 1")
    for split, size in sizes.items():
        if split not in SPLITS:
            raise UserError(f"unknown split {split!r} in sizes{did_you_mean(split, SPLITS)}")
        if size < 1:
            raise UserError(f"size of split {split!r} is {size}; it must be at least 1")
    if shortcut_rate is not None and not 0.5 <= shortcut_rate <= 1:
        raise UserError(
            f"shortcut_rate is {shortcut_rate}; it must be between 0.5 (tag says nothing) and 1 "
            "(tag gives the label away), or null for no tag"
        )


def _slides(split: str, size: int, seed: int, shortcut_rate: float | None) -> list[_Slide]:
    number = SPLITS.index(split)
    order = np.random.default_rng([seed, number, _LABELS, 0])
    labels = order.permutation(np.arange(size) % 2)
    return [
        _Slide(seed, number, start // PATCHES_PER_SLIDE, tuple(part.tolist()), shortcut_rate)
        for start in range(0, size, PATCHES_PER_SLIDE)
        if len(part := labels[start : start + PATCHES_PER_SLIDE])
    ]


def _write_split(
    folder: Path,
    split: str,
    size: int,
    slides: list[_Slide],
    drawn: Iterator[tuple],
    advance: Advance,
) -> None:
    """Write a split; ``drawn`` goes over the slides of this split, then over those of the next."""
    stem = f"camelyonpatch_level_2_split_{split}"
    with (
        h5py.File(folder / f"{stem}_x.h5", "w") as x_file,
        h5py.File(folder / f"{stem}_mask.h5", "w") as mask_file,
        open(folder / f"{stem}_meta.csv", "w", newline="") as meta_file,
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
    with h5py.File(folder / f"{stem}_y.h5", "w") as y_file:
        labels = np.concatenate([slide.labels for slide in slides])
        y_file.create_dataset("y", data=labels.astype(np.uint8).reshape(-1, 1, 1, 1))


@dataclass(frozen=True)
class _Slide:
    """What a worker needs to draw one slide; everything random follows from these numbers."""

    seed: int
    split: int
    number: int
    labels: tuple[int, ...]
    shortcut_rate: float | None


def _draw_slide(slide: _Slide) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[bool]]:
    """Return images, evidence and tags of a slide's patches, and which hold any tumour."""

    def stream(kind: int, item: int) -> np.random.Generator:
        return np.random.default_rng([slide.seed, slide.split, kind, item])

    stain = Stain.draw(stream(_STAIN, slide.number))
    first = slide.number * PATCHES_PER_SLIDE
    patches = [
        draw_patch(stream(_PATCH, first + i), label, stain, slide.shortcut_rate)
        for i, label in enumerate(slide.labels)
    ]
    return (
        np.stack([patch.image for patch in patches]),
        np.stack([patch.evidence for patch in patches]),
        np.stack([patch.tag for patch in patches]),
        [patch.tumour for patch in patches],
    )
