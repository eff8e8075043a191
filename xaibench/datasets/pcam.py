"""PatchCamelyon: tumour or not in the centre of a patch of lymph node."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, UInt8
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt

from xaibench.datasets import pcam_synthetic
from xaibench.datasets.base import Data, Dataset, Split
from xaibench.datasets.checksums import checksums
from xaibench.datasets.download import download, gunzip
from xaibench.datasets.hdf5 import opened, read_rows
from xaibench.datasets.splits import stratified_fraction
from xaibench.errors import UserError
from xaibench.progress import Progress
from xaibench.registry import register

SPLITS = ("train", "valid", "test")
SIZES = {"train": 262_144, "valid": 32_768, "test": 32_768}
ZENODO = "https://zenodo.org/records/2546921/files"
# Of the compressed files, as in torchvision.datasets.PCAM.
MD5 = {
    "train_x": "1571f514728f59376b705fc836ff4b63",
    "train_y": "35c2d7259d906cfc8143347bb8e05be7",
    "valid_x": "d5b63470df7cfa627aeec8b9dc0c066e",
    "valid_y": "2b85f58b927af9964a4c15b8f7e8f179",
    "test_x": "d8c2d60d490dbd479f8199bdfa0cf6ec",
    "test_y": "60a7035772fbdb7f34eb86d4420cf66a",
}
SIDE = 96
CENTRE = slice(32, 64)


def file_name(part: str, suffix: str = "h5") -> str:
    """Return the original's name of a file, such as for part ``test_x``."""
    return f"camelyonpatch_level_2_split_{part}.{suffix}"


@dataclass(frozen=True)
class SyntheticOptions:
    """The generated set that stands in; see ``pcam_synthetic``."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    root: Path = Path("data/pcam_synthetic")
    train: PositiveInt = 6000
    valid: PositiveInt = 500
    test: PositiveInt = 500
    seed: NonNegativeInt = 42
    """Of the patches; the run's seed is another matter."""
    shortcut_rate: Annotated[float, Field(ge=0.5, le=1)] | None = None


@register("dataset")
@dataclass(frozen=True)
class Pcam(Dataset):
    """PatchCamelyon: 96x96 RGB patches, positive where the central 32x32 holds tumour.

    ``root`` holds the six HDF5 files, or their .gz as they are downloaded; null for none.
    ``when_missing``: ``error``, ``download`` (from Zenodo, 7 GB, resumable), or ``synthesize``
    (generated patches in the same layout, named ``pcam_synthetic`` in every result).
    ``train_fraction`` of the training set is drawn by label. Masks: the central square is the only
    truth that real positives have (``centre_weak``); generated ones know their tumour nuclei
    (``evidence``) and the planted shortcut (``tag``). Groups are slides where a ``..._meta.csv``
    names them (column ``wsi``).
    """

    root: Path | None = Path("data/pcam")
    when_missing: Literal["error", "download", "synthesize"] = "error"
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    synthetic: SyntheticOptions = field(default_factory=SyntheticOptions)

    def validate(self) -> None:
        if self.root is None and self.when_missing != "synthesize":
            raise UserError("root: is null: name a folder, or set when_missing to synthesize")
        if self.when_missing == "error" and (missing := self._missing()):
            raise UserError(
                f"root: {self.root} lacks {len(missing)} of 6 files ({missing[0]} or its .gz; "
                f"working directory {Path.cwd()}); set when_missing to download or synthesize"
            )

    def get(self, cache: Path, progress: Progress) -> str:
        if self.root is None:
            raise UserError("root: is null: name the folder that the files go to")
        missing = len(self._missing())
        self._fetch_all(progress)
        return f"pcam: {missing} of 6 files were fetched; all are in {self.root}"

    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        self.validate()
        if self.when_missing == "download":
            self._fetch_all(progress)
        if not self._missing():
            return self._open(self.root, seed, cache, progress)
        options = self.synthetic
        pcam_synthetic.write_dataset(
            options.root,
            {name: getattr(options, name) for name in SPLITS},
            options.seed,
            options.shortcut_rate,
            progress,
            workers=os.cpu_count() or 1,
        )
        return self._open(options.root, seed, cache, progress, generated=True)

    def _fetch_all(self, progress: Progress) -> None:
        for part, md5 in MD5.items():
            _fetch(self.root, part, md5, progress)

    def _missing(self) -> list[str]:
        names = [file_name(part) for part in MD5]
        if self.root is None:
            return names
        there = lambda n: (self.root / n).is_file() or (self.root / f"{n}.gz").is_file()
        return [name for name in names if not there(name)]

    def _open(
        self, root: Path, seed: int, cache: Path, progress: Progress, generated: bool = False
    ) -> Data:
        files = {part: _unpacked(root, part, cache, progress) for part in MD5}
        sums = checksums([*files.values(), *sorted(root.glob("*_mask.h5"))], cache, progress)
        tagged = generated and self.synthetic.shortcut_rate is not None
        masks = (("evidence", "tag") if tagged else ("evidence",)) if generated else ()
        splits = {}
        for split in SPLITS:
            labels = _labels(files[f"{split}_y"])
            rows = np.arange(len(labels))
            if split == "train":
                rows = stratified_fraction(labels, self.train_fraction, seed)
            splits[split] = PcamSplit(split, files[f"{split}_x"], root, labels, rows, masks)
        # A part of the original is not the original, and its figures do not compare.
        whole = all(splits[s].total == SIZES[s] for s in SPLITS)
        real = "pcam" if whole else "pcam_subset"
        return Data(
            name=f"pcam{'_shortcut' * tagged}_synthetic" if generated else real,
            task="binary",
            classes=("normal", "tumour"),
            channels=3,
            size=(SIDE, SIDE),
            splits=splits,
            checksum=hashlib.sha256(repr(sorted(sums.items())).encode()).hexdigest(),
            facts={
                "generated": generated,
                "files": sums,
                "images": {s: len(splits[s]) for s in SPLITS},
                "positives": {s: int(splits[s].labels.sum()) for s in SPLITS},
                "groups": {s: len(set(splits[s].groups)) for s in SPLITS},
            },
        )


class PcamSplit(Split):
    """Patches of one HDF5 file, read when asked for."""

    def __init__(
        self,
        name: str,
        file: Path,
        root: Path,
        labels: Int[np.ndarray, " total"],
        rows: Int[np.ndarray, " n"],
        masks: tuple[str, ...],
    ) -> None:
        self._file = opened(file)
        self._mask_file = root / file_name(f"{name}_mask")
        self._mask_names = masks
        self._rows = rows
        self.total = len(labels)
        patches = self._file.get("x")
        shape = getattr(patches, "shape", None)
        if shape != (self.total, SIDE, SIDE, 3) or patches.dtype != np.uint8:
            raise UserError(
                f"{file}: must hold 'x', uint8 of shape ({self.total}, {SIDE}, {SIDE}, 3), as many "
                f"as labels; has {getattr(patches, 'dtype', 'none')} {shape}"
            )
        self.labels = labels[rows]
        self.ids = np.array([f"{name}_{row:06d}" for row in rows])
        slides = _slides(root / file_name(f"{name}_meta", "csv"), self.total)
        self.groups = self.ids if slides is None else slides[rows]

    def images(self, indices: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 96 96 3"]:
        return read_rows(self._file["x"], self._rows[indices])

    def masks(
        self, indices: Int[np.ndarray, " n"], targets: Int[np.ndarray, " n"]
    ) -> dict[str, Bool[np.ndarray, "n 96 96"]]:
        # Only tumour has a place in the patch; nothing in particular speaks for its absence.
        shown = ((self.labels[indices] == 1) & (targets == 1))[:, None, None]
        if not self._mask_names:
            centre = np.zeros((SIDE, SIDE), bool)
            centre[CENTRE, CENTRE] = True
            return {"centre_weak": centre & shown}
        with opened(self._mask_file) as file:
            rows = self._rows[indices]
            return {n: (read_rows(file[n], rows) > 0) & shown for n in self._mask_names}


def _slides(meta: Path, total: int) -> np.ndarray | None:
    """Return the slide of each patch, None where no table names them."""
    if not meta.is_file():
        return None
    try:
        slides = pd.read_csv(meta, dtype=str).get("wsi")
    except (ValueError, OSError) as error:
        raise UserError(f"{meta}: cannot be read as a table: {error}") from None
    if slides is None:
        return None
    if len(slides) != total or slides.isna().any():
        raise UserError(
            f"{meta}: must name a slide (column 'wsi') for each of {total} patches; has "
            f"{slides.notna().sum()}; mend or remove it"
        )
    return slides.to_numpy(dtype=object).astype(str)


def _labels(file: Path) -> Int[np.ndarray, " total"]:
    with opened(file) as content:
        found = content.get("y")
        labels = found[:] if isinstance(found, h5py.Dataset) else np.zeros(0)
    if labels.ndim != 4 or labels.shape[1:] != (1, 1, 1) or not np.isin(labels, (0, 1)).all():
        raise UserError(
            f"{file}: must hold 'y' of shape (N, 1, 1, 1) with 0 and 1, has {labels.shape}"
        )
    return labels.reshape(-1).astype(np.int64)


def _unpacked(root: Path, part: str, cache: Path, progress: Progress) -> Path:
    """Return a part's HDF5 file, unpacked beside its .gz or, if that is read-only, in cache."""
    file = root / file_name(part)
    if file.is_file():
        return file
    elsewhere = cache / "unpacked" / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    target = file if os.access(root, os.W_OK) else elsewhere / file.name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        gunzip(file.with_name(f"{file.name}.gz"), target, progress)
    return target


def _fetch(root: Path, part: str, md5: str, progress: Progress) -> None:
    file = root / file_name(part)
    packed = file.with_name(f"{file.name}.gz")
    if file.is_file():
        return
    root.mkdir(parents=True, exist_ok=True)
    download(f"{ZENODO}/{packed.name}?download=1", packed, md5, progress)
    gunzip(packed, file, progress)
    packed.unlink()  # its bytes stand unpacked beside it, and it can be had again
