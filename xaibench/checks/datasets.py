"""Does a data set keep its contract?"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import get_args

import numpy as np

from xaibench.checks import surroundings
from xaibench.checks.check import Check, Note, NotRunError, told
from xaibench.checks.comparing import well_made
from xaibench.datasets.base import Dataset, FileDataset
from xaibench.errors import UserError
from xaibench.progress import SilentProgress
from xaibench.types import VALIDATION, Data, Split, Task

_FIRST = "opens"
_LOOKED_AT = 8
"""Images of each split that are read."""
_GENERATED = 24
"""Images, or patients, of each part of a generated stand-in."""


def dataset_checks(dataset: Dataset) -> list[Check]:
    """Return the checks of a data set, on its files, or on a small generated stand-in."""
    trial = _Trial(dataset)
    checks = [
        Check("is a frozen dataclass with a docstring", partial(_well_made, dataset)),
        Check(_FIRST, trial.opens),
    ]
    for promise, act in {
        "has images in every split": _has_images,
        "labels match the classes": _labels_match,
        "has ids that are unique": _ids_are_unique,
        "has no group in two splits": _groups_are_apart,
        "gives images of its size and channels": _images_fit,
        "gives values in range": _values_in_range,
        "gives the same image for the same index": _same_index_same_image,
        "gives masks of the images' size": _masks_fit,
        "refuses an index out of range": _refuses_beyond,
    }.items():
        checks.append(Check(promise, partial(trial.of_data, act)))
    checks += [
        Check("has a stable checksum", trial.checksum_is_stable),
        Check("opens the same twice", trial.opens_the_same),
    ]
    for promise in surroundings.PROMISES:
        checks.append(Check(promise, partial(trial.leaves_as_found, promise)))
    return checks


def _well_made(dataset: Dataset) -> str | None:
    try:
        return well_made(dataset)
    except UserError:  # its files are not there, of which another check tells
        return None


class _Trial:
    """A data set under trial, with a folder of its own for what is kept."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.stand_in = False
        self._lacking: NotRunError | None = None

    @cached_property
    def _folder(self) -> Path:
        folder = tempfile.mkdtemp(prefix="xaibench-check-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    @cached_property
    def _found(self) -> Dataset:
        """The data set, with a small generated stand-in where its files are missing."""
        dataset, folder = self.dataset, self._folder
        if not isinstance(dataset, FileDataset):
            example = dataset.example(folder / "example")
            self.stand_in = example is not dataset
            return example
        if dataset.root is not None and dataset.find(dataset.root) is not None:
            return dataset
        self.stand_in = True
        counts = dict.fromkeys(dataset.synthetic.counts, _GENERATED)
        synthetic = replace(dataset.synthetic, root=folder / "generated", **counts)
        synthetic.write(SilentProgress(), workers=1)
        return replace(dataset, root=None, when_missing="synthesize", synthetic=synthetic)

    def open(self, again: str = "") -> Data:
        cache = self._folder / f"cache{again}"
        cache.mkdir(exist_ok=True)
        self._found.validate()
        with surroundings.kept():
            return self._found.open(seed=0, cache=cache, progress=SilentProgress())

    @cached_property
    def _opened(self) -> Data:
        return self.open()

    def data(self) -> Data:
        """Return what was opened; NotRunError where that failed."""
        if self._lacking is None:
            try:
                return self._opened
            except (Exception, SystemExit) as error:
                self._lacking = NotRunError(f"there are no data: {told(error)}; see '{_FIRST}'")
        raise self._lacking

    def opens(self) -> str | None:
        try:
            data = self._opened
        except UserError as error:
            raise NotRunError(f"could not be opened: {error}") from None
        if not isinstance(data, Data):
            return f"open gives {type(data).__name__}; must be an xaibench.Data"
        if not data.splits or any(not isinstance(s, Split) for s in data.splits.values()):
            return "splits must be Split objects by name, and there must be some"
        if missing := {"train", VALIDATION, "test"} - set(data.splits):
            return f"lacks the splits {', '.join(sorted(missing))}"
        if self._found.task in get_args(Task) and self._found.task != data.task:
            return f"its task is declared as {self._found.task}, and the data are {data.task}"
        if not data.checksum:
            return "the checksum is empty"
        counted = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
        return Note(f"{'a generated stand-in' if self.stand_in else data.name}: {counted}")

    def of_data(self, act) -> str | None:
        return act(self.data())

    def checksum_is_stable(self) -> str | None:
        one, other = self.data().checksum, self.open("_2").checksum
        return None if one == other else f"opened twice, it is {one!r} and {other!r}"

    def opens_the_same(self) -> str | None:
        one, other = self.data(), self.open("_3")
        for name, split in one.splits.items():
            twin = other.splits[name]
            for what in ("ids", "groups", "labels"):
                if not _same(getattr(split, what), getattr(twin, what)):
                    return f"opened twice by one seed, {what} of {name} differ"
            at = _some(split)
            if not _same(split.images(at), twin.images(at)):
                return f"opened twice by one seed, images of {name} differ"
        return None

    def leaves_as_found(self, promise: str) -> str | None:
        return self._changes.get(promise)

    @cached_property
    def _changes(self) -> dict[str, str]:
        self.data()
        cache = self._folder / "cache"

        def act() -> None:
            data = self._found.open(seed=0, cache=cache, progress=SilentProgress())
            for split in data.splits.values():
                split.images(_some(split))

        return surroundings.changes(act)


def _some(split: Split) -> np.ndarray:
    return np.unique(np.linspace(0, len(split) - 1, _LOOKED_AT).astype(np.int64))


def _has_images(data: Data) -> str | None:
    for name, split in data.splits.items():
        if len(split) == 0:
            return f"{name} is empty"
        for what in ("groups", "labels"):
            if len(getattr(split, what)) != len(split):
                return f"{name}: {len(split)} ids, and {len(getattr(split, what))} {what}"
    return None


def _labels_match(data: Data) -> str | None:
    several = data.task in ("multilabel", "regression")
    if data.task == "binary" and len(data.classes) != 2:
        return f"binary, with {len(data.classes)} classes"
    for name, split in data.splits.items():
        labels = np.asarray(split.labels)
        wanted = (len(split), len(data.classes)) if several else (len(split),)
        if labels.shape != wanted:
            return f"{name}: labels of shape {labels.shape}, for {data.task} it must be {wanted}"
        if not several and not np.issubdtype(labels.dtype, np.integer):
            return f"{name}: labels are {labels.dtype}; classes must be whole numbers"
        if several and not np.issubdtype(labels.dtype, np.floating):
            return (
                f"{name}: labels are {labels.dtype}; must be floating point, NaN for missing ones"
            )
        known = labels[~np.isnan(labels)] if several else labels
        if data.task == "regression" or not len(known):
            continue
        top = 1 if several else len(data.classes) - 1
        if known.min() < 0 or known.max() > top:
            return f"{name}: labels from {known.min()} to {known.max()}, allowed 0 to {top}"
    return None


def _ids_are_unique(data: Data) -> str | None:
    seen: dict[str, str] = {}
    for name, split in data.splits.items():
        for image in map(str, split.ids):
            if image in seen:
                return f"{image} is twice in the data set, in {seen[image]} and in {name}"
            seen[image] = name
    return None


def _groups_are_apart(data: Data) -> str | None:
    seen: dict[str, str] = {}
    for name, split in data.splits.items():
        for group in set(map(str, split.groups)):
            if group in seen:
                return f"{group} is in {seen[group]} and in {name}; split by patient or slide"
            seen[group] = name
    return None


def _images_fit(data: Data) -> str | None:
    for name, split in data.splits.items():
        at = _some(split)
        images, wanted = split.images(at), (len(at), *data.size, data.channels)
        if images.shape != wanted:
            return f"{name}: images of shape {images.shape}; must be {wanted}, channels last"
    return None


def _values_in_range(data: Data) -> str | None:
    for name, split in data.splits.items():
        images = split.images(_some(split))
        if images.dtype == np.uint8:
            continue
        if images.dtype != np.float32:
            return f"{name}: images are {images.dtype}; must be uint8, or float32 in [0, 1]"
        if not np.isfinite(images).all() or images.min() < 0 or images.max() > 1:
            return f"{name}: values from {images.min():.4g} to {images.max():.4g}, allowed 0 to 1"
    return None


def _same_index_same_image(data: Data) -> str | None:
    for name, split in data.splits.items():
        at = _some(split)
        whole = split.images(at)
        if not _same(whole, split.images(at)):
            return f"{name}: asked twice, other images"
        if not _same(whole[::-1], split.images(at[::-1])):
            return f"{name}: asked in another order, other images"
        if not _same(whole[-1:], split.images(at[-1:])):
            return f"{name}: an image asked for alone is another one"
    return None


def _masks_fit(data: Data) -> str | None:
    names = set()
    for name, split in data.splits.items():
        at = _some(split)
        for mask_name, mask in split.masks(at, np.zeros(len(at), np.int64)).items():
            names.add(mask_name)
            wanted = (len(at), *data.size)
            if mask.shape != wanted or mask.dtype != bool:
                got = f"{mask.dtype} {mask.shape}"
                return f"{name}: mask {mask_name!r} is {got}; must be bool {wanted}"
    return Note(f"masks: {', '.join(sorted(names)) or 'none'}")


def _refuses_beyond(data: Data) -> str | None:
    for name, split in data.splits.items():
        try:
            split.images(np.array([len(split)]))
        except (IndexError, ValueError, KeyError):
            continue
        return f"{name}: image {len(split)} of {len(split)} is given; raise IndexError"
    return None


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and np.array_equal(
        one, other, equal_nan=np.issubdtype(one.dtype, np.floating)
    )
