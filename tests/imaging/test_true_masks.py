"""True masks of generated images: which file speaks for which target, and for whom the marker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from xaibench.imaging.frame_crop import Bounds
from xaibench.imaging.mask_files import FOLDER, encoded, write_masks
from xaibench.imaging.picture_sets import Asked
from xaibench.imaging.preprocess import ResizeOptions, place
from xaibench.imaging.recipe_folder import GeneratedSet
from xaibench.imaging.true_masks import TrueMasks

SIDE = 8
PLACES = {"spot": (slice(0, 2), slice(0, 2)), "tag": (slice(6, 8), slice(0, 2))}
PLACES |= {"line": (slice(4, 5), slice(0, 8)), "lungs": (slice(1, 7), slice(1, 7))}


def plane(name: str) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[PLACES[name]] = True
    return mask


@pytest.fixture
def masks(tmp_path) -> TrueMasks:
    """Of three images: the first shows spot and tag, the second the tag alone, the third line."""
    held = {"a/0.png": ("spot", "tag"), "a/1.png": ("tag",), "a/2.png": ("line",)}
    for path, names in held.items():
        drawn = encoded({name: plane(name) for name in (*names, "lungs")})
        write_masks(tmp_path / FOLDER, path, drawn)
    made = GeneratedSet(tmp_path, {"shortcut_rate": 0.9})
    return TrueMasks(made, ("spot", "line"), tag_with="spot")


def asked(rows: list[int], targets: list[int], labels: np.ndarray) -> Asked:
    table = pd.DataFrame({"path": [f"a/{row}.png" for row in rows], "name": "a/0.png"})
    place_of = place(SIDE, SIDE, Bounds(0, SIDE, 0, SIDE), ResizeOptions(SIDE))
    return Asked(
        rows=table.assign(height=SIDE, width=SIDE),
        labels=labels[rows],
        targets=np.array(targets, int),
        images=np.zeros((len(rows), SIDE, SIDE), np.uint8),
        placements=(place_of,) * len(rows),
    )


SEVERAL = np.array([[1, 0], [0, 0], [0, 1]], np.float32)


def test_each_target_has_its_own_evidence_and_every_image_its_lungs(masks):
    found = masks(asked([0, 0, 2, 1], [0, 1, 1, 0], SEVERAL))
    assert list(found) == ["evidence", "tag", "lungs"]
    empty = np.zeros((SIDE, SIDE), bool)
    assert np.array_equal(found["evidence"], [plane("spot"), empty, plane("line"), empty])
    assert np.array_equal(found["lungs"], [plane("lungs")] * 4)


@pytest.mark.parametrize("labels", [SEVERAL, np.array([0, 1, 1])])
def test_the_marker_concerns_the_target_it_goes_with_on_images_that_show_it(masks, labels):
    where = lambda found: found["tag"].any((1, 2)).tolist()
    ask = asked([0, 0, 1], [0, 1, 0], labels)
    assert where(masks(ask)) == [True, False, False]
    assert where(replace(masks, stray=True)(ask)) == [True, False, True]


def test_without_a_marker_none_is_shown_and_the_order_is_as_asked_for(masks):
    plain = replace(masks, made=GeneratedSet(masks.made.root, {"shortcut_rate": None}))
    ask = asked([0], [0], SEVERAL)
    assert list(plain(ask)) == ["evidence", "lungs"]
    assert list(replace(masks, order=("lungs", "tag", "evidence"))(ask)) == [
        *("lungs", "tag", "evidence")
    ]


def test_masks_may_be_called_by_another_column(masks):
    found = replace(masks, key="name")(asked([2], [0], SEVERAL))
    assert np.array_equal(found["evidence"], [plane("spot")])


def test_masks_of_no_images_are_none(masks):
    found = masks(asked([], [], SEVERAL))
    assert {name: mask.shape for name, mask in found.items()} == dict.fromkeys(
        ("evidence", "tag", "lungs"), (0, SIDE, SIDE)
    )
