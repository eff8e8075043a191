"""A user's own images, and a table that says what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from xaibench.datasets.base import Dataset, OwnPictures
from xaibench.errors import UserError
from xaibench.imaging import patients
from xaibench.imaging.image_files import why_unreadable
from xaibench.imaging.layouts.image_table import (
    LabelColumns,
    Uncertain,
    Unknown,
    labels_of,
    only_rows,
    paths_of,
    splits_of,
)
from xaibench.imaging.own_masks import OwnBoxes, OwnMasks, masks_known
from xaibench.imaging.picture_sets import Records
from xaibench.imaging.spelling import alike, as_spelled
from xaibench.imaging.tables import numbers, read_table
from xaibench.phantoms.own_pictures import draw_table
from xaibench.progress import Progress
from xaibench.registry import register

_HINTED = 3  # files that are not there, of which one alike is looked for
Column = Annotated[str, Field(min_length=1)]


@register("dataset")
@dataclass(frozen=True)
class ImageTable(OwnPictures):
    """One's own images with a table: CSV, TSV, Excel or Parquet, its columns named here.

    ``table`` lies below ``root`` or where it is said to. The image of a row is ``file`` with the
    cell of the column ``path`` for ``{}``: ``images/{}.png``.

    Labels: ``label`` is a column of one class's name, or with ``separator: "|"`` of a list of
    names; ``labels`` are several columns of 0 and 1. With ``regression: true`` either holds
    numbers. ``classes`` says which there are, in which order, or gives each a name. Cells of
    ``uncertain_values`` and empty ones are what ``uncertain`` and ``missing`` say: refused
    (error), their row left out (leave_out), not counted (ignore), or taken for a value.

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
    uncertain_values: tuple[str, ...] = ("-1", "-1.0", "u", "U")
    uncertain: Uncertain = "error"
    missing: Unknown = "error"
    group: Column | None = None
    patient: str | None = None
    split: Column | None = None
    only: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mask: Column | None = None
    boxes: tuple[Column, Column, Column, Column] | None = None

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
        file = self.table if self.table.is_file() else self.root / self.table
        table = only_rows(read_table(file, self._columns()), self.only, file)
        paths = paths_of(table, self.path, self.file)
        table = table.assign(_path=[as_spelled(self.root, path) for path in paths])
        images = self._one_a_row(table, file)
        found = labels_of(images, self._labels())
        images = images[found.kept]
        known = pd.DataFrame({"path": images["_path"].to_numpy()})
        known["patient"] = self._patients(images, progress)
        known["bad"] = self._unreadable(images, file)
        if self.split is not None:
            known["split"] = splits_of(images, self.split)
        masks, masks_from = self._masks(table, images, cache, progress)
        return Records(
            self.root,
            known,
            found.labels,
            name=self.called or self.root.resolve().name,
            task=found.task,
            classes=found.classes,
            masks=masks,
            masks_from=masks_from,
            facts={
                "root": str(self.root),
                "table": str(file),
                "table_rows": len(table),
                "generated": False,
                "uncertain_labels": dict(found.uncertain),
            },
        )

    def _columns(self) -> list[str]:
        asked = [self.path, self.label, *self.labels, self.group, self.split, self.mask]
        return [name for name in (*asked, *self.only, *(self.boxes or ())) if name is not None]

    def _labels(self) -> LabelColumns:
        classes = self.classes
        named = classes if isinstance(classes, dict | None) else {name: name for name in classes}
        return LabelColumns(
            self.label, self.labels, self.separator, self.regression, named,
            self.uncertain_values, self.uncertain, self.missing,
        )  # fmt: skip

    def _one_a_row(self, table: pd.DataFrame, file: Path) -> pd.DataFrame:
        """Return the first row of each image; only boxes may have several."""
        twice = table["_path"].duplicated()
        if not twice.any():
            return table
        where = f"{file}: line {twice.idxmax()}: {table['_path'][twice].iloc[0]}"
        if self.boxes is None:
            raise UserError(f"{where} stands in the table twice; keep one row of each image")
        own = [name for name in self._columns() if name not in self.boxes]
        if len(table.drop_duplicates(["_path", *own])) > len(table.drop_duplicates("_path")):
            raise UserError(f"{where} has several boxes whose rows differ in more than the box")
        return table[~twice]

    def _unreadable(self, images: pd.DataFrame, table: Path) -> list[str]:
        """Return why each image's file cannot be read, "" where it can."""
        said = []
        for line, path in images["_path"].items():
            reason = why_unreadable(self.root / path) or ""
            if reason == "is not there" and sum(map(bool, said)) < _HINTED:
                near = alike(self.root / path)
                reason += f", but {near} is" if near else ""
            said.append(reason and f"{reason} (line {line} of {table.name})")
        return said

    def _patients(self, images: pd.DataFrame, progress: Progress) -> Sequence[str]:
        if self.group is not None:
            if (empty := images[self.group].isna()).any():
                raise UserError(f"group: line {empty.idxmax()} has nothing in {self.group!r}")
            return images[self.group].tolist()
        return patients.of_files(self.root, images["_path"].tolist(), self.patient, progress)

    def _masks(
        self, table: pd.DataFrame, images: pd.DataFrame, cache: Path, progress: Progress
    ) -> tuple[OwnMasks | OwnBoxes | None, str]:
        if self.mask is not None:
            named = images.dropna(subset=self.mask)
            files = {
                path: self.root / as_spelled(self.root, cell)
                for path, cell in zip(named["_path"], paths_of(named, self.mask, "{}"), strict=True)
            }
            return OwnMasks(files), masks_known(files, cache, progress)
        if self.boxes is None:
            return None, ""
        sides = np.stack([numbers(table[column]) for column in self.boxes], axis=1)
        there = np.isfinite(sides).all(axis=1)
        boxes: dict[str, list[tuple[float, ...]]] = {}
        for path, box in zip(table["_path"][there], sides[there].tolist(), strict=True):
            boxes.setdefault(path, []).append(tuple(box))
        return OwnBoxes(boxes), repr(sorted(boxes.items()))
