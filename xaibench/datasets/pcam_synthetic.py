"""Synthetic PatchCamelyon: a set of painted patches in the files of the original.

Names and layouts are those of https://github.com/basveeling/pcam, with masks beside. What a patch
looks like is in ``pcam_patches``.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import shutil
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import h5py
import numpy as np

from xaibench.datasets.pcam_patches import SIZE, Stain, draw_patch
from xaibench.errors import UserError, did_you_mean
from xaibench.progress import Advance, Progress

GENERATOR_VERSION = 2
SPLITS = ("train", "valid", "test")
PATCHES_PER_SLIDE = 40
_QUEUE = 16  # slides drawn ahead of the writing

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
    if root.exists():
        _check_same(root, recipe)
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    partial_root = root.with_name(f".{root.name}.partial-{os.getpid()}")
    shutil.rmtree(partial_root, ignore_errors=True)  # left by a process killed outright
    partial_root.mkdir()
    try:
        with _started(workers) as pool:
            for split, size in recipe["sizes"].items():
                with progress.stage(f"drawing {split} patches", size) as advance:
                    _write_split(partial_root, split, size, seed, shortcut_rate, pool, advance)
        (partial_root / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
        os.replace(partial_root, root)
    except BaseException:
        shutil.rmtree(partial_root, ignore_errors=True)
        raise


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


def _check_same(root: Path, recipe: dict) -> None:
    mend = "choose another folder or delete this one"
    try:
        found = json.loads((root / "recipe.json").read_text())
    except (OSError, ValueError):
        raise UserError(
            f"{root} exists but holds no generated set (no readable recipe.json); {mend}"
        ) from None
    if found != recipe:
        raise UserError(
            f"{root} holds a set of another recipe: {json.dumps(found)}, "
            f"asked for {json.dumps(recipe)}; {mend}"
        )


def _write_split(
    folder: Path,
    split: str,
    size: int,
    seed: int,
    shortcut_rate: float | None,
    pool: Executor | None,
    advance: Advance,
) -> None:
    number = SPLITS.index(split)
    order = np.random.default_rng([seed, number, _LABELS, 0])
    labels = order.permutation(np.arange(size) % 2)
    slides = [
        _Slide(seed, number, start // PATCHES_PER_SLIDE, tuple(part.tolist()), shortcut_rate)
        for start in range(0, size, PATCHES_PER_SLIDE)
        if len(part := labels[start : start + PATCHES_PER_SLIDE])
    ]
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
        drawn = _in_order(slides, pool)
        for slide, (images, evidences, tags, tumours) in zip(slides, drawn, strict=True):
            rows = slice(first, first := first + len(images))
            x[rows], evidence[rows], tag[rows] = images, evidences, tags
            meta.writerows([f"{split}_slide_{slide.number:03d}", tumour] for tumour in tumours)
            advance(len(images))
    with h5py.File(folder / f"{stem}_y.h5", "w") as y_file:
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


@contextmanager
def _started(workers: int) -> Generator[Executor | None, None, None]:
    """Hold a pool of ``workers`` processes, None for one: it would only add its start."""
    if workers == 1:
        yield None
        return
    # Spawned, for a fork would copy a caller's threads and GPU state.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_order(slides: list[_Slide], pool: Executor | None) -> Iterator[tuple]:
    """Draw slides, in the pool if there is one, and yield them in order."""
    if pool is None:
        yield from map(_draw_slide, slides)
        return
    rest = iter(slides)
    # A short queue: pictures not yet written must not pile up in memory.
    waiting = deque(pool.submit(_draw_slide, slide) for slide in islice(rest, _QUEUE))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(_draw_slide, slide) for slide in islice(rest, 1))
