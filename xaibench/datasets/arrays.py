"""A user's own images in arrays: NPZ, NPY, HDF5, MedMNIST."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeInt

from xaibench.datasets.base import Dataset, Fractions, check_fractions
from xaibench.errors import UserError
from xaibench.imaging import patients
from xaibench.imaging.arrays.files import WHOLE, Keys, files_of, find_parts
from xaibench.imaging.arrays.labels import labels_of
from xaibench.imaging.arrays.splits import ArrayMasks, ArraySplit, array_data, whole_splits
from xaibench.imaging.checksums import checksums
from xaibench.imaging.own_masks import NAME as OWN
from xaibench.imaging.splits import SPLITS, check_no_overlap, patient_split
from xaibench.phantoms.own_pictures import draw_arrays
from xaibench.progress import Progress
from xaibench.registry import register
from xaibench.types import Data, Task

Name = Annotated[str, Field(min_length=1)]


@register("dataset")
@dataclass(frozen=True)
class Arrays(Dataset):
    """One's own images in arrays of one file: NPZ, HDF5, or a folder of NPY files.

    ``images`` and ``labels`` name the arrays; where they are apart by split they are called
    ``train_images``, ``images_train`` or ``train/images``, and so for val and test: the files of
    MedMNIST open as they are. Where there is no val, a share of train is drawn for it; one array
    alone is dealt out by ``fractions``. ``groups`` names the patients, ``masks`` the evidence,
    (N, height, width), not 0 where it is.

    Images are (N, height, width), or have 1 or 3 channels behind or before; uint8, uint16 (``bits``
    of them; null: as many as the brightest pixel needs), or float in [0, 1] or 0..255. Labels are
    (N,) or (N, 1) whole numbers from 0, or with ``one_hot: true`` (N, classes) of 0 and a 1;
    (N, L) of 0, 1 and NaN for several, or with ``regression: true`` any numbers. ``classes`` gives
    the names.
    """

    file: Path | None = None
    called: Name | None = None
    images: Name = "images"
    labels: Name = "labels"
    groups: Name | None = None
    masks: Name | None = None
    classes: tuple[Name, ...] | None = None
    regression: bool = False
    one_hot: bool = False
    bits: Annotated[int, Field(ge=8, le=16)] | None = None
    fractions: Fractions = (0.7, 0.1, 0.2)
    split_seed: NonNegativeInt = 42

    @property
    def task(self) -> Task | None:
        """None where the labels say it."""
        return "regression" if self.regression else None

    def validate(self) -> None:
        if self.file is None:
            raise UserError("file: is missing; name an NPZ, HDF5 or NPY file, or a folder of them")
        if not self.file.exists():
            raise UserError(f"file: {self.file} is not there (working directory {Path.cwd()})")
        if self.one_hot and self.regression:
            raise UserError("one_hot: is of classes, regression of numbers; leave one of them out")
        check_fractions(self.fractions)

    def example(self, folder: Path) -> Dataset:
        if self.file is not None:
            return self
        return replace(self, file=draw_arrays(folder), groups="groups", masks="masks")

    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        self.validate()
        files = files_of(self.file)
        masks = {} if self.masks is None else {OWN: self.masks}
        keys = Keys(self.images, self.labels, self.groups, masks)
        parts = find_parts(self.file, files, keys)
        if masks and not any(part.masks for part in parts.values()):
            raise UserError(f"masks: {self.file} has no array {self.masks!r} of any split")
        known = labels_of(
            {split: part.labels for split, part in parts.items()},
            self.classes,
            regression=self.regression,
            one_hot=self.one_hot,
        )
        wholes = whole_splits(parts, known.of, ArrayMasks(), progress, bits=self.bits)
        if self.groups is None:
            patients.say_unknown(progress, "`groups: ARRAY`")
        sums = checksums(files, cache, progress)
        asked = repr([sorted(sums.items()), self.images, self.labels, self.groups, self.masks])
        return array_data(
            self.called or self.file.stem,
            known.task,
            known.classes,
            self._dealt(wholes),
            hashlib.sha256(asked.encode()).hexdigest(),
            {"root": str(self.file), "generated": False, "files": sums},
        )

    def _dealt(self, wholes: Mapping[str, ArraySplit]) -> dict[str, ArraySplit]:
        if WHOLE in wholes:
            whole = wholes[WHOLE]
            where = patient_split(whole.groups, self.fractions, self.split_seed)
            return {split: whole.part(np.flatnonzero(where == split)) for split in SPLITS}
        given = dict(wholes)
        groups = np.concatenate([split.groups for split in given.values()])
        check_no_overlap(groups, np.repeat(list(given), [len(s) for s in given.values()]))
        if "valid" not in given:
            share = self.fractions[1] / (self.fractions[0] + self.fractions[1])
            train = given["train"]
            where = patient_split(train.groups, (1 - share, share, 0.0), self.split_seed)
            given["train"] = train.part(np.flatnonzero(where == "train"))
            given["valid"] = train.part(np.flatnonzero(where == "valid"))
        return {split: given[split] for split in SPLITS}
