"""A label map's key and file: everything that it depends on, and nothing that is broken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from xaibench.segmentation.base import Segmentation
from xaibench.segmentation.label_maps import LabelMap


@dataclass(frozen=True)
class Bands(Segmentation):
    """Levels of the first channel."""

    levels: int = 4

    @property
    def id(self):
        return f"bands({self.levels})"

    def segment(self, image, seed):
        return (image[0] * self.levels).astype(np.int64)


class Seeded(Bands):
    """Levels that the seed moves."""

    seeded: ClassVar[bool] = True

    def segment(self, image, seed):
        return ((image[0] + seed / 10) * self.levels).astype(np.int64)


def ramp(levels: int = 256, channels: int = 3) -> np.ndarray:
    plane = np.arange(levels, dtype=np.float32).reshape(-1, 16) / levels
    return np.repeat(plane[None], channels, axis=0)


@pytest.fixture
def one(tmp_path):
    return LabelMap(Bands(), ramp(), 3, tmp_path)


def test_the_key_is_of_segmentation_shape_and_pixels(one):
    other = ramp()
    other[2, 5, 5] = np.nextafter(other[2, 5, 5], np.float32(1))
    changed = [
        replace(one, segmentation=Bands(5)),
        replace(one, segmentation=Seeded()),
        replace(one, image=other),
        replace(one, image=ramp().reshape(3, 32, 8)),
    ]
    assert len({one.key, *(each.key for each in changed)}) == 5
    assert replace(one, image=ramp().copy(), folder=None).key == one.key


def test_the_seed_counts_only_where_the_segmentation_is_random(one):
    assert replace(one, seed=4).key == one.key
    random = replace(one, segmentation=Seeded())
    assert replace(random, seed=4).key != random.key


def test_what_was_computed_is_read(one):
    assert one.read() is None
    labels = one.compute()
    assert np.array_equal(one.read(), labels)
    assert labels.max() == 3
    assert [f.name for f in one.folder.rglob("*") if f.is_file()] == [f"{one.key}.npz"]
    assert one.file.parent.name == one.key[:2]


@pytest.mark.parametrize(("levels", "dtype"), [(256, np.uint8), (320, np.uint16)])
def test_the_file_has_the_smallest_type(tmp_path, levels, dtype):
    one = LabelMap(Bands(levels), ramp(levels), 0, tmp_path)
    labels = one.compute()
    assert labels.max() == levels - 1
    assert one.read().dtype == dtype
    assert np.array_equal(one.read(), labels)


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = LabelMap(Bands(), ramp(), 0, None)
    assert one.compute().max() == 3
    assert one.read() is None
    assert list(tmp_path.iterdir()) == []


def labels_file(path, labels, name="labels"):
    with path.open("wb") as file:
        np.savez(file, **{name: labels})


def array_file(path, labels):
    with path.open("wb") as file:
        np.save(file, labels)


WHOLE = np.repeat(np.arange(4, dtype=np.uint8), 64).reshape(16, 16)


@pytest.mark.parametrize(
    "spoil",
    {
        "empty": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_text("labels"),
        "cut off": lambda path: path.write_bytes(path.read_bytes()[:-40]),
        "damaged": lambda path: path.write_bytes(b"PK" + bytes(path.stat().st_size)),
        "no archive": lambda path: array_file(path, WHOLE),
        "another name": lambda path: labels_file(path, WHOLE, "other"),
        "another shape": lambda path: labels_file(path, WHOLE[:8]),
        "another type": lambda path: labels_file(path, WHOLE.astype(np.float32)),
        "objects": lambda path: labels_file(path, WHOLE.astype(object)),
        "a gap": lambda path: labels_file(path, WHOLE * 2),
        "a huge number": lambda path: labels_file(path, WHOLE.astype(np.uint32) * 2**30),
        "a folder": lambda path: (path.unlink(), path.mkdir()),
    }.items(),
    ids=lambda item: item[0].replace(" ", "_"),
)
def test_a_broken_file_is_as_good_as_none(one, spoil):
    one.compute()
    assert one.read() is not None
    spoil[1](one.file)
    assert one.read() is None
