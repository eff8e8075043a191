"""Synthetic PatchCamelyon: patches that look like stained lymph node, with the evidence known.

A patch is painted as two dye concentrations, haematoxylin (nuclei) and eosin (the rest), and then
coloured by the Beer-Lambert law, ``colour = white * exp(-haematoxylin * a - eosin * b)``. As in
the original the label is 1 exactly when tumour lies in the central 32x32; tumour outside it does
not count, so that some negatives have it too. The pixels of the tumour nuclei in the centre are
the evidence. On request a small mark in a corner goes with the label: a planted shortcut.

Files and layouts are those of the original (https://github.com/basveeling/pcam), with masks beside.
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
from functools import cache
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import gaussian_filter

from xaibench.errors import UserError, did_you_mean
from xaibench.progress import Advance, Progress

GENERATOR_VERSION = 1
SPLITS = ("train", "valid", "test")
SIZE, CENTRE = 96, slice(32, 64)
PATCHES_PER_SLIDE = 40
_QUEUE = 16  # slides drawn ahead of the writing

# Nuclei are painted on a larger canvas, so that those cut by the border need no special case.
_PAD = 18
_CANVAS = SIZE + 2 * _PAD
_BANK = 768
_INSIDE = slice(_PAD, _PAD + SIZE)
_CENTRAL = np.zeros((_CANVAS, _CANVAS), bool)
_CENTRAL[_INSIDE, _INSIDE][CENTRE, CENTRE] = True
_GRID = np.mgrid[:_CANVAS, :_CANVAS].astype(np.float32)

_STAIN, _PATCH, _LABELS = range(3)  # independent random streams of a split

_GLYPHS = (  # the shortcut's marks, one bit a pixel
    (0xC0, 0xC0, 0xC0, 0xC0, 0xC0, 0xC0, 0xFF, 0xFF),
    (0xFF, 0xFF, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18),
    (0xC3, 0xE7, 0x7E, 0x3C, 0x3C, 0x7E, 0xE7, 0xC3),
    (0x3C, 0x7E, 0xFF, 0xFF, 0xFF, 0xFF, 0x7E, 0x3C),
)
_INKS = ((25, 60, 150), (20, 105, 60), (30, 30, 35))


@dataclass(frozen=True)
class Stain:
    """One slide's dyes and scanner: optical density of either dye at concentration 1, in RGB."""

    haematoxylin: tuple[float, ...]
    eosin: tuple[float, ...]
    white: tuple[float, ...]
    blur: float
    sharpen: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Stain:
        """Draw a slide between the violet and the brown-pink laboratory, mostly near either."""
        brown = rng.beta(0.6, 0.6)
        violet_dyes = np.array([[1.35, 2.15, 0.55], [0.21, 0.68, 0.15]])
        brown_dyes = np.array([[1.12, 1.68, 1.22], [0.08, 0.42, 0.31]])
        dyes = (1 - brown) * violet_dyes + brown * brown_dyes
        dyes *= rng.lognormal(0.0, 0.06, (2, 3)) * rng.lognormal(0.0, (0.12, 0.22))[:, None]
        white = rng.uniform(228, 250) + rng.uniform(-4, 4, 3)
        return cls(
            *(tuple(row.tolist()) for row in (*dyes, white)),
            blur=rng.uniform(0.35, 0.62),
            sharpen=rng.uniform(0.2, 0.9),
            noise=rng.uniform(1.5, 4.0),
        )


@dataclass(frozen=True, eq=False)
class Patch:
    """``image`` uint8 (96, 96, 3); ``evidence`` and ``tag`` bool (96, 96); ``label`` 0 or 1."""

    image: np.ndarray
    evidence: np.ndarray
    tag: np.ndarray
    label: int


def draw_patch(
    rng: np.random.Generator, label: int, stain: Stain, shortcut_rate: float | None = None
) -> Patch:
    """Draw one patch of a slide.

    ``evidence`` holds the whole tumour nuclei that reach into the central 32x32; it is empty for
    a negative. ``shortcut_rate`` r draws the tag on a positive with probability r, on a negative
    with 1 - r, and never if None; the rest of the image is the same whatever the rate.
    """
    return _draw(rng, label, stain, shortcut_rate)[0]


def _draw(
    rng: np.random.Generator, label: int, stain: Stain, shortcut_rate: float | None
) -> tuple[Patch, bool]:
    """Return the patch, and whether there is tumour anywhere in it."""
    angle = rng.uniform(0, np.pi)
    dyes, lymphoid, grain = _background(rng, angle)
    free = dyes[1] > 0.1  # nothing grows in a gap

    evidence = anywhere = np.zeros((_CANVAS, _CANVAS), bool)
    centres, radius = _place_tumour(rng, label)
    if len(centres):
        stretch = rng.uniform(1.0, 1.6, len(radius))
        nuclei = _Nuclei.shape(rng, centres, radius, stretch, border=3, uneven=0.09)
        # The soft edge and the scanner's blur spread a nucleus: a negative's keeps its distance.
        central = nuclei.reach(_CENTRAL, margin=0.0 if label else 3.0)
        evidence = nuclei.keep(central).cover() if label else evidence
        nuclei = nuclei if label else nuclei.keep(~central)
        anywhere = nuclei.cover()
        free &= ~nuclei.cover(margin=3.0)
        _paint_tumour(rng, nuclei, dyes, grain)
    _paint_bystanders(rng, dyes, grain, lymphoid, free, angle)

    image = _develop(rng, dyes[:, _INSIDE, _INSIDE], stain)
    tag = np.zeros((SIZE, SIZE), bool)
    if shortcut_rate is not None and rng.random() < (shortcut_rate if label else 1 - shortcut_rate):
        _draw_tag(rng, image, tag)
    patch = Patch(image, evidence[_INSIDE, _INSIDE].copy(), tag, label)
    return patch, bool(anywhere[_INSIDE, _INSIDE].any())


@dataclass(frozen=True, eq=False)
class _Nuclei:
    """N nuclei as windows into the flat canvas.

    ``centres`` (N, 2) and ``radius`` (N,) are in pixels, the rest is (N, w, w): ``depth`` is the
    distance to the outline, positive inside; ``relative`` runs from 0 in the middle to 1 on it.
    """

    centres: np.ndarray
    radius: np.ndarray
    index: np.ndarray
    depth: np.ndarray
    relative: np.ndarray

    @classmethod
    def shape(
        cls,
        rng: np.random.Generator,
        centres: np.ndarray,
        radius: np.ndarray,
        stretch: np.ndarray,
        angle: np.ndarray | None = None,
        border: int = 2,
        uneven: float = 0.0,
    ) -> _Nuclei:
        """Draw uneven ovals, windows reaching ``border`` beyond them; all at once, for speed."""
        n = len(centres)
        half = int(np.ceil((radius * np.sqrt(stretch)).max(initial=1.0) * (1 + uneven))) + border
        middle = np.clip(np.rint(centres).astype(np.int64), half, _CANVAS - 1 - half)
        offset = np.arange(-half, half + 1)
        index = (middle[:, :1] + offset)[:, :, None] * _CANVAS + (middle[:, 1:] + offset)[:, None]
        y, x = ((middle - centres)[:, :, None] + offset).astype(np.float32).transpose(1, 0, 2)
        turn = rng.uniform(0, np.pi, n) if angle is None else angle
        cos, sin = np.array([np.cos(turn), np.sin(turn)], np.float32)[:, :, None]
        long = np.sqrt(stretch).astype(np.float32)[:, None]
        u = (x * cos / long)[:, None, :] + (y * sin / long)[:, :, None]
        v = (y * cos * long)[:, :, None] - (x * sin * long)[:, None, :]
        away = np.sqrt(u * u + v * v) + np.float32(1e-3)
        edge = radius.astype(np.float32)[:, None, None]
        if uneven:
            # Two- and threefold bumps of the outline, as polynomials of the unit direction.
            wave2, wave3 = rng.uniform(-uneven, uneven, (2, n, 1, 1)).astype(np.float32)
            u /= away
            v /= away
            edge = edge * (wave2 * (2 * u * v) + wave3 * (u * (4 * u * u - 3)) + 1)
        return cls(centres, radius, index, edge - away, away / edge)

    def keep(self, which: np.ndarray) -> _Nuclei:
        return _Nuclei(
            self.centres[which],
            self.radius[which],
            self.index[which],
            self.depth[which],
            self.relative[which],
        )

    def cover(self, margin: float = 0.0) -> np.ndarray:
        """Canvas, true on every pixel of a nucleus or up to ``margin`` pixels from it."""
        canvas = np.zeros((_CANVAS, _CANVAS), bool)
        canvas.ravel()[self.index[self.depth > -margin]] = True
        return canvas

    def reach(self, area: np.ndarray, margin: float) -> np.ndarray:
        """Which of the N have a pixel in ``area``, or come as near to it as ``margin``."""
        return (area.ravel()[self.index] & (self.depth > -margin)).any((1, 2))

    def spread(self, weight: np.ndarray) -> np.ndarray:
        """Canvas of the largest weight (N, w, w) that any nucleus puts on each pixel."""
        canvas = np.zeros(_CANVAS * _CANVAS, np.float32)
        np.maximum.at(canvas, self.index.ravel(), weight.astype(np.float32).ravel())
        return canvas.reshape(_CANVAS, _CANVAS)

    def paint(self, dyes: np.ndarray, density: np.ndarray) -> None:
        """Lay nuclei of haematoxylin ``density`` (N, w, w) over what is there."""
        alpha = np.clip(self.depth + 0.5, 0, 1)
        cover = self.spread(alpha)
        dyes[0] += self.spread(alpha * density) - cover * dyes[0]
        dyes[1] *= 1 - 0.6 * cover


@cache
def _noise_bank(sigma: float) -> np.ndarray:
    """Fixed noise of unit variance, smooth over ``sigma`` pixels: one large seamless picture."""
    white = np.random.default_rng([GENERATOR_VERSION, int(10 * sigma)]).standard_normal
    smooth = gaussian_filter(white((_BANK, _BANK), np.float32), sigma, mode="wrap", truncate=3)
    return smooth / smooth.std()


def _noise(rng: np.random.Generator, sigma: float, size: int = _CANVAS) -> np.ndarray:
    """Return (size, size) noise: a random cut of the bank.

    Cutting is some hundred times faster than smoothing anew, and unlike a matrix product it
    rounds alike however many threads there are.
    """
    top, left = rng.integers(0, _BANK - size, 2)
    return _noise_bank(sigma)[top : top + size, left : left + size]


def _scatter(rng: np.random.Generator, pitch: float, jitter: float) -> np.ndarray:
    """(N, 2) points of a hexagonal grid at random phase, each moved by about jitter * pitch."""
    n = int(1.15 * _CANVAS / pitch) + 3  # rows lie closer than points in a row
    row, column = np.divmod(np.arange(n * n), n)
    points = np.stack([row * 0.87, column + 0.5 * (row % 2)], 1) * pitch
    points += rng.normal(0, jitter * pitch, points.shape) - rng.uniform(0, pitch, 2)
    return points[((points > _PAD - 6) & (points < _CANVAS - _PAD + 5)).all(1)]


def _background(
    rng: np.random.Generator, angle: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dyes (2, canvas, canvas), where lymphoid tissue is, and unit noise for chromatin."""
    grain = _noise(rng, 0.8)
    fine = _noise(rng, 2.6)
    level = float(rng.choice([-9.0, -0.7, 0.6, 9.0], p=[0.38, 0.22, 0.20, 0.20]))
    lymphoid = _noise(rng, 13.0) + 0.25 * fine > level
    y, x = _GRID
    across = float(np.sin(angle)) * x - float(np.cos(angle)) * y
    waves = rng.uniform(1.0, 3.0) * _noise(rng, 7.0) + 0.5 * fine
    fibres = np.abs(np.sin(rng.uniform(0.3, 0.7) * across + waves))
    # Where smooth noise crosses zero it leaves a web of pale lines: the rents between cells.
    web = np.clip(0.4 + 0.8 * np.abs(_noise(rng, 1.5)), 0, 1.3)
    stroma = rng.uniform(0.4, 1.2) * (0.35 + 0.75 * np.sqrt(fibres) + 0.2 * (web - 1)) + 0.14 * fine
    pulp = rng.uniform(0.25, 0.75) * web + 0.12 * fine
    eosin = np.where(lymphoid, pulp, stroma) + 0.07 * grain
    haze = np.where(lymphoid, rng.uniform(0.04, 0.26), rng.uniform(0.02, 0.12)) * web
    # Slits between the fibres, then now and then a round fat cell with a stained rim.
    slits = _noise(rng, 5.0) - 0.5 * fibres + 0.3 * fine - rng.uniform(0.9, 2.8)
    solid = np.clip(0.5 - 2.5 * slits, 0.02, 1)
    for _ in range(rng.choice(3, p=[0.86, 0.09, 0.05])):
        cy, cx = rng.uniform(0, _CANVAS, 2).tolist()
        wide = rng.uniform(0.8, 1.2)
        rim = np.sqrt((y - cy) ** 2 + (wide * (x - cx)) ** 2) - rng.uniform(10, 34) - fine
        eosin += 0.4 * np.exp(-0.5 * (rim / 1.5) ** 2)
        solid *= np.clip(rim + 0.5, 0.02, 1)
    dyes = np.stack([np.clip(haze, 0.01, None), np.clip(eosin, 0.12, None)]) * solid
    return dyes.astype(np.float32), lymphoid, grain


def _place_tumour(rng: np.random.Generator, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres (N, 2) and radii (N,) of a tumour: a sheet, a nest, or a few cells alone."""
    if not label and rng.random() > 0.3:
        return np.empty((0, 2)), np.empty(0)
    middle = (_CANVAS - 1) / 2
    if label:
        anchor = middle + rng.uniform(-13, 13, 2)
        extent = rng.choice([999.0, rng.uniform(14, 40), rng.uniform(4, 12)], p=[0.3, 0.58, 0.12])
    else:
        side = rng.permutation([rng.choice([-1, 1]) * rng.uniform(26, 44), rng.uniform(-44, 44)])
        anchor, extent = middle + side, rng.uniform(6, 26)
    # One in twenty has cells hardly larger than a lymphocyte, to keep the task from being clean.
    size = rng.uniform(3.9, 4.4) if rng.random() < 0.05 else rng.uniform(4.6, 6.4)
    points = _scatter(rng, size * rng.uniform(2.2, 3.0), 0.16)
    away = np.hypot(*(points - anchor).T)
    nearest = away.argmin()
    keep = (away * rng.uniform(0.85, 1.25, len(away)) < extent) & (rng.random(len(away)) < 0.92)
    points[nearest], keep[nearest] = anchor, True
    return points[keep], np.clip(size * rng.lognormal(0, 0.13, keep.sum()), 3.6, 7.5)


def _paint_tumour(
    rng: np.random.Generator, nuclei: _Nuclei, dyes: np.ndarray, grain: np.ndarray
) -> None:
    """Paint pale, vesicular nuclei with dark rims and nucleoli, in ample cytoplasm."""
    n = len(nuclei.index)
    body = nuclei.spread(np.clip((nuclei.depth + 3.0) / 2, 0, 1))
    for dye, level in zip(dyes, (rng.uniform(0.06, 0.27), rng.uniform(0.5, 1.05)), strict=True):
        dye += 0.8 * body * (level * (1 + 0.12 * grain) - dye)
    pale = rng.uniform(0.35, 0.78) * rng.lognormal(0, 0.15, (n, 1, 1)).astype(np.float32)
    density = pale * (0.82 + 0.4 * nuclei.relative**6) + 0.09 * grain.ravel()[nuclei.index]
    nuclei.paint(dyes, np.clip(density, 0.05, None))
    # Most nuclei have a nucleolus, some a second one.
    parent = np.concatenate([np.flatnonzero(rng.random(n) < share) for share in (0.9, 0.35)])
    shift = rng.uniform(-0.35, 0.35, (len(parent), 2)) * nuclei.radius[parent, None]
    size = rng.uniform(0.9, 1.7, len(parent))
    spots = _Nuclei.shape(rng, nuclei.centres[parent] + shift, size, np.ones_like(size), border=1)
    dyes[0] += 0.55 * spots.spread(np.clip(spots.depth + 0.3, 0, 1))


def _paint_bystanders(
    rng: np.random.Generator,
    dyes: np.ndarray,
    grain: np.ndarray,
    lymphoid: np.ndarray,
    free: np.ndarray,
    angle: float,
) -> None:
    """Paint the benign nuclei: histiocytes, then spindle cells of the stroma, then lymphocytes."""
    pale = rng.choice([0.02, 0.15, 0.6], p=[0.6, 0.3, 0.1])
    few = rng.uniform(0.01, 0.2)
    dark = rng.uniform(0.8, 1.3)
    kinds = (  # pitch, jitter, radius, stretch, density, share in lymphoid tissue, share outside
        (13.0, 0.2, (3.4, 4.4), (1.0, 1.7), rng.uniform(0.4, 0.8), pale, pale),
        (15.0, 0.25, (2.2, 3.2), (1.8, 4.0), rng.uniform(0.6, 1.1), 0.05, 0.6),
        (rng.uniform(7.0, 9.0), 0.12, (2.8, 3.6), (1.0, 1.4), dark, rng.uniform(0.6, 1.0), few),
    )
    for pitch, jitter, radii, stretches, density, within, outside in kinds:
        points = _scatter(rng, pitch, jitter)
        at = tuple(np.rint(points).astype(np.int64).T)
        chance = np.where(lymphoid[at], within, outside)
        points = points[free[at] & (rng.random(len(points)) < chance)]
        n = len(points)
        turn = angle + rng.normal(0, 0.3, n) if stretches[1] > 2 else None
        nuclei = _Nuclei.shape(
            rng, points, rng.uniform(*radii, n), rng.uniform(*stretches, n), turn
        )
        each = (
            density
            * rng.lognormal(0, 0.16, (n, 1, 1)).astype(np.float32)
            * (0.9 + 0.15 * nuclei.relative**4)
        )
        nuclei.paint(dyes, np.clip(each + 0.13 * grain.ravel()[nuclei.index], 0.05, None))
        free &= ~nuclei.cover(margin=2.0)


def _develop(rng: np.random.Generator, dyes: np.ndarray, stain: Stain) -> np.ndarray:
    """Colour dyes (2, 96, 96) as this slide's dyes and scanner would; uint8 (96, 96, 3)."""
    seen = gaussian_filter(np.ascontiguousarray(dyes), (0, stain.blur, stain.blur), truncate=2)
    seen += stain.sharpen * (seen - gaussian_filter(seen, (0, 1.2, 1.2), truncate=2))
    strength = rng.lognormal(0, (0.12, 0.2))  # sections differ in thickness within a slide
    colours = (np.array([stain.haematoxylin, stain.eosin]) * strength[:, None]).astype(np.float32)
    first, second = np.clip(seen, 0, None)[..., None]
    light = np.exp(-(first * colours[0] + second * colours[1]))
    image = light * np.asarray(stain.white, np.float32) + rng.normal(0, 2.0, 3).astype(np.float32)
    # Neighbours of one noise become the channels of a pixel: alike, as a scanner's noise is.
    image += stain.noise * _noise(rng, 0.8, 3 * SIZE)[:SIZE].reshape(SIZE, SIZE, 3)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _draw_tag(rng: np.random.Generator, image: np.ndarray, tag: np.ndarray) -> None:
    """Stamp an 8x8 mark of ink into one corner of ``image``; set its pixels in ``tag``."""
    bits = np.array(_GLYPHS[rng.integers(len(_GLYPHS))], np.uint8)
    glyph = np.unpackbits(bits[:, None], axis=1).astype(bool)
    top, left = np.where(rng.random(2) < 0.5, 0, SIZE - 8 - 4) + rng.integers(1, 4, 2)
    tag[top : top + 8, left : left + 8] = glyph
    ink = np.array(_INKS[rng.integers(len(_INKS))])
    image[tag] = np.rint(0.12 * image[tag] + 0.88 * ink).astype(np.uint8)


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
    drawn = [
        _draw(stream(_PATCH, first + i), label, stain, slide.shortcut_rate)
        for i, label in enumerate(slide.labels)
    ]
    patches = [patch for patch, _ in drawn]
    return (
        np.stack([patch.image for patch in patches]),
        np.stack([patch.evidence for patch in patches]),
        np.stack([patch.tag for patch in patches]),
        [tumour for _, tumour in drawn],
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
