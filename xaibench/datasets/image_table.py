"""A user's own images, and a table that says what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from xaibench.datasets.base import Dataset, OwnPictures
from xaibench.errors import UserError
from xaibench.imaging import patients
from xaibench.imaging.box_masks import ANY, BoxMasks
from xaibench.imaging.label_columns import LabelColumns, Uncertain, Unknown
from xaibench.imaging.layouts.image_table import (
    PATH,
    TableColumns,
    parts_below,
    read_images,
    splits_of,
    unreadable_files,
)
from xaibench.imaging.own_masks import NAME as OWN
from xaibench.imaging.own_masks import OwnMasks, masks_known
from xaibench.imaging.picture_sets import Records
from xaibench.imaging.spelling import as_spelled
from xaibench.imaging.tables import numbers
from xaibench.phantoms.own_pictures import draw_table
from xaibench.progress import Progress
from xaibench.registry import register
from xaibench.types import Task

Column = Annotated[str, Field(min_length=1)]
_UNSURE = ("-1", "u", "U")


@register("dataset")
@dataclass(frozen=True)
class ImageTable(OwnPictures):
    """One's own images with a table: CSV, TSV, Excel or Parquet, its columns named here.

    ``table`` lies below ``root`` or where it is said to. The image of a row is ``file`` with the
    cell of the column ``path`` for ``{}``: ``images/{}.png``; ``**/{}`` is a file of that name in
    any folder. First folders that are of another computer are left out, which is said.

    Labels: ``label`` is a column of one class's name, or with ``separator: "|"`` of a list of
    names; ``labels`` are several columns of 0 and 1. With ``regression: true`` either holds
    numbers. ``classes`` says which there are, in which order, or gives each a name. Cells of
    ``uncertain_values`` (null: -1, u and U, of numbers none) and empty ones are what ``uncertain``
    and ``missing`` say: refused (error), their row left out (leave_out), not counted (ignore), or
    taken for a value.

    ``group`` is the column of the patient (or ``patient`` a regular expression on the path of the
    image), ``split`` that of train, val or test; ``only`` keeps rows, as ``only: {View: [PA]}``.
    ``mask`` is the column of a mask's path below ``root``, ``boxes`` those of left, top, width and
    height in pixels; several rows of one image are several boxes.
    """

    table: Path | None = None
    path: Column = "path"
    file: str = "{}"
    label: Column | None = None
    labels: tuple[Column, ...] = ()
    separator: str | None = None
    regression: bool = False
    classes: dict[str, str] | tuple[str, ...] | None = None
    uncertain_values: tuple[str, ...] | None = None
    uncertain: Uncertain = "error"
    missing: Unknown = "error"
    group: Column | None = None
    patient: str | None = None
    split: Column | None = None
    only: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mask: Column | None = None
    boxes: tuple[Column, Column, Column, Column] | None = None

    @property
    def task(self) -> Task | None:
        """None where the table says how many classes there are."""
        if self.regression:
            return "regression"
        return "multilabel" if self.labels or self.separator else None

    def validate(self) -> None:
        if self.table is None:
            raise UserError("table: is missing; name the file of the table")
        if (self.label is None) == (not self.labels):
            raise UserError("label: name one column of labels, or several as labels, not both")
        if self.separator is not None and (self.labels or self.regression):
            raise UserError("separator: is of the names in one column `label`; leave it out")
        if "{}" not in self.file:
            raise UserError(f"file: {self.file!r} has no {{}} for the cell of {self.path!r}")
        if self.group is not None and self.patient is not None:
            raise UserError("group: and patient both name the patients; leave one of them out")
        if self.mask is not None and self.boxes is not None:
            raise UserError("boxes: and mask both say where the evidence is; leave one of them out")
        patients.check_pattern(self.patient)
        super().validate()

    def example(self, folder: Path) -> Dataset:
        if self.root is not None:
            return self
        root = draw_table(folder)
        asked = {"label": "class", "group": "patient", "boxes": ("x", "y", "w", "h")}
        return replace(self, root=root, table=Path("table.csv"), **asked)

    def records(self, cache: Path, progress: Progress) -> Records:
        below = self.root / self.table
        file = below if below.is_file() else self.table
        found = read_images(self.root, file, self._columns(), progress)
        rows, images = found.table, self._one_a_row(found.table, file)
        known = pd.DataFrame({"path": images[PATH].to_numpy()})
        known["patient"] = self._patients(images, file, progress)
        known["bad"] = unreadable_files(self.root, images, file, progress)
        if self.split is not None:
            known["split"] = splits_of(images, self.split, file)
        masks, masks_from = self._masks(rows, images, cache, progress)
        return Records(
            self.root,
            known,
            found.labelled.labels[~rows[PATH].duplicated().to_numpy()],
            name=self.called or self.root.resolve().name,
            task=found.labelled.task,
            classes=found.labelled.classes,
            masks=masks,
            masks_from=masks_from,
            facts={
                "root": str(self.root),
                "table": str(file),
                "table_rows": found.read,
                "generated": False,
                "uncertain_labels": dict(found.labelled.uncertain),
            },
        )

    def _columns(self) -> TableColumns:
        named = self.classes
        unsure = self.uncertain_values
        labels = LabelColumns(
            self.label,
            self.labels,
            self.separator,
            self.regression,
            classes=named if isinstance(named, dict | None) else {name: name for name in named},
            uncertain_values=_UNSURE * (not self.regression) if unsure is None else unsure,
            uncertain=self.uncertain,
            missing=self.missing,
        )
        others = [self.group, self.split, self.mask, *(self.boxes or ())]
        others = [name for name in others if name is not None]
        return TableColumns(self.path, labels, self.file, self.only, others)

    def _one_a_row(self, rows: pd.DataFrame, file: Path) -> pd.DataFrame:
        """Return the first row of each image; only boxes may have several."""
        twice = rows[PATH].duplicated()
        if not twice.any():
            return rows
        where = f"{file}:{twice.idxmax()}: {rows[PATH][twice].iloc[0]}"
        if self.boxes is None:
            raise UserError(f"{where} stands in the table twice; keep one row of each image")
        asked = self._columns()
        own = [*asked.labels.columns, *asked.only, *asked.others]
        own = [name for name in own if name not in self.boxes]
        if len(rows.drop_duplicates([PATH, *own])) > len(rows.drop_duplicates(PATH)):
            raise UserError(f"{where} has several boxes whose rows differ in more than the box")
        return rows[~twice]

    def _patients(self, images: pd.DataFrame, file: Path, progress: Progress) -> Sequence[str]:
        if self.group is not None:
            if (empty := images[self.group].isna()).any():
                raise UserError(f"{file}:{empty.idxmax()}: has nothing in {self.group!r}")
            return images[self.group].tolist()
        mend = "`group: COLUMN` or `patient: REGEX`"
        return patients.of_files(self.root, images[PATH].tolist(), self.patient, mend, progress)

    def _masks(
        self, rows: pd.DataFrame, images: pd.DataFrame, cache: Path, progress: Progress
    ) -> tuple[OwnMasks | BoxMasks | None, str]:
        if self.mask is not None:
            named = images.dropna(subset=self.mask)
            files = {
                path: self.root / as_spelled(self.root, "/".join(parts_below(cell)))
                for path, cell in zip(named[PATH], named[self.mask], strict=True)
            }
            return OwnMasks(files), masks_known(files, cache, progress)
        if self.boxes is None:
            return None, ""
        boxes = pd.DataFrame({"path": rows[PATH], "target": ANY})
        for side, column in zip("xywh", self.boxes, strict=True):
            boxes[side] = numbers(rows[column])
        boxes = boxes.dropna().reset_index(drop=True)
        return BoxMasks(boxes, OWN), boxes.to_csv(index=False)
