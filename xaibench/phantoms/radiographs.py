"""Radiograph-like phantoms of the chest, with the true mask of every finding.

A picture is painted as absorbed radiation (``anatomy``), the findings are added to it
(``findings``), and it is developed with an exposure, a blur and a noise of its own. All
that a finding does not touch is drawn alike with and without it.

Whatever changes a single pixel needs a new ``RADIOGRAPH_VERSION``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import binary_closing, gaussian_filter

from xaibench.imaging.layouts.nih import FINDINGS
from xaibench.phantoms.anatomy import Anatomy, Chest, Field, noise
from xaibench.phantoms.findings import DRAW, HEART
from xaibench.types import Mask, Picture

RADIOGRAPH_VERSION = 3
_SEEN = 0.035  # absorption that a finding must change to be in its mask: some eight grey levels
_LETTERS = {"L": (4, 4, 4, 4, 7), "R": (6, 5, 6, 5, 5)}  # rows of three bits
_PLATE = (31, 17, 21, 17, 31)  # rows of five bits: a frame with a dot in it


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One picture.

    Attributes:
        image: grey; 0 where nothing was absorbed.
        findings: name -> the pixels that the finding changed for the eye; of ``Cardiomegaly`` the
            whole heart.
        lungs: the lung fields, the heart's shadow left out.
        tag: the planted marker; all False without one.
        content: top, bottom, left, right of the picture inside its dark frame, the ends
            exclusive; the whole image without a frame.
    """

    image: Picture
    findings: dict[str, Mask]
    lungs: Mask
    tag: Mask
    content: tuple[int, int, int, int]


def draw_radiograph(
    rng: np.random.Generator,
    anatomy: Anatomy,
    findings: Mapping[str, float],
    *,
    height: int,
    width: int,
    frame: bool,
    tag: bool,
) -> Radiograph:
    """Draw one picture of a patient.

    Args:
        findings: name -> severity in (0, 1], of ``FINDINGS``; it scales contrast and extent.
        height, width: in pixels, 64 or more.
        frame: whether the picture lies in a dark frame of 2 to 12 % of the side, here and there
            none on a side.
        tag: whether the marker is planted: a bright plate in an upper corner, unlike the letter
            that pictures may have anyhow.
    """
    own = dict(zip(FINDINGS, rng.integers(0, 2**63, len(FINDINGS)).tolist(), strict=True))
    content = _frame(rng, height, width) if frame else (0, height, 0, width)
    top, bottom, left, right = content
    inner = bottom - top, right - left
    pose = int(rng.integers(0, 2**63))
    growth = 1 + 0.18 + 0.42 * findings[HEART] if HEART in findings else 1.0
    chest = Chest.posed(np.random.default_rng(pose), anatomy, *inner, growth)
    picture = chest.paint() + _texture(rng, chest, inner)
    masks = {}
    for name, severity in findings.items():
        if name == HEART:
            masks[name] = chest.heart > 0.5
            continue
        change = DRAW[name](np.random.default_rng(own[name]), chest, severity)
        picture = picture + change
        seen = np.abs(change) > min(_SEEN, 0.5 * float(np.abs(change).max()))
        # A bright line beside a dark strip passes through no change at all.
        masks[name] = seen | binary_closing(seen, iterations=max(1, round(min(inner) / 128)))
    image = _developed(rng, picture)
    place = slice(top, bottom), slice(left, right)
    outside = np.clip(rng.normal(2, 1, (height, width)), 0, 6)
    letter = _letter(rng, image)
    tagged = np.zeros(inner, bool)
    if tag:  # last: nothing else may depend on it
        _plant(rng, image, tagged, beside=letter)
    whole = outside.astype(np.float32)
    whole[place] = image
    paste = lambda inside: _pasted(inside, place, (height, width))
    return Radiograph(
        np.clip(np.rint(whole), 0, 255).astype(np.uint8),
        {name: paste(mask) for name, mask in masks.items()},
        paste(chest.lungs > 0.5),
        paste(tagged),
        content,
    )


def _frame(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the picture's place in its frame; now and then a side has none, never all four."""
    shares = rng.uniform(0.02, 0.12, 4)
    none = rng.random(4) < 0.2
    none[int(rng.integers(4))] = False
    shares[none] = 0
    top, bottom, left, right = (
        int(share * n) for share, n in zip(shares, (height, height, width, width), strict=True)
    )
    return top, height - bottom, left, width - right


def _texture(rng: np.random.Generator, chest: Chest, size: tuple[int, int]) -> Field:
    """Return the vessels of the lungs, thickest at their roots, and the unevenness of tissue."""
    roots = sum(
        np.exp(-0.5 * (((chest.x - side * 0.11) / 0.055) ** 2 + ((chest.y - 0.01) / 0.1) ** 2))
        for side in (-1, 1)
    )
    vessels = np.exp(-((noise(rng, *size, 0.014) / 0.45) ** 2))
    fine = noise(rng, *size, 0.03)
    lungs = chest.lungs
    return lungs * (0.07 * vessels * (0.35 + roots) + 0.09 * roots + 0.012 * fine) + 0.02 * noise(
        rng, *size, 0.09
    )


def _developed(rng: np.random.Generator, picture: Field) -> Field:
    """Return grey values of a film: exposure, blur and noise; never as dark as a frame."""
    gain, lift, gamma = rng.uniform(0.85, 1.1), rng.uniform(-0.03, 0.05), rng.uniform(0.85, 1.15)
    side = min(picture.shape)
    soft = gaussian_filter(picture, 0.0022 * side, truncate=2)
    grey = np.clip(gain * soft + lift, 0.0, 1.0) ** gamma
    noisy = 14 + 236 * grey + rng.uniform(1.0, 3.0) * rng.standard_normal(picture.shape, np.float32)
    return np.clip(noisy, 9, 255)


def _stamped(rows: tuple[int, ...], bits: int, pixel: int) -> Mask:
    glyph = [[row >> (bits - 1 - at) & 1 for at in range(bits)] for row in rows]
    return np.kron(np.array(glyph, bool), np.ones((pixel, pixel), bool))


def _letter(rng: np.random.Generator, image: Field) -> str | None:
    """Write the side's letter, which says nothing, near an upper corner of half the pictures."""
    there, name = rng.random() < 0.5, "LR"[int(rng.integers(2))]
    down, in_from, grey = rng.uniform(0.05, 0.09), rng.uniform(0.14, 0.2), rng.uniform(190, 250)
    if not there:
        return None
    glyph = _stamped(_LETTERS[name], 3, max(1, min(image.shape) // 90))
    _stamp(image, glyph, name == "R", down, in_from, grey)
    return name


def _plant(rng: np.random.Generator, image: Field, tagged: Mask, beside: str | None) -> None:
    """Put the marker into an upper corner, not that of a letter; it takes about 9 % of the
    side.
    """
    pixel = max(1, round(0.09 * min(image.shape) / 5))
    glyph = _stamped(_PLATE, 5, pixel)
    left = rng.random() < 0.5 if beside is None else beside == "L"
    place = _stamp(image, glyph, bool(left), 0.06, rng.uniform(0.13, 0.16), 252.0)
    image[place][~glyph] = 60
    tagged[place] = True


def _stamp(
    image: Field,
    glyph: Bool[np.ndarray, "rows columns"],
    left: bool,
    down: float,
    in_from: float,
    grey: float,
) -> tuple[slice, slice]:
    """Write a glyph and return its place; ``in_from`` is measured from the nearer side."""
    side, (rows, columns) = min(image.shape), glyph.shape
    top, near = round(down * side), round(in_from * side)
    start = near if left else image.shape[1] - near - columns
    place = slice(top, top + rows), slice(start, start + columns)
    image[place][glyph] = grey
    return place


def _pasted(
    inside: Bool[np.ndarray, "inner_height inner_width"],
    place: tuple[slice, slice],
    size: tuple[int, int],
) -> Mask:
    whole = np.zeros(size, bool)
    whole[place] = inside
    return whole
