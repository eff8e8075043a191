"""A user's own images in arrays: NPZ, NPY, HDF5, MedMNIST."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Int, Shaped
from pydantic import Field, NonNegativeInt

from xaibench.datasets.base import Dataset, Fractions, check_fractions
from xaibench.errors import UserError
from xaibench.imaging import patients
from xaibench.imaging.array_labels import ArrayLabels, labels_of
from xaibench.imaging.checksums import checksums
from xaibench.imaging.counts import counts
from xaibench.imaging.layouts.arrays import WHOLE, Keys, Pixels, Stored, find_arrays, pixels_of
from xaibench.imaging.own_masks import shown
from xaibench.imaging.splits import SPLITS, check_no_overlap, patient_split
from xaibench.phantoms.own_pictures import draw_arrays
from xaibench.progress import Progress
from xaibench.registry import register
from xaibench.types import Data, Images, Labels, Rows, Split

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
    (N,) or (N, 1) whole numbers from 0, (N, L) of 0, 1 and NaN for several, or with ``regression:
    true`` any numbers. ``classes`` gives the names.
    """

    file: Path | None = None
    called: Name | None = None
    images: Name = "images"
    labels: Name = "labels"
    groups: Name | None = None
    masks: Name | None = None
    classes: tuple[Name, ...] | None = None
    regression: bool = False
    bits: Annotated[int, Field(ge=8, le=16)] | None = None
    fractions: Fractions = (0.7, 0.1, 0.2)
    split_seed: NonNegativeInt = 42

    def validate(self) -> None:
        if self.file is None:
            raise UserError("file: is missing; name an NPZ or HDF5 file, or a folder of NPY files")
        if not self.file.exists():
            raise UserError(f"file: {self.file} is not there (working directory {Path.cwd()})")
        check_fractions(self.fractions)

    def example(self, folder: Path) -> Dataset:
        if self.file is not None:
            return self
        return replace(self, file=draw_arrays(folder), groups="groups", masks="masks")

    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        self.validate()
        parts = find_arrays(self.file, Keys(self.images, self.labels, self.groups, self.masks))
        pixels = {
            split: pixels_of(f"{split} of {self.file}", arrays["images"], self.bits)
            for split, arrays in parts.items()
        }
        shapes = {p.shape[1:] for p in pixels.values()}
        if len(shapes) > 1:
            raise UserError(f"images: {self.file} has images of several shapes: {sorted(shapes)}")
        known = labels_of({s: a["labels"] for s, a in parts.items()}, self.classes, self.regression)
        wholes = {
            split: ArraySplit.whole(split, pixels[split], known, arrays)
            for split, arrays in parts.items()
        }
        if self.groups is None:
            progress.say(patients.UNKNOWN)
        splits = self._dealt(wholes)
        files = sorted(self.file.glob("*.npy")) if self.file.is_dir() else [self.file]
        sums = checksums(files, cache, progress)
        asked = repr([sorted(sums.items()), self.images, self.labels, self.groups, self.masks])
        *size, channels = shapes.pop()
        return Data(
            name=self.called or self.file.stem,
            task=known.task,
            classes=known.classes,
            channels=channels,
            size=tuple(size),
            splits=splits,
            checksum=hashlib.sha256(asked.encode()).hexdigest(),
            facts={
                "root": str(self.file),
                "generated": False,
                "files": sums,
                **counts(splits, known.classes),
            },
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


@dataclass(frozen=True, eq=False)
class ArraySplit(Split):
    """Rows of arrays, read when asked for.

    Attributes:
        rows: those of this split, in the arrays.
        evidence: masks of all rows; None for none.
    """

    pixels: Pixels
    rows: Rows
    ids: Shaped[np.ndarray, " n"]
    groups: Shaped[np.ndarray, " n"]
    labels: Labels
    evidence: Stored | None

    @classmethod
    def whole(
        cls, name: str, pixels: Pixels, known: ArrayLabels, arrays: Mapping[str, Stored]
    ) -> ArraySplit:
        rows = np.arange(pixels.shape[0])
        ids = np.array([f"{name}_{row:06d}" for row in rows])
        groups = np.asarray(arrays["groups"][:]) if "groups" in arrays else ids
        if groups.dtype.kind in "SO":
            groups = np.array([g.decode() if isinstance(g, bytes) else str(g) for g in groups])
        return cls(pixels, rows, ids, groups.astype(str), known.of[name], arrays.get("masks"))

    def part(self, at: Rows) -> ArraySplit:
        parts = {name: getattr(self, name)[at] for name in ("rows", "ids", "groups", "labels")}
        return replace(self, **parts)

    def images(self, indices: Int[np.ndarray, " k"]) -> Images:
        return self.pixels.read(self.rows[indices])

    def masks(
        self, indices: Int[np.ndarray, " k"], targets: Int[np.ndarray, " k"]
    ) -> dict[str, Bool[np.ndarray, "k height width"]]:
        if self.evidence is None:
            return {}
        masks = np.stack([np.asarray(self.evidence[int(row)]) != 0 for row in self.rows[indices]])
        return {"evidence": masks & shown(self.labels[indices], targets)[:, None, None]}
