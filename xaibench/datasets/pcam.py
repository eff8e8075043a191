"""PatchCamelyon: tumour or not in the centre of a patch of lymph node."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from xaibench.datasets.base import FileDataset
from xaibench.imaging.arrays.splits import array_data
from xaibench.imaging.checksums import sum_of
from xaibench.imaging.layouts import pcam as layout
from xaibench.imaging.recipe_folder import set_name
from xaibench.imaging.splits import stratified_fraction
from xaibench.phantoms.pcam import PcamPhantoms
from xaibench.progress import Progress
from xaibench.registry import register
from xaibench.types import Data, Task


@register("dataset")
@dataclass(frozen=True)
class Pcam(FileDataset):
    """PatchCamelyon: 96x96 RGB patches, positive where the central 32x32 holds tumour.

    ``root`` holds the six HDF5 files, or their .gz as they are downloaded; null for none.
    ``when_missing``: ``error``, ``download`` (from Zenodo, 7 GB, resumable), or ``synthesize``
    (generated patches in the same layout, named ``pcam_synthetic`` in every result).
    ``train_fraction`` of the training set is drawn by label. Masks: the central square is the only
    truth that real positives have (``centre_weak``); generated ones know their tumour nuclei
    (``evidence``) and the planted shortcut (``tag``). Groups are slides where a ``..._meta.csv``
    names them (column ``wsi``).
    """

    task: ClassVar[Task | None] = "binary"
    how: ClassVar[str] = f"fetch them from {layout.ZENODO}"
    fetchable: ClassVar[bool] = True

    root: Path | None = Path("data/pcam")
    when_missing: Literal["error", "download", "synthesize"] = "error"
    synthetic: PcamPhantoms = field(default_factory=PcamPhantoms)
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0

    def find(self, root: Path) -> Path | None:
        return None if layout.missing_files(root) else root

    def lacking(self, root: Path) -> str:
        missing = layout.missing_files(root)
        return f"lacks {len(missing)} of 6 files ({missing[0]} or its .gz)"

    def fetch(self, progress: Progress) -> Path:
        layout.fetch_files(self.root, progress)
        return self.root

    def get(self, cache: Path, progress: Progress) -> str:
        missing = len(layout.missing_files(self.root))
        super().get(cache, progress)
        return f"pcam: {missing} of 6 files were fetched; all are in {self.root}"

    def read(self, files: Path, *, seed: int, cache: Path, progress: Progress) -> Data:
        made = self.synthetic.made(files)
        splits, sums = layout.read_files(files, made, cache, progress)
        whole = all(len(split) == layout.SIZES[name] for name, split in splits.items())
        kept = stratified_fraction(splits["train"].labels, self.train_fraction, seed)
        splits["train"] = splits["train"].part(kept)
        name = set_name("pcam", made, whole)
        facts = {"generated": made is not None, "files": sums}
        return array_data(name, "binary", layout.CLASSES, splits, sum_of(sums), facts)
