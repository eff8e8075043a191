"""Each wrong data set is found by the check whose name promises it, and by no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from xaibench.checks.plugins import checks_for
from xaibench.datasets.base import Dataset
from xaibench.errors import UserError
from xaibench.types import Data, Split


class Part(Split):
    def __init__(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.pixels = rng.integers(0, 256, (12, 10, 14, 3), dtype=np.uint8)
        self.labels = np.arange(12) % 2
        self.ids = np.array([f"{name}_{i}" for i in range(12)])
        self.groups = np.array([f"{name}_{i // 2}" for i in range(12)])

    def images(self, indices):
        return self.pixels[indices]

    def masks(self, indices, targets):
        return {"evidence": np.zeros((len(indices), 10, 14), bool)}


class Sound(Dataset):
    name: ClassVar[str] = "wrong"
    part: ClassVar[type] = Part
    told: ClassVar[dict[str, object]] = {}

    def change(self, splits):
        pass

    def open(self, *, seed, cache, progress):
        names = ("train", "valid", "test")
        splits = {name: self.part(name, number) for number, name in enumerate(names)}
        self.change(splits)
        about = {
            "name": "wrong",
            "task": "binary",
            "classes": ("a", "b"),
            "channels": 3,
            "size": (10, 14),
            "checksum": "1",
        }
        return Data(**about | self.told, splits=splits)


def dataset(**members) -> Dataset:
    return dataclass(frozen=True)(
        type("Wrong", (Sound,), {"__doc__": "A test's plugin.", **members})
    )()


def changed(change):
    return dataset(change=lambda self, splits: change(splits))


def part(**members):
    return dataset(part=type("Part", (Part,), members))


def leak(splits):
    splits["train"].groups[0] = splits["test"].groups[0]


def twice(splits):
    splits["test"].ids[0] = splits["train"].ids[0]


def third_label(splits):
    splits["test"].labels[0] = 2


def shuffled(splits):
    splits["train"].labels = np.random.default_rng().permutation(np.arange(12) % 2)


def drawn(self, indices):
    return np.random.default_rng().integers(0, 256, (len(indices), 10, 14, 3), dtype=np.uint8)


def opens_again(self, *, seed, cache, progress):
    data = Sound.open(self, seed=seed, cache=cache, progress=progress)
    return Data(**{**vars(data), "checksum": str(np.random.default_rng().random())})


def reseeds(self, *, seed, cache, progress):
    np.random.seed(seed)
    return Sound.open(self, seed=seed, cache=cache, progress=progress)


WRONG = {
    "opens": dataset(open=lambda self, *, seed, cache, progress: {"train": Part("train", 0)}),
    "has images in every split": changed(
        lambda splits: vars(splits["valid"]).update(ids=np.array([]), groups=[], labels=[])
    ),
    "labels match the classes": changed(third_label),
    "has ids that are unique": changed(twice),
    "has no group in two splits": changed(leak),
    "gives images of its size and channels": dataset(told={"size": (14, 10)}),
    "gives values in range": part(images=lambda self, at: self.pixels[at].astype(np.float32) / 200),
    "gives the same image for the same index": part(images=drawn),
    "gives masks of the images' size": part(
        masks=lambda self, at, targets: {"evidence": np.zeros((len(at), 14, 10), bool)}
    ),
    "refuses an index out of range": part(images=lambda self, at: self.pixels[at % 12]),
    "has a stable checksum": dataset(open=opens_again),
    "opens the same twice": changed(shuffled),
    "leaves the global random generators as found": dataset(open=reseeds),
}
ALSO = {
    "has images in every split": {"gives images of its size and channels"},
    "gives images of its size and channels": {"gives masks of the images' size"},
    "gives the same image for the same index": {
        "opens the same twice",
        "refuses an index out of range",
    },
}


def results(plugin, promise=None):
    return [c.run() for c in checks_for(plugin) if promise in (None, c.promise)]


@pytest.mark.parametrize("promise", WRONG)
def test_a_wrong_data_set_is_found_and_by_no_other_check(promise):
    failed = {r.name for r in results(WRONG[promise]) if r.state == "failed"}
    assert promise in failed
    if promise not in ("opens", "has images in every split"):
        assert failed - ALSO.get(promise, set()) == {promise}


def test_a_sound_data_set_passes():
    found = results(dataset())
    assert [r for r in found if r.failed] == []
    assert "wrong: 12 train, 12 valid, 12 test" in [r.why for r in found]


def test_a_data_set_without_files_is_not_a_pass():
    def open_it(self, *, seed, cache, progress):
        raise UserError("root: data/mine is no folder")

    found = results(dataset(open=open_it))
    assert {r.state for r in found[1:]} == {"not run"}
    assert found[1].why == "could not be opened: root: data/mine is no folder"


def test_a_task_that_is_declared_is_the_one_of_the_data():
    assert not any(r.failed for r in results(dataset(task="binary"), "opens"))
    (found,) = results(dataset(task="multilabel"), "opens")
    assert found.why == "its task is declared as multilabel, and the data are binary"
