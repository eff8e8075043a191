"""Paediatric chest radiographs: pneumonia or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from xaibench.datasets.base import CroppedDataset, Fractions
from xaibench.imaging import kaggle
from xaibench.imaging.layouts.kermany import FOLDERS, HANDLE, clean_root, read_records
from xaibench.imaging.patients import check_pattern
from xaibench.imaging.picture_sets import Records
from xaibench.imaging.preprocess import CropOptions
from xaibench.phantoms.chest_xray_pneumonia import KermanyPhantoms
from xaibench.progress import Progress
from xaibench.registry import register
from xaibench.types import Task


@register("dataset")
@dataclass(frozen=True)
class ChestXrayPneumonia(CroppedDataset):
    """Kermany's paediatric radiographs as Kaggle has them: normal or pneumonia, 5,856 images.

    ``root`` holds ``{train,val,test}/{NORMAL,PNEUMONIA}``, or the two folders, at any depth that
    the archive has; null for none. ``when_missing``: ``error``, ``download`` (by kagglehub, the
    extra ``kaggle``), or ``synthesize`` (phantoms in the same layout, named ``..._synthetic`` in
    every result). The given split shares patients between its parts, so all images are pooled and
    split by patient, told from the file's name (or from its path, by the regular expression
    ``patient``): ``fractions`` of the images, drawn by ``split_seed``; ``manifests`` keeps the
    split in a folder and takes it from there. ``crop`` cuts dark frames (null: no crop). Of all
    images, the share ``allowed_bad`` may be unreadable or of patients in both classes; images in
    other folders are left out, which is said.

    Masks: of real images a box estimated around the lungs (``lungs_box_weak``); of generated ones
    the opacity (``evidence``), the planted marker (``tag``) and the lung fields (``lungs``). The
    lungs are the same for either class.
    """

    task: ClassVar[Task | None] = "binary"
    how: ClassVar[str] = f"unpack {kaggle.SITE}/datasets/{HANDLE} there"
    lacks: ClassVar[str] = f"holds no folders {' and '.join(FOLDERS)}"
    fetchable: ClassVar[bool] = True

    root: Path | None = Path("data/chest_xray_pneumonia")
    when_missing: Literal["error", "download", "synthesize"] = "error"
    synthetic: KermanyPhantoms = field(default_factory=KermanyPhantoms)
    fractions: Fractions = (0.80, 0.09, 0.11)
    crop: CropOptions | None = field(default_factory=CropOptions)
    channels: Literal[1, 3] = 1
    patient: str | None = None

    def validate(self) -> None:
        check_pattern(self.patient)
        super().validate()

    def find(self, root: Path) -> Path | None:
        return clean_root(root)

    def fetch(self, progress: Progress) -> Path:
        return self.find(self.root) or kaggle.fetch(HANDLE, self.root, progress)

    def records(self, files: Path, progress: Progress) -> Records:
        return read_records(files, self.synthetic.made(files), self.patient, progress)
