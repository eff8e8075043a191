"""A user's own images, in a folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xaibench.datasets.base import Dataset, OwnPictures
from xaibench.errors import UserError
from xaibench.imaging import patients
from xaibench.imaging.layouts.folders import (
    Found,
    check_splits,
    find_classes,
    named_classes,
    records_of,
)
from xaibench.imaging.own_masks import OwnMasks, find_masks, masks_known
from xaibench.imaging.picture_sets import Records
from xaibench.imaging.tables import read_table
from xaibench.phantoms.own_pictures import draw_folders
from xaibench.progress import Progress
from xaibench.registry import register


@register("dataset")
@dataclass(frozen=True)
class ImageFolder(OwnPictures):
    """One's own images in a folder for each class: ``root/CLASS/*``, or ``root/SPLIT/CLASS/*``.

    The splits' folders are train, val (or valid, validation) and test; where there is no val, a
    share of train is drawn for it; where there are none, all images are dealt out by ``fractions``,
    whole patients. ``classes`` says the order of the classes' folders, the first being class 0, or
    gives each a name; by default all folders by name. Two classes are a binary task.

    ``patient`` is a regular expression that finds the patient in an image's path below ``root``;
    or ``groups`` names a table with the columns ``path`` and ``patient``. Without either, the
    headers of DICOM files tell the patient, and each other image counts as a patient of its own,
    which is said.

    ``masks`` is a folder with a mask of the evidence for those images that have one, under the
    image's path with ``mask_suffix`` behind its stem and any image's extension; the evidence is
    what is brighter than half of the brightest.

    ``channels``: 3 for colour, 1 for grey. ``resize`` makes images of one size (null: they are),
    its ``size`` a side or [height, width]; ``crop`` cuts dark frames (null: none). ``bits``: of the
    values in files of 16 bits (null: told from all files). ``frames``: which picture of a file of
    several; ``unwindowed``: what a DICOM file without a window spans.
    """

    classes: dict[str, str] | tuple[str, ...] | None = None
    patient: str | None = None
    groups: Path | None = None
    masks: Path | None = None
    mask_suffix: str = ""

    def validate(self) -> None:
        patients.check_pattern(self.patient)
        if self.patient is not None and self.groups is not None:
            raise UserError("groups: and patient both name the patients; leave one of them out")
        super().validate()

    def example(self, folder: Path) -> Dataset:
        if self.root is not None:
            return self
        return replace(self, root=draw_folders(folder), patient=r"(p\d+)_", masks=folder / "masks")

    def records(self, cache: Path, progress: Progress) -> Records:
        found = find_classes(self.root, leave_out=self.masks)
        check_splits(self.root, found)
        if found.others:
            progress.say(f"left out, as of no split: {', '.join(found.others)}")
        classes = named_classes(found.folders, self.classes)
        name = self.called or self.root.resolve().name
        known = self._patients(found, progress)
        records = records_of(self.root, found, classes, known, name, progress)
        return self._with_masks(records, cache, progress)

    def _patients(self, found: Found, progress: Progress) -> Sequence[str]:
        paths = found.table["path"].tolist()
        if self.groups is not None:
            return patients.by_table(paths, read_table(self.groups), self.groups)
        mend = "`patient: REGEX` or `groups: TABLE`"
        return patients.of_files(self.root, paths, self.patient, mend, progress)

    def _with_masks(self, records: Records, cache: Path, progress: Progress) -> Records:
        if self.masks is None:
            return records
        files = find_masks(self.masks, records.table["path"].tolist(), self.mask_suffix)
        known = masks_known(files, cache, progress)
        facts = {**records.facts, "masks": str(self.masks), "masked_images": len(files)}
        return replace(records, masks=OwnMasks(files), masks_from=known, facts=facts)
