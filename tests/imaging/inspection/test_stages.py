"""Radiographs at every stage: those of the file, of the options and of the cache."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from xaibench.imaging.inspection.stages import draw_stages
from xaibench.imaging.inspection.survey import file_table
from xaibench.imaging.picture_sets import PictureOptions, Records, radiograph_data
from xaibench.imaging.preprocess import Preprocessing, ResizeOptions
from xaibench.imaging.split_of_images import SplitOptions
from xaibench.progress import SilentProgress

OPTIONS = Preprocessing(resize=ResizeOptions(size=16))


@pytest.fixture
def data(tmp_path):
    """Thirty radiographs, three of them framed."""
    rng = np.random.default_rng(0)
    for at in range(30):
        image = rng.integers(90, 200, (50, 60)).astype(np.uint8)
        if at % 10 == 0:
            image[:6] = 2
        Image.fromarray(image).save(tmp_path / f"{at:02d}.png")
    paths = [f"{at:02d}.png" for at in range(30)]
    table = pd.DataFrame({"path": paths, "patient": paths})
    records = Records(tmp_path, table, np.arange(30) % 2, "toy", "binary", ("a", "b"))
    options = PictureOptions(OPTIONS, channels=3, split=SplitOptions((0.6, 0.2, 0.2), 0))
    return radiograph_data(records, options, tmp_path / "cache", SilentProgress())


def test_the_file_table_knows_each_image_of_each_split(data):
    table = file_table(data)
    assert len(table) == 30
    for row in table.itertuples():
        split = data.splits[row.split]
        assert row.path.endswith(split.ids[row.index_in_split])
        assert (row.height, row.width) == (50, 60)
        assert row.cropped == (row.path[-5] == "0")


def test_every_second_image_is_cropped_as_long_as_there_are_such(data):
    stages = draw_stages(data, file_table(data), 8, seed=1)
    cut = [stage.cropped.shape != stage.original.shape for stage in stages]
    assert cut == [True, False, True, False, True, False, False, False]
    assert len({stage.name for stage in stages}) == 8


def test_the_cache_holds_what_the_options_make_of_the_file(data, tmp_path):
    for stage in draw_stages(data, file_table(data), 30, seed=1):
        with Image.open(tmp_path / stage.name) as file:
            np.testing.assert_array_equal(stage.original, np.asarray(file))
        np.testing.assert_array_equal(stage.cached, stage.prepared.image)
        assert stage.options == OPTIONS


def test_a_seed_draws_the_same_and_another_others(data):
    table = file_table(data)
    first, same, other = ([s.name for s in draw_stages(data, table, 9, n)] for n in (1, 1, 2))
    assert first == same
    assert first != other
