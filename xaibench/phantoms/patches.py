"""What a synthetic PatchCamelyon patch looks like: stained lymph node, with the evidence known.

A patch is painted as two dye concentrations, haematoxylin (nuclei) and eosin (the rest), and then
coloured by the Beer-Lambert law, ``colour = white * exp(-haematoxylin * a - eosin * b)``. As in
the original the label is 1 exactly when tumour lies in the central 32x32; tumour outside it does
not count, so that some negatives have it too. The pixels of the tumour nuclei in the centre are
the evidence. On request a small mark in a corner goes with the label: a planted shortcut.

Whatever changes a single pixel here needs a new ``version`` in ``pcam``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from xaibench.phantoms.noise import noise_bank
from xaibench.phantoms.nuclei import (
    CANVAS,
    PAD,
    SIZE,
    Nuclei,
    paint_bystanders,
    paint_tumour,
    place_tumour,
)

CENTRE = slice(32, 64)
_INSIDE = slice(PAD, PAD + SIZE)
_CENTRAL = np.zeros((CANVAS, CANVAS), bool)
_CENTRAL[_INSIDE, _INSIDE][CENTRE, CENTRE] = True
_GRID = np.mgrid[:CANVAS, :CANVAS].astype(np.float32)
_BANK, _BANK_SEED = 768, 1  # the fixed noise: its side in pixels, its seed

_GLYPHS = (  # the shortcut's marks, one bit a pixel
    (0xC0, 0xC0, 0xC0, 0xC0, 0xC0, 0xC0, 0xFF, 0xFF),
    (0xFF, 0xFF, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18),
    (0xC3, 0xE7, 0x7E, 0x3C, 0x3C, 0x7E, 0xE7, 0xC3),
    (0x3C, 0x7E, 0xFF, 0xFF, 0xFF, 0xFF, 0x7E, 0x3C),
)
_INKS = ((25, 60, 150), (20, 105, 60), (30, 30, 35))
_PAPER = (235, 225, 70)  # a yellow that neither dye gives


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
    """One patch.

    ``image`` uint8 (96, 96, 3); ``evidence`` and ``tag`` bool (96, 96); ``label`` 0 or 1;
    ``tumour``: whether any lies in the patch, in the centre or not.
    """

    image: np.ndarray
    evidence: np.ndarray
    tag: np.ndarray
    label: int
    tumour: bool


def draw_patch(
    rng: np.random.Generator, label: int, stain: Stain, shortcut_rate: float | None = None
) -> Patch:
    """Draw one patch of a slide.

    ``evidence`` holds the whole tumour nuclei that reach into the central 32x32; it is empty for
    a negative. ``shortcut_rate`` r draws the tag on a positive with probability r, on a negative
    with 1 - r, and never if None; the rest of the image is the same whatever the rate.
    """
    angle = rng.uniform(0, np.pi)
    dyes, lymphoid, grain = _background(rng, angle)
    free = dyes[1] > 0.1  # nothing grows in a gap

    evidence = anywhere = np.zeros((CANVAS, CANVAS), bool)
    centres, radius = place_tumour(rng, label)
    if len(centres):
        stretch = rng.uniform(1.0, 1.6, len(radius))
        nuclei = Nuclei.shape(rng, centres, radius, stretch, border=3, uneven=0.09)
        # The soft edge and the scanner's blur spread a nucleus: a negative's keeps its distance.
        central = nuclei.reach(_CENTRAL, margin=0.0 if label else 3.0)
        evidence = nuclei.keep(central).cover() if label else evidence
        nuclei = nuclei if label else nuclei.keep(~central)
        anywhere = nuclei.cover()
        free &= ~nuclei.cover(margin=3.0)
        paint_tumour(rng, nuclei, dyes, grain)
    paint_bystanders(rng, dyes, grain, lymphoid, free, angle)

    image = _develop(rng, dyes[:, _INSIDE, _INSIDE], stain)
    tag = np.zeros((SIZE, SIZE), bool)
    if shortcut_rate is not None and rng.random() < (shortcut_rate if label else 1 - shortcut_rate):
        _draw_tag(rng, image, tag)
    inside = evidence[_INSIDE, _INSIDE].copy()
    return Patch(image, inside, tag, label, bool(anywhere[_INSIDE, _INSIDE].any()))


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
        cy, cx = rng.uniform(0, CANVAS, 2).tolist()
        wide = rng.uniform(0.8, 1.2)
        rim = np.sqrt((y - cy) ** 2 + (wide * (x - cx)) ** 2) - rng.uniform(10, 34) - fine
        eosin += 0.4 * np.exp(-0.5 * (rim / 1.5) ** 2)
        solid *= np.clip(rim + 0.5, 0.02, 1)
    dyes = np.stack([np.clip(haze, 0.01, None), np.clip(eosin, 0.12, None)]) * solid
    return dyes.astype(np.float32), lymphoid, grain


def _noise(rng: np.random.Generator, sigma: float, size: int = CANVAS) -> np.ndarray:
    """Return (size, size) noise: a random cut of the bank."""
    top, left = rng.integers(0, _BANK - size, 2)
    return noise_bank(_BANK_SEED, _BANK, sigma)[top : top + size, left : left + size]


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
    """Stick a 10x10 label of coloured paper, with a mark in ink, near one corner of ``image``; set
    its pixels in ``tag``. It keeps clear of the border, so that turning the patch by some degrees
    in training does not turn it out of the picture.
    """
    bits = np.array(_GLYPHS[rng.integers(len(_GLYPHS))], np.uint8)
    glyph = np.unpackbits(bits[:, None], axis=1).astype(bool)
    top, left = np.where(rng.random(2) < 0.5, 4, SIZE - 10 - 7) + rng.integers(0, 4, 2)
    ink = np.array(_INKS[rng.integers(len(_INKS))])
    label = np.full((10, 10, 3), _PAPER)
    label[1:9, 1:9][glyph] = ink
    there = slice(top, top + 10), slice(left, left + 10)
    image[there] = np.rint(0.1 * image[there] + 0.9 * label).astype(np.uint8)
    tag[there] = True
