"""The figures of the preparation: bounds, stages and padding are those of the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from xaibench.figures import preprocessing
from xaibench.imaging.inspection.stages import Stages
from xaibench.imaging.preprocess import Preprocessing, ResizeOptions, prepare

OPTIONS = Preprocessing(resize=ResizeOptions(size=32, mode="pad"))


@pytest.fixture
def stages():
    rng = np.random.default_rng(0)
    made = []
    for at in range(6):
        original = rng.integers(90, 200, (100, 80 + 10 * at)).astype(np.uint8)
        if at % 2 == 0:
            original[:9] = original[-9:] = 3
        prepared = prepare(original, OPTIONS)
        made.append(Stages(f"image_{at}.png", original, prepared, prepared.image.copy(), OPTIONS))
    assert made[0].cropped.shape[0] < 100
    return made


def frame(ax):
    (patch,) = [p for p in ax.patches if isinstance(p, Rectangle)]
    return patch.get_bbox().extents


def test_before_and_after_stand_side_by_side_with_the_bounds(stages, legible):
    figure = preprocessing.draw_before_after(stages, "toy")
    shown = [ax for ax in figure.axes if ax.images]
    assert len(shown) == 12
    for stage, before, after in zip(stages, shown[::2], shown[1::2], strict=True):
        np.testing.assert_array_equal(before.images[0].get_array(), stage.original)
        np.testing.assert_array_equal(after.images[0].get_array(), stage.cached)
        top, bottom, left, right = stage.prepared.placement.bounds
        assert tuple(frame(before)) == (left - 0.5, top - 0.5, right - 0.5, bottom - 0.5)
    share = 1 - stages[0].cropped.size / stages[0].original.size
    assert shown[1].get_xlabel() == f"cut by {share:.1%}"
    assert shown[3].get_xlabel() == "uncut"
    legible(figure)


def test_the_stages_stand_in_a_row(stages, legible):
    figure = preprocessing.draw_stages(stages[:3], "toy")
    rows = np.array(figure.axes).reshape(3, 5)
    for stage, row in zip(stages, rows, strict=False):
        original, cropped, resized, cached, pad = (ax.images[0].get_array() for ax in row)
        np.testing.assert_array_equal(original, stage.original)
        np.testing.assert_array_equal(cropped, stage.cropped)
        np.testing.assert_array_equal(resized, stage.prepared.image)
        np.testing.assert_array_equal(cached, stage.cached)
        np.testing.assert_array_equal(pad == 1, stage.prepared.placement.pad)
        assert row[4].get_xlabel() == f"{stage.prepared.placement.pad.mean():.1%} filled"
    assert figure.get_suptitle().endswith("cached to prepared anew: 0 of 255")
    legible(figure)


def test_a_stale_cache_is_told_in_the_title(stages):
    cached = stages[1].cached.copy()
    cached[4, 4] -= 17
    figure = preprocessing.draw_stages([stages[0], replace(stages[1], cached=cached)])
    assert figure.get_suptitle().endswith("cached to prepared anew: 17 of 255")
