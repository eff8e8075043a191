"""NIH ChestX-ray14: fourteen findings in radiographs of adults, with boxes for some."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt

from xaibench.datasets import nih_chestxray14_synthetic
from xaibench.datasets.base import Data, Dataset
from xaibench.datasets.image_files import find_images
from xaibench.datasets.mask_files import FOLDER
from xaibench.datasets.nih_masks import NihMasks
from xaibench.datasets.nih_tables import (
    BOX_COLUMNS,
    BOXES,
    ENTRIES,
    finding_table,
    read_boxes,
    read_entries,
    read_lists,
)
from xaibench.datasets.preprocess import Preprocessing, ResizeOptions
from xaibench.datasets.radiograph_sets import Records, radiograph_data
from xaibench.datasets.radiograph_splits import SplitOptions
from xaibench.datasets.radiographs import FINDINGS
from xaibench.datasets.recipes import recipe_of
from xaibench.errors import UserError, did_you_mean
from xaibench.progress import Progress
from xaibench.registry import register

IMAGES = 112_120
FRACTIONS = (0.8, 0.1, 0.1)
HOW = (
    "fetch the images and tables by hand from the NIH Clinical Center's ChestX-ray14 folder "
    f"(nihcc.app.box.com/v/ChestXray-NIHCC) or Kaggle's nih-chest-xrays/data, and unpack images, "
    f"{ENTRIES[0]} and {BOXES} below one folder"
)


@dataclass(frozen=True)
class SyntheticOptions:
    """The generated set that stands in; see ``nih_chestxray14_synthetic``."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    root: Path = Path("data/nih_chestxray14_synthetic")
    images: PositiveInt = 900
    size: Annotated[int, Field(ge=64, le=1024)] = 128
    """Side in pixels as drawn; the data set's own ``size`` is another matter."""
    seed: NonNegativeInt = 42
    """Of the images; the run's seed is another matter."""
    shortcut_rate: Annotated[float, Field(ge=0.5, le=1)] | None = None


@register("dataset")
@dataclass(frozen=True)
class NihChestxray14(Dataset):
    """NIH ChestX-ray14: radiographs with any of fourteen findings, split by patient.

    ``root`` holds the PNGs in any folders below it and ``Data_Entry_2017.csv`` (or the 2020
    edition, ``Data_Entry_2017_v2020.csv``); null for none. Images that are there are used: the
    table may name more. ``when_missing``: ``error`` or ``synthesize`` (phantoms in the same layout,
    named ``nih_chestxray14_synthetic`` in every result). ``splits``: ``patient`` draws 80/10/10 %
    by patient with ``split_seed``; ``official`` takes NIH's ``test_list.txt`` and draws the
    validation split by patient from ``train_val_list.txt``. ``manifests``: a folder for the split's
    ``train.csv``, ``val.csv`` and ``test.csv``, read where they are there. ``findings`` names the
    labels, in this order. ``allowed_bad``: the share of files that may be unreadable or named by
    no row.

    Masks: ``box``, the union of the boxes that ``BBox_List_2017.csv`` has of the target's finding;
    generated images also know their ``evidence``, the ``lungs``, and for Pneumothorax the planted
    ``tag``. Labels are 1 where a finding is named and 0 elsewhere.
    """

    root: Path | None = Path("data/nih_chestxray14")
    when_missing: Literal["error", "synthesize"] = "error"
    findings: tuple[str, ...] = FINDINGS
    size: Annotated[int, Field(ge=8, le=1024)] = 224
    channels: Literal[1, 3] = 3
    splits: Literal["patient", "official"] = "patient"
    split_seed: NonNegativeInt = 42
    manifests: Path | None = None
    allowed_bad: Annotated[float, Field(ge=0, lt=1)] = 0.0
    synthetic: SyntheticOptions = field(default_factory=SyntheticOptions)

    def validate(self) -> None:
        for name in self.findings:
            if name not in FINDINGS:
                raise UserError(f"findings: unknown {name!r}{did_you_mean(name, FINDINGS)}")
        if not self.findings or len(set(self.findings)) < len(self.findings):
            raise UserError("findings: name one at least, and none twice")
        if self.root is None and self.when_missing != "synthesize":
            raise UserError("root: is null: name a folder, or set when_missing to synthesize")
        if self.when_missing == "error" and _entries(self.root) is None:
            raise UserError(
                f"root: {self.root} has no {' or '.join(ENTRIES)} (working directory "
                f"{Path.cwd()}); {HOW}; or set when_missing to synthesize"
            )

    def get(self, cache: Path, progress: Progress) -> str:
        return f"This set is not fetched by itself: {HOW}, {self.root or 'root'}"

    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        self.validate()
        if _entries(self.root) is not None:
            return self._open(self.root, cache, progress)
        options = self.synthetic
        nih_chestxray14_synthetic.write_dataset(
            options.root,
            options.images,
            size=options.size,
            seed=options.seed,
            shortcut_rate=options.shortcut_rate,
            progress=progress,
            workers=os.cpu_count() or 1,
        )
        return self._open(options.root, cache, progress)

    def _open(self, root: Path, cache: Path, progress: Progress) -> Data:
        progress.say(f"Reading {_entries(root)}")  # takes seconds with the original's rows
        entries = read_entries(_entries(root))
        table = _table(root, entries)
        there = table["bad"] == ""
        if self.splits == "official":
            table.loc[there, "split"] = read_lists(root, table["image"][there]).to_numpy()
        boxes, counted = _boxes(root, table[there])
        progress.say(
            f"{len(entries) - there.sum()} rows of {_entries(root).name} name images that are not "
            f"there; {counted['used']} of {counted['listed']} boxes lie on images that are"
        )
        recipe = recipe_of(root, nih_chestxray14_synthetic.GENERATOR)
        tagged = recipe is not None and recipe["shortcut_rate"] is not None
        # A part of the original is not the original, and its figures do not compare.
        real = "nih_chestxray14" + ("" if there.sum() == IMAGES else "_subset")
        return radiograph_data(
            Records(root, table, table[list(self.findings)].to_numpy(np.float32)),
            name=f"nih_chestxray14{'_shortcut' * tagged}_synthetic" if recipe else real,
            task="multilabel",
            classes=self.findings,
            preprocessing=Preprocessing(crop=None, resize=ResizeOptions(size=self.size)),
            channels=self.channels,
            split=SplitOptions(FRACTIONS, self.split_seed, self.manifests),
            allowed_bad=self.allowed_bad,
            masks=NihMasks(boxes, self.findings, root / FOLDER if recipe else None, tagged),
            masks_from=boxes.to_csv() + json.dumps(recipe),
            cache=cache,
            progress=progress,
            facts={
                "root": str(root),
                "generated": recipe is not None,
                "splits": self.splits,
                "rows_without_image": int(len(entries) - there.sum()),
                "boxes": counted,
                "findings": finding_table(table[there]).to_dict("index"),
            },
        )


def _entries(root: Path | None) -> Path | None:
    """Return the table of images, None where it is missing."""
    there = [root / name for name in ENTRIES if (root / name).is_file()] if root else []
    return there[0] if there else None


def _table(root: Path, entries: pd.DataFrame) -> pd.DataFrame:
    """Return the entries of the files that are there, and those files that no entry names.

    Beside the entries' columns: ``path`` below ``root``, ``id``, and ``bad`` with the reason.
    """
    found = [file.relative_to(root) for file in find_images(root)]
    found = [file for file in found if file.parts[0] != FOLDER]  # masks have names of images
    counts = Counter(file.name for file in found)
    if twice := [name for name, count in counts.items() if count > 1]:
        both = [str(file) for file in found if file.name == twice[0]]
        raise UserError(
            f"{root}: {len(twice)} images lie in two places, such as {' and '.join(both[:2])}; "
            "remove the copies"
        )
    files = pd.DataFrame(
        {"image": [f.name for f in found], "path": [f.as_posix() for f in found]}, dtype=object
    )
    if not files["image"].isin(entries["image"]).any():
        raise UserError(
            f"{root}: none of the {len(entries)} images of {_entries(root).name} lies below it "
            f"(such as {entries['image'][0]}); unpack the images there"
        )
    table = files.merge(entries, "left", on="image", indicator="bad")
    table["bad"] = np.where(table["bad"] == "both", "", f"no row of {_entries(root).name} names it")
    table[list(FINDINGS)] = table[list(FINDINGS)].eq(True)
    table["id"] = table["image"].str.removesuffix(".png")
    return table


def _boxes(root: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the boxes of the table's images, and counts of what the list holds."""
    file = root / BOXES
    boxes = read_boxes(file) if file.is_file() else pd.DataFrame(columns=BOX_COLUMNS)
    used = boxes[boxes["image"].isin(table["image"])].reset_index(drop=True)
    shown = table.set_index("image")
    unnamed = [not shown.at[row.image, row.finding] for row in used.itertuples()]
    return used, {
        "listed": len(boxes),
        "used": len(used),
        "images_not_there": len(boxes) - len(used),
        "of_findings_that_the_table_does_not_name": sum(unnamed),
    }
