"""Pneumothorax or not, from two HDF5 files of grey radiographs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from xaibench.datasets.base import FileDataset
from xaibench.imaging.arrays.splits import array_data
from xaibench.imaging.checksums import sum_of
from xaibench.imaging.layouts.pneumothorax import CLASSES, FILES, read_files
from xaibench.imaging.recipe_folder import set_name
from xaibench.imaging.splits import check_no_overlap, stratified_patients
from xaibench.phantoms.pneumothorax import PneumothoraxPhantoms
from xaibench.progress import Progress
from xaibench.registry import register
from xaibench.types import Data, Task


@register("dataset")
@dataclass(frozen=True)
class Pneumothorax(FileDataset):
    """Pneumothorax: grey 256x256 radiographs with one-hot labels, in a train and a test file.

    ``root`` holds ``pneumothorax_train.h5`` and ``pneumothorax_test.h5``; null for none.
    ``when_missing``: ``error`` or ``synthesize`` (phantoms in the same layout, named
    ``pneumothorax_synthetic`` in every result). ``valid_fraction`` of the train file is drawn for
    validation, by label and by whole patients where the file names them (``patient``, (N,)); the
    test file chooses nothing. Groups are patients, or the images themselves. Masks: real files
    have none; generated ones know the collapsed part (``evidence``), the planted shortcut
    (``tag``), both for the target pneumothorax on images that show it, and the ``lungs``.
    """

    task: ClassVar[Task | None] = "binary"
    how: ClassVar[str] = (
        f"write {' and '.join(FILES.values())} with h5py from radiographs that you have (such as "
        "SIIM-ACR's), for no archive holds them: 'image' (N, 256, 256, 1) uint8 and 'label' (N, 2) "
        "one-hot, the second column pneumothorax; 'patient' (N,) keeps a patient's images together"
    )

    root: Path | None = Path("data/pneumothorax")
    when_missing: Literal["error", "synthesize"] = "error"
    synthetic: PneumothoraxPhantoms = field(default_factory=PneumothoraxPhantoms)
    valid_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def find(self, root: Path) -> Path | None:
        return root if all((root / file).is_file() for file in FILES.values()) else None

    def lacking(self, root: Path) -> str:
        missing = (file for file in FILES.values() if not (root / file).is_file())
        return f"lacks {' and '.join(missing)}"

    def read(self, files: Path, *, seed: int, cache: Path, progress: Progress) -> Data:
        made = self.synthetic.made(files)
        wholes, sums = read_files(files, made, cache, progress)
        train, test = wholes["train"], wholes["test"]
        check_no_overlap(
            np.concatenate([train.groups, test.groups]),
            np.repeat(list(FILES), [len(train), len(test)]),
        )
        held_out = stratified_patients(train.labels, train.groups, self.valid_fraction, seed)
        splits = {"train": train.part(~held_out), "valid": train.part(held_out), "test": test}
        facts = {"root": str(files), "generated": made is not None, "files": sums}
        name = set_name("pneumothorax", made)
        return array_data(name, "binary", CLASSES, splits, sum_of(sums), facts)
