"""From a table of image files to a data set: prepared once, split by patient, grey or in colour.

What data sets of image files share. A plugin reads its own table and its own masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Shaped, UInt8

from xaibench.imaging.counts import counts, preparation, say_counts
from xaibench.imaging.image_cache import PreparedSet, prepared_images
from xaibench.imaging.image_files import BadImage, luma
from xaibench.imaging.many_files import check_bad
from xaibench.imaging.preprocess import Placement, Preprocessing
from xaibench.imaging.reading import Reading
from xaibench.imaging.split_of_images import SplitOptions, split_of_images
from xaibench.imaging.splits import SPLITS
from xaibench.progress import Progress
from xaibench.types import Data, Labels, Rows, Split, Task


@dataclass(frozen=True, eq=False)
class Asked:
    """The images whose masks are asked for.

    Attributes:
        rows: their rows of the records' table, with ``height`` and ``width`` of the file's image.
        labels: as in ``Split.labels``.
        targets: a class, label or output of each.
        images: as prepared, one channel.
        placements: where each file's image stands in the prepared one; they carry boxes and masks.
    """

    rows: pd.DataFrame
    labels: Labels
    targets: Rows
    images: UInt8[np.ndarray, "n tall wide"]
    placements: tuple[Placement, ...]

    def carry(self, masks: Sequence[Bool[np.ndarray, "_ _"]]) -> Bool[np.ndarray, "n tall wide"]:
        """Carry a mask of each image, in the pixels of its file, to where they are now."""
        pairs = zip(self.placements, masks, strict=True)
        carried = [placement.carry_mask(mask) for placement, mask in pairs]
        return np.stack(carried) if carried else np.zeros(self.images.shape, bool)


Masks = Callable[[Asked], dict[str, Bool[np.ndarray, "n tall wide"]]]


@dataclass(frozen=True, eq=False)
class Records:
    """What a data set's files say, one row an image.

    Attributes:
        root: the folder that ``table.path`` is relative to.
        table: columns ``path`` (with forward slashes), ``patient``; ``id`` where it is not the
            path; ``split`` where the split is given; ``bad`` (a reason, "" for none) where the
            table itself shows that an image cannot be used; ``file`` and ``frame`` where images
            are pictures of files of several (`several_pictures`); what else the masks need.
        labels: (n,) int, or (n, L) float with NaN for what is missing.
        name: of the data set, as every table calls it.
        classes: the names of classes, labels or outputs.
        masks: returns the masks of the images asked for; None for none.
        masks_from: what the masks follow from beside the images, as a checksum or a recipe.
        facts: more for the manifest of a run.
    """

    root: Path
    table: pd.DataFrame
    labels: Labels
    name: str
    task: Task
    classes: tuple[str, ...]
    masks: Masks | None = None
    masks_from: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    def part(self, rows: Shaped[np.ndarray, " k"]) -> Records:
        """Return the records of some images."""
        table = self.table.iloc[rows].reset_index(drop=True)
        return replace(self, table=table, labels=self.labels[rows])


@dataclass(frozen=True)
class PictureOptions:
    """What becomes of the images of a table.

    Attributes:
        channels: 1, or 3: grey copied to three channels, or, if read so, colours.
        split: a column ``split`` of the table goes before a draw.
        allowed_bad: the share of images that may be bad; they are named and left out.
    """

    preprocessing: Preprocessing
    channels: int
    split: SplitOptions
    allowed_bad: float = 0.0
    reading: Reading = field(default_factory=Reading)


def radiograph_data(
    records: Records, options: PictureOptions, cache: Path, progress: Progress
) -> Data:
    """Prepare the images, split them by patient, and return the data set.

    Raises:
        UserError: too many bad images, an empty split, a patient in two splits, manifests of other
            images.
    """
    usable, prepared, bad = _prepared(records, options, cache, progress)
    good = np.flatnonzero(~prepared.table["bad"].to_numpy(bool))
    known = usable.part(good)
    known.table[["height", "width"]] = prepared.table.iloc[good][["height", "width"]].to_numpy()
    where = split_of_images(known.table, known.labels, known.classes, options.split)
    part = lambda rows: RadiographSplit(known.part(rows), good[rows], prepared, options.channels)
    splits = {split: part(np.flatnonzero(where == split)) for split in SPLITS}
    counted = counts(splits, known.classes)
    made = preparation(prepared.table)
    say_counts(progress, known.name, counted, made)
    return Data(
        name=known.name,
        task=known.task,
        classes=known.classes,
        channels=options.channels,
        size=prepared.images.shape[1:3],
        splits=splits,
        checksum=_checksum(prepared.key, known, where),
        facts={
            **counted,
            **made,
            "bits": prepared.reading.bits,
            "bad_files": bad,
            "prepared": prepared.key,
            **known.facts,
        },
    )


class RadiographSplit(Split):
    """Prepared images; grey ones are copied to so many channels when they are read.

    Args:
        places: the row of each image in the prepared set.
    """

    def __init__(
        self, records: Records, places: Rows, prepared: PreparedSet, channels: int
    ) -> None:
        self.table, self.labels, self._masks = records.table, records.labels, records.masks
        self._places, self._prepared, self._channels = places, prepared, channels
        named = self.table["id"] if "id" in self.table else self.table["path"]
        self.ids = named.to_numpy(dtype=object).astype(str)
        self.groups = self.table["patient"].to_numpy(dtype=object).astype(str)

    @property
    def files(self) -> pd.DataFrame:
        """A row of `PreparedSet.table` for each image: its file, size and crop."""
        return self._prepared.table.iloc[self._places].reset_index(drop=True)

    @property
    def preprocessing(self) -> Preprocessing:
        return self._prepared.options

    @property
    def reading(self) -> Reading:
        return self._prepared.reading

    def images(self, indices: Rows) -> UInt8[np.ndarray, "n height width channel"]:
        images = np.asarray(self._prepared.images[self._places[indices]])
        return images if images.ndim == 4 else np.repeat(images[..., None], self._channels, axis=-1)

    def masks(self, indices: Rows, targets: Rows) -> dict[str, Bool[np.ndarray, "n height width"]]:
        if self._masks is None:
            return {}
        return self._masks(
            Asked(
                rows=self.table.iloc[indices],
                labels=self.labels[indices],
                targets=targets,
                images=self._grey(indices),
                placements=tuple(self._prepared.placement(int(p)) for p in self._places[indices]),
            )
        )

    def _grey(self, indices: Rows) -> UInt8[np.ndarray, "n height width"]:
        images = np.asarray(self._prepared.images[self._places[indices]])
        return luma(images) if images.ndim == 4 else images


def _prepared(
    records: Records, options: PictureOptions, cache: Path, progress: Progress
) -> tuple[Records, PreparedSet, dict[str, str]]:
    """Return what the table lets be used, its images, and path -> reason of all that is bad."""
    total = len(records.table)
    bad: dict[str, str] = {}
    if "bad" in records.table:
        fine = (records.table["bad"] == "").to_numpy()
        bad = records.table[~fine].set_index("path")["bad"].to_dict()
        known = [BadImage(records.root / path, reason) for path, reason in bad.items()]
        check_bad(known, total, options.allowed_bad, progress)
        records = records.part(fine)
    paths = records.table["path"]
    framed = "frame" in records.table
    prepared = prepared_images(
        [records.root / path for path in (records.table["file"] if framed else paths)],
        options.preprocessing,
        cache=cache,
        reading=options.reading,
        frames=records.table["frame"].tolist() if framed else None,
        allowed_bad=max(options.allowed_bad * total - len(bad), 0.0) / max(len(paths), 1),
        progress=progress,
    )
    unread = prepared.table["bad"].to_numpy(bool)
    bad |= dict(zip(paths[unread], prepared.table["reason"][unread], strict=True))
    return records, prepared, bad


def _checksum(images: str, records: Records, where: Shaped[np.ndarray, " n"]) -> str:
    """Return one sum of what a model and a metric are given."""
    total = hashlib.sha256()
    table = records.table
    for lines in ([images, records.masks_from], table["path"], table["patient"], where):
        total.update("\n".join(map(str, lines)).encode() + b"\0")
    total.update(np.ascontiguousarray(records.labels).tobytes())
    return total.hexdigest()
