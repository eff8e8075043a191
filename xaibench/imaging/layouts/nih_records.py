"""NIH ChestX-ray14 as it lies in its folders: the images that are there, with labels and boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool

from xaibench.errors import UserError
from xaibench.imaging.box_masks import BoxMasks
from xaibench.imaging.image_files import find_images
from xaibench.imaging.layouts import nih
from xaibench.imaging.layouts.image_table import by_name
from xaibench.imaging.mask_files import FOLDER
from xaibench.imaging.picture_sets import Asked, Records
from xaibench.imaging.recipe_folder import GeneratedSet, set_name
from xaibench.imaging.true_masks import TrueMasks
from xaibench.progress import Progress

IMAGES = 112_120
Splits = Literal["patient", "official"]


def entries_file(root: Path) -> Path | None:
    """Return the table of images, None where it is missing."""
    there = [root / name for name in nih.ENTRIES if (root / name).is_file()]
    return there[0] if there else None


def read_records(
    root: Path,
    findings: tuple[str, ...],
    splits: Splits,
    made: GeneratedSet | None,
    progress: Progress,
) -> Records:
    """Return a record of each image below ``root``; the table of images may name more.

    Labels are (n, L) float32: 1 where a finding is named, else 0. An image that no row names is
    bad. Masks are ``box``, and those of a generated set.

    Args:
        splits: ``official`` takes the split from NIH's two lists.
    """
    file = entries_file(root)
    progress.say(f"Reading {file}")  # takes seconds with the original's rows
    entries = nih.read_entries(file)
    table = _table(root, entries, file.name)
    there = table["bad"] == ""
    if splits == "official":
        table.loc[there, "split"] = nih.read_lists(root, table["image"][there]).to_numpy()
    boxes, counted = _boxes(root, table[there])
    absent = int(len(entries) - there.sum())
    progress.say(
        f"{absent} rows of {file.name} name images that are not there; {counted['used']} of "
        f"{counted['listed']} boxes lie on images that are"
    )
    true = TrueMasks(made, findings, nih.SHORTCUT_FINDING, key="image") if made else None
    return Records(
        root,
        table,
        table[list(findings)].to_numpy(np.float32),
        name=set_name("nih_chestxray14", made, whole=bool(there.sum() == IMAGES)),
        task="multilabel",
        classes=findings,
        masks=NihMasks(_drawn(boxes, table[there], findings), true),
        masks_from=boxes.to_csv() + json.dumps(made.recipe if made else None),
        facts={
            "root": str(root),
            "generated": made is not None,
            "splits": splits,
            "rows_without_image": absent,
            "boxes": counted,
            "findings": nih.finding_table(table[there]).to_dict("index"),
        },
    )


@dataclass(frozen=True)
class NihMasks:
    """Masks of the images and targets asked for: ``box``, behind the true ones if there are any."""

    boxes: BoxMasks
    true: TrueMasks | None = None

    def __call__(self, asked: Asked) -> dict[str, Bool[np.ndarray, "n size size"]]:
        return (self.true(asked) if self.true else {}) | self.boxes(asked)


def _drawn(boxes: pd.DataFrame, table: pd.DataFrame, findings: Sequence[str]) -> BoxMasks:
    """Return the boxes of the findings that are labels, by the paths of their images."""
    paths = table.set_index("image")["path"]
    places = {name: at for at, name in enumerate(findings)}
    own = boxes[boxes["finding"].isin(places)]
    named = own.assign(path=own["image"].map(paths), target=own["finding"].map(places))
    return BoxMasks(named, "box", nih.BOX_SIDE)


def _table(root: Path, entries: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the entries of the files that are there, and those files that no entry names.

    Beside the entries' columns: ``path`` below ``root``, ``id``, and ``bad`` with the reason.
    """
    # Masks of generated images have the images' names.
    found = [file for file in find_images(root) if file.relative_to(root).parts[0] != FOLDER]
    places = by_name(root, found, [file.name for file in found])
    files = pd.DataFrame({"image": [*places], "path": [*places.values()]}, dtype=object)
    if not files["image"].isin(entries["image"]).any():
        raise UserError(
            f"{root}: none of the {len(entries)} images of {name} lies below it "
            f"(such as {entries['image'][0]}); unpack the images there"
        )
    table = files.merge(entries, "left", on="image", indicator="bad")
    table["bad"] = np.where(table["bad"] == "both", "", f"no row of {name} names it")
    table[list(nih.FINDINGS)] = table[list(nih.FINDINGS)].eq(True)
    table["id"] = table["image"].str.removesuffix(".png")
    return table


def _boxes(root: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the boxes of the table's images, and counts of what the list holds."""
    file = root / nih.BOXES
    boxes = nih.read_boxes(file) if file.is_file() else pd.DataFrame(columns=nih.BOX_COLUMNS)
    used = boxes[boxes["image"].isin(table["image"])].reset_index(drop=True)
    shown = table.set_index("image")
    unnamed = [not shown.at[row.image, row.finding] for row in used.itertuples()]
    return used, {
        "listed": len(boxes),
        "used": len(used),
        "images_not_there": len(boxes) - len(used),
        "of_findings_that_the_table_does_not_name": sum(unnamed),
    }
