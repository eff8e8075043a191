"""The estimated box of the lungs against the true lung fields of phantoms."""

from __future__ import annotations

import numpy as np
import pytest

from xaibench.imaging.lungs import USUAL, lungs_box
from xaibench.phantoms.anatomy import Anatomy
from xaibench.phantoms.radiographs import draw_radiograph


def box_of(mask: np.ndarray) -> np.ndarray:
    """Return the box around a mask, as a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.zeros_like(mask)
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("severity", [0.0, 0.8])
def test_the_box_lies_on_the_lungs_of_phantoms(severity):
    overlaps = []
    for seed in range(24):
        rng = np.random.default_rng([seed, 1])
        anatomy = Anatomy.draw(np.random.default_rng(seed), child=True)
        findings = {"Pneumonia": severity} if severity else {}
        drawn = draw_radiograph(
            rng, anatomy, findings, height=160, width=160, frame=False, tag=False
        )
        overlaps.append(iou(lungs_box(drawn.image), box_of(drawn.lungs)))
    assert np.median(overlaps) >= 0.8


def usual(height: int, width: int) -> np.ndarray:
    box = np.zeros((height, width), bool)
    top, bottom = round(USUAL[0] * height), round(USUAL[1] * height)
    box[top:bottom, round(USUAL[2] * width) : round(USUAL[3] * width)] = True
    return box


def test_two_dark_fields_are_boxed_tightly():
    image = np.full((200, 200), 180, np.uint8)
    image[60:140, 40:85] = image[60:140, 115:160] = 60
    expected = np.zeros((200, 200), bool)
    expected[60:140, 40:160] = True
    assert iou(lungs_box(image), expected) > 0.95


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(slice(60, 140), slice(40, 85))],  # one lung
        [(slice(60, 140), slice(0, 85)), (slice(60, 140), slice(115, 160))],  # one at the border
        [(slice(60, 140), slice(72, 90)), (slice(60, 140), slice(110, 128))],  # too narrow a chest
        [(slice(172, 188), slice(40, 85)), (slice(172, 188), slice(115, 160))],  # in the belly
    ],
)
def test_without_two_plausible_lungs_the_usual_place_is_taken(fields):
    image = np.full((200, 200), 180, np.uint8)
    for field in fields:
        image[field] = 60
    assert np.array_equal(lungs_box(image), usual(200, 200))


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (16, 16), (64, 48)])
def test_pictures_of_any_size_have_a_box(shape):
    noise = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    box = lungs_box(noise)
    assert (box.shape, box.dtype) == (shape, bool)
    assert np.array_equal(lungs_box(np.zeros(shape, np.uint8)), usual(*shape))
