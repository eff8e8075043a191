"""Pneumothorax or not, from two HDF5 files of grey radiographs."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Int
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt

from xaibench.datasets import pneumothorax_synthetic
from xaibench.datasets.base import Data, Dataset, Images, Split
from xaibench.datasets.checksums import checksums
from xaibench.datasets.hdf5 import opened, read_rows
from xaibench.datasets.pneumothorax_files import Radiographs
from xaibench.datasets.recipes import recipe_of
from xaibench.datasets.splits import stratified_fraction
from xaibench.errors import UserError
from xaibench.progress import Progress
from xaibench.registry import register

FILES = {name: f"pneumothorax_{name}.h5" for name in ("train", "test")}
CLASSES = ("no_pneumothorax", "pneumothorax")
HOW = (
    f"write {FILES['train']} and {FILES['test']} with h5py from radiographs that you have (such as "
    "SIIM-ACR's): 'image' (N, 256, 256, 1) uint8 and 'label' (N, 2) one-hot, the second column "
    "pneumothorax; 'patient' (N,) keeps a patient's images together"
)


@dataclass(frozen=True)
class SyntheticOptions:
    """The generated set that stands in; see ``pneumothorax_synthetic``."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    root: Path = Path("data/pneumothorax_synthetic")
    train: PositiveInt = 500
    test: PositiveInt = 150
    size: Annotated[int, Field(ge=64, le=1024)] = 256
    positives: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of images with a pneumothorax: the classes are not balanced."""
    seed: NonNegativeInt = 42
    """Of the images; the run's seed is another matter."""
    shortcut_rate: Annotated[float, Field(ge=0.5, le=1)] | None = None


@register("dataset")
@dataclass(frozen=True)
class Pneumothorax(Dataset):
    """Pneumothorax: grey 256x256 radiographs with one-hot labels, in a train and a test file.

    ``root`` holds ``pneumothorax_train.h5`` and ``pneumothorax_test.h5``; null for none.
    ``when_missing``: ``error`` or ``synthesize`` (phantoms in the same layout, named
    ``pneumothorax_synthetic`` in every result). ``valid_fraction`` of the train file is drawn for
    validation, by label and by whole patients where the file names them (``patient``, (N,)); the
    test file chooses nothing. Groups are patients, or the images themselves. Masks: real files
    have none; generated ones know the collapsed part (``evidence``), the planted shortcut
    (``tag``), both for the target pneumothorax on images that show it, and the ``lungs``.
    """

    root: Path | None = Path("data/pneumothorax")
    when_missing: Literal["error", "synthesize"] = "error"
    valid_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    synthetic: SyntheticOptions = field(default_factory=SyntheticOptions)

    def validate(self) -> None:
        if self.root is None and self.when_missing != "synthesize":
            raise UserError("root: is null: name a folder, or set when_missing to synthesize")
        if self.when_missing == "error" and (missing := self._missing()):
            raise UserError(
                f"root: {self.root} lacks {' and '.join(missing)} (working directory "
                f"{Path.cwd()}); {HOW}; or set when_missing to synthesize"
            )

    def get(self, cache: Path, progress: Progress) -> str:
        return f"No archive holds these two files: {HOW}; put them into {self.root or 'root'}"

    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        self.validate()
        if not self._missing():
            return self._open(self.root, seed, cache, progress)
        options = self.synthetic
        pneumothorax_synthetic.write_dataset(
            options.root,
            {"train": options.train, "test": options.test},
            size=options.size,
            positives=options.positives,
            seed=options.seed,
            shortcut_rate=options.shortcut_rate,
            progress=progress,
            workers=os.cpu_count() or 1,
        )
        return self._open(options.root, seed, cache, progress)

    def _missing(self) -> list[str]:
        return [f for f in FILES.values() if self.root is None or not (self.root / f).is_file()]

    def _open(self, root: Path, seed: int, cache: Path, progress: Progress) -> Data:
        files = {name: Radiographs.open(root / file, progress) for name, file in FILES.items()}
        size = _one_size(root, files)
        sums = checksums(
            [*(root / f for f in FILES.values()), *sorted(root.glob("*_mask.h5"))], cache, progress
        )
        recipe = recipe_of(root, pneumothorax_synthetic.GENERATOR)
        generated = recipe is not None
        tagged = generated and recipe["shortcut_rate"] is not None
        masks = ("evidence", *(["tag"] if tagged else []), "lungs") if generated else ()
        train, test = files["train"], files["test"]
        _check_patients(root, train.patients, test.patients)
        kept, held_out = _validation(train, self.valid_fraction, seed)
        splits = {
            "train": PneumothoraxSplit("train", train, kept, root, masks),
            "valid": PneumothoraxSplit("train", train, held_out, root, masks),
            "test": PneumothoraxSplit("test", test, np.arange(len(test.labels)), root, masks),
        }
        return Data(
            name=f"pneumothorax{'_shortcut' * tagged}{'_synthetic' * generated}",
            task="binary",
            classes=CLASSES,
            channels=1,
            size=size,
            splits=splits,
            checksum=hashlib.sha256(repr(sorted(sums.items())).encode()).hexdigest(),
            facts={
                "root": str(root),
                "generated": generated,
                "files": sums,
                "images": {s: len(split) for s, split in splits.items()},
                "positives": {s: int(split.labels.sum()) for s, split in splits.items()},
                "groups": {s: len(set(split.groups)) for s, split in splits.items()},
                "pixels": {name: str(file.images.dtype) for name, file in files.items()},
            },
        )


class PneumothoraxSplit(Split):
    """Rows of one file, read when asked for. Ids tell the file and the row in it."""

    def __init__(
        self,
        file: str,
        radiographs: Radiographs,
        rows: Int[np.ndarray, " n"],
        root: Path,
        masks: tuple[str, ...],
    ) -> None:
        self._radiographs, self._rows = radiographs, rows
        self._mask_file, self._mask_names = root / pneumothorax_synthetic.mask_file(file), masks
        self.labels = radiographs.labels[rows]
        self.ids = np.array([f"{file}_{row:06d}" for row in rows])
        patients = radiographs.patients
        self.groups = self.ids if patients is None else patients[rows]

    def images(self, indices: Int[np.ndarray, " n"]) -> Images:
        return self._radiographs.pixels(self._rows[indices])

    def masks(
        self, indices: Int[np.ndarray, " n"], targets: Int[np.ndarray, " n"]
    ) -> dict[str, Bool[np.ndarray, "n height width"]]:
        if not self._mask_names:
            return {}
        shown = ((self.labels[indices] == 1) & (targets == 1))[:, None, None]
        with opened(self._mask_file) as file:
            masks = {n: read_rows(file[n], self._rows[indices]) > 0 for n in self._mask_names}
        # The lungs are where they are; only a pneumothorax has a place of its own.
        return {name: m if name == "lungs" else m & shown for name, m in masks.items()}


def _one_size(root: Path, files: dict[str, Radiographs]) -> tuple[int, int]:
    sizes = {name: file.images.shape[1:3] for name, file in files.items()}
    if sizes["train"] != sizes["test"]:
        raise UserError(f"{root}: images of train are {sizes['train']}, of test {sizes['test']}")
    return sizes["train"]


def _check_patients(root: Path, train: np.ndarray | None, test: np.ndarray | None) -> None:
    if train is None or test is None:
        return
    if both := sorted(set(train) & set(test)):
        raise UserError(
            f"{root}: {len(both)} patients have images in both files ({', '.join(both[:3])}"
            f"{', ...' * (len(both) > 3)}); move each to one of them"
        )


def _validation(
    train: Radiographs, fraction: float, seed: int
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " held_out"]]:
    """Return the rows for training and for validation: a draw of whole patients by label."""
    rows = np.arange(len(train.labels))
    groups = rows if train.patients is None else train.patients
    patients, patient = np.unique(groups, return_inverse=True)
    positive = np.zeros(len(patients), np.int64)
    np.maximum.at(positive, patient, train.labels)
    drawn = np.isin(patient, stratified_fraction(positive, fraction, seed))
    return rows[~drawn], rows[drawn]
