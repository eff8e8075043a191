"""Every generated set: its recipe to the letter, its bounds, and how it is known again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xaibench.errors import UserError
from xaibench.imaging.recipe_folder import generated_folder
from xaibench.phantoms.chest_xray_pneumonia import KermanyPhantoms
from xaibench.phantoms.chexpert import ChexpertPhantoms
from xaibench.phantoms.nih_chestxray14 import NihPhantoms
from xaibench.phantoms.pcam import PcamPhantoms
from xaibench.phantoms.pneumothorax import PneumothoraxPhantoms

# Checksums of data sets hang on these words, in this order.
RECIPES = {
    PcamPhantoms: '{"generator": "pcam_synthetic", "version": 2, "seed": 42, "sizes": '
    '{"train": 6000, "valid": 500, "test": 500}, "shortcut_rate": null}',
    PneumothoraxPhantoms: '{"generator": "pneumothorax_synthetic", "version": [1, 3], "seed": 42, '
    '"sizes": {"train": 500, "test": 150}, "size": 256, "positives": 0.3, "shortcut_rate": null}',
    KermanyPhantoms: '{"generator": "chest_xray_pneumonia_synthetic", "version": 1, '
    '"radiographs": 3, "images": 700, "seed": 42, "shortcut_rate": null}',
    ChexpertPhantoms: '{"generator": "chexpert_synthetic", "version": 2, "radiographs": 3, '
    '"images": 600, "seed": 42, "shortcut_rate": null}',
    NihPhantoms: '{"generator": "nih_chestxray14_synthetic", "version": [1, 3], "seed": 42, '
    '"images": 900, "size": 128, "shortcut_rate": null}',
}
EVERY = pytest.mark.parametrize("phantoms", RECIPES)


@EVERY
def test_the_recipe_is_the_same_to_the_letter(phantoms):
    assert json.dumps(phantoms().recipe) == RECIPES[phantoms]


@EVERY
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seed", -1, "seed is -1; it must be 0 or more"),
        ("shortcut_rate", 1.1, "shortcut_rate is 1.1; it must be between 0.5 .* or null for no"),
        ("count", 0, "is 0; it must be at least 1"),
    ],
)
def test_a_set_that_cannot_be_is_refused_at_once(phantoms, field, value, said):
    name = phantoms.counts[0] if field == "count" else field
    with pytest.raises(UserError, match=said):
        phantoms(**{name: value})


@EVERY
def test_a_set_is_known_again_where_its_files_lie(phantoms, tmp_path):
    with generated_folder(tmp_path / "set", phantoms(shortcut_rate=0.9).recipe) as folder:
        (folder / phantoms.inside).mkdir(exist_ok=True)
    files = tmp_path / "set" / phantoms.inside
    made = phantoms.made(files)
    assert (made.root, made.tagged) == (tmp_path / "set", True)
    others = [other for other in RECIPES if other is not phantoms]
    assert not any(other.made(files) for other in others)
    assert phantoms.made(tmp_path) is None
    if phantoms.inside:  # a folder of another name beside it is none of its own
        (tmp_path / "set" / "mine").mkdir()
        assert phantoms.made(tmp_path / "set" / "mine") is None


@EVERY
def test_the_defaults_lie_below_the_working_directory(phantoms):
    assert phantoms().root == Path("data") / phantoms.generator
