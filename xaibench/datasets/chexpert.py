"""CheXpert: findings of the chest as values in [0, 1], some uncertain, some missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from xaibench.datasets.base import CroppedDataset, check_findings
from xaibench.imaging.label_columns import LabelColumns
from xaibench.imaging.layouts import chexpert as layout
from xaibench.imaging.picture_sets import Records
from xaibench.phantoms.chexpert import ChexpertPhantoms
from xaibench.progress import Progress
from xaibench.registry import register
from xaibench.types import Task


@register("dataset")
@dataclass(frozen=True)
class Chexpert(CroppedDataset):
    """CheXpert (Irvin et al. 2019), or any table like its own: one value in [0, 1] a finding.

    ``root`` holds ``train.csv`` at most two folders deep, and the images that its column ``Path``
    names, whatever folders lead it; null for none. ``when_missing``: ``error`` or ``synthesize``
    (phantoms in the same layout, named ``chexpert_synthetic`` in every result). ``valid.csv`` is
    the test split where it is there, and validation is drawn from train; else all is split by
    patient into ``fractions``. ``uncertain`` says what -1 becomes and ``missing`` what an empty
    label becomes (``ignore``: NaN, which no loss and no figure counts). ``views`` chooses frontal
    or lateral images. Of all rows, the share ``allowed_bad`` may lack a readable file.

    Masks, of generated images only: the target's finding (``evidence``), the ``lungs``, and the
    marker that is planted with Cardiomegaly at ``shortcut_rate`` (``tag``).
    """

    task: ClassVar[Task | None] = "regression"
    how: ClassVar[str] = (
        "register at Stanford AIMI for CheXpert-v1.0-small and unpack it there, or put a train.csv "
        "of the same columns beside its images"
    )
    lacks: ClassVar[str] = "holds no train.csv"

    root: Path | None = Path("data/chexpert")
    when_missing: Literal["error", "synthesize"] = "error"
    synthetic: ChexpertPhantoms = field(default_factory=ChexpertPhantoms)
    findings: tuple[str, ...] = layout.COMPETITION
    uncertain: layout.Uncertain = "ignore"
    missing: layout.Missing = "ignore"
    views: layout.Views = "frontal"

    def validate(self) -> None:
        check_findings(self.findings)
        super().validate()

    def find(self, root: Path) -> Path | None:
        return layout.table_folder(root)

    def records(self, files: Path, progress: Progress) -> Records:
        labels = LabelColumns(
            labels=self.findings,
            regression=True,
            within=(0.0, 1.0),
            uncertain_values=("-1",),
            uncertain=self.uncertain,
            missing=self.missing,
        )
        return layout.read_records(files, labels, self.views, self.synthetic.made(files), progress)
