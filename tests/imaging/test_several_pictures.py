"""Each picture of a file is an image of its own, and all of a file are of one patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from xaibench.errors import UserError
from xaibench.imaging.picture_sets import Records
from xaibench.imaging.several_pictures import each_picture
from xaibench.progress import SilentProgress


@pytest.fixture
def records(tmp_path) -> Records:
    """Files of one, three and two pictures, and one that is not there."""
    for name, count in (("a.png", 1), ("b.tif", 3), ("c.tif", 2)):
        first, *rest = (Image.new("L", (8, 8), at) for at in range(count))
        first.save(tmp_path / name, **({"save_all": True, "append_images": rest} if rest else {}))
    table = pd.DataFrame({"path": ["a.png", "b.tif", "c.tif", "d.png"], "patient": list("ppqr")})
    labels = np.array([0, 1, 0, 1])
    return Records(tmp_path, table, labels, "set", "binary", ("no", "yes"))


def test_every_picture_is_a_row_of_its_files_patient_and_label(records):
    found = each_picture(records, SilentProgress())
    assert found.table.to_dict("list") == {
        "path": ["a.png", "b.tif#1", "b.tif#2", "b.tif#3", "c.tif#1", "c.tif#2", "d.png"],
        "patient": ["p", "p", "p", "p", "q", "q", "r"],
        "file": ["a.png", "b.tif", "b.tif", "b.tif", "c.tif", "c.tif", "d.png"],
        "frame": [0, 0, 1, 2, 0, 1, 0],
    }
    assert found.labels.tolist() == [0, 1, 1, 1, 0, 0, 1]
    assert "file" not in records.table


def test_files_of_one_picture_stay_as_they_are(records):
    single = records.part(np.array([0, 3]))
    assert each_picture(single, SilentProgress()) is single


def test_a_mask_of_a_whole_file_is_refused(records):
    with pytest.raises(UserError) as caught:
        each_picture(replace(records, masks=lambda asked: {}), SilentProgress())
    assert str(caught.value) == (
        "frames: all, but masks and boxes are of whole files, and b.tif holds 3 pictures; set "
        "frames to first or middle, or leave the masks out"
    )
