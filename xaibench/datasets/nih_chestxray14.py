"""NIH ChestX-ray14: fourteen findings in radiographs of adults, with boxes for some."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from xaibench.datasets.base import PictureDataset, check_findings
from xaibench.imaging.layouts import nih, nih_records
from xaibench.imaging.picture_sets import Records
from xaibench.imaging.preprocess import Preprocessing, ResizeOptions
from xaibench.phantoms.nih_chestxray14 import NihPhantoms
from xaibench.progress import Progress
from xaibench.registry import register
from xaibench.types import Task


@register("dataset")
@dataclass(frozen=True)
class NihChestxray14(PictureDataset):
    """NIH ChestX-ray14: radiographs with any of fourteen findings, split by patient.

    ``root`` holds the PNGs, in any folders, and ``Data_Entry_2017.csv`` or its 2020 edition; null
    for none. The table may name more images than are there. ``when_missing``: ``error`` or
    ``synthesize`` (phantoms, named ``nih_chestxray14_synthetic`` in every result). ``splits``:
    ``patient`` draws 80/10/10 % by patient with ``split_seed``; ``official`` takes NIH's
    ``test_list.txt`` and draws validation by patient from ``train_val_list.txt``; ``manifests``
    keeps the split in a folder and takes it from there. ``findings`` are the labels, in this order.
    Of all files, the share ``allowed_bad`` may be unreadable or named by no row.

    Masks: ``box``, the union of the boxes that ``BBox_List_2017.csv`` has of the target's finding;
    generated images also know ``evidence``, ``lungs``, and for Pneumothorax the planted ``tag``.
    """

    task: ClassVar[Task | None] = "multilabel"
    how: ClassVar[str] = nih.HOW
    lacks: ClassVar[str] = f"has no {' or '.join(nih.ENTRIES)}"
    root: Path | None = Path("data/nih_chestxray14")
    when_missing: Literal["error", "synthesize"] = "error"
    synthetic: NihPhantoms = field(default_factory=NihPhantoms)
    findings: tuple[str, ...] = nih.FINDINGS
    size: Annotated[int, Field(ge=8, le=1024)] = 224
    splits: nih_records.Splits = "patient"

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(crop=None, resize=ResizeOptions(size=self.size))

    def validate(self) -> None:
        check_findings(self.findings, nih.FINDINGS)
        super().validate()

    def find(self, root: Path) -> Path | None:
        return root if nih_records.entries_file(root) else None

    def records(self, files: Path, progress: Progress) -> Records:
        made = self.synthetic.made(files)
        return nih_records.read_records(files, self.findings, self.splits, made, progress)
