"""From a table of radiographs to a data set: prepared once, split by patient, grey or copied.

What data sets of image files share. A plugin reads its own table and its own masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Shaped, UInt8

from xaibench.datasets.base import Data, Split, Task
from xaibench.datasets.image_cache import PreparedSet, prepared_images
from xaibench.datasets.image_files import BadImage, check_bad
from xaibench.datasets.preprocess import Placement, Preprocessing
from xaibench.datasets.radiograph_counts import counts, preparation, say_counts
from xaibench.datasets.radiograph_splits import SplitOptions, split_of_images
from xaibench.datasets.splits import SPLITS
from xaibench.progress import Progress


@dataclass(frozen=True, eq=False)
class Records:
    """What a data set's table says, one row an image.

    Attributes:
        root: the folder that ``table.path`` is relative to.
        table: columns ``path`` (with forward slashes), ``patient``; ``id`` where it is not the
            path; ``split`` where the split is given; ``bad`` (a reason, "" for none) where the
            table itself shows that an image cannot be used; what else the plugin's masks need.
        labels: (n,) int, or (n, L) float with NaN for what is missing.
    """

    root: Path
    table: pd.DataFrame
    labels: Shaped[np.ndarray, "n *labels"]


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
    labels: Shaped[np.ndarray, "n *labels"]
    targets: Int[np.ndarray, " n"]
    images: UInt8[np.ndarray, "n size size"]
    placements: tuple[Placement, ...]

    def carry(self, masks: Sequence[Bool[np.ndarray, "_ _"]]) -> Bool[np.ndarray, "n size size"]:
        """Carry a mask of each image, in the pixels of its file, to where they are now."""
        pairs = zip(self.placements, masks, strict=True)
        carried = [placement.carry_mask(mask) for placement, mask in pairs]
        return np.stack(carried) if carried else np.zeros(self.images.shape, bool)


Masks = Callable[[Asked], dict[str, Bool[np.ndarray, "n size size"]]]


def radiograph_data(
    records: Records,
    *,
    name: str,
    task: Task,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    channels: int,
    split: SplitOptions,
    allowed_bad: float,
    masks: Masks | None,
    cache: Path,
    progress: Progress,
    masks_from: str = "",
    facts: Mapping[str, object] | None = None,
) -> Data:
    """Prepare the images, split them by patient, and return the data set.

    Args:
        channels: 1, or 3 for grey copied to three channels.
        split: see `SplitOptions`; a column ``split`` of the table goes before a draw.
        allowed_bad: the share of images that may be bad; they are named and left out.
        masks: returns the masks of the images asked for; None for none.
        masks_from: what the masks follow from beside the images, as a checksum or a recipe.
        facts: more for the manifest of a run.

    Raises:
        UserError: too many bad images, an empty split, a patient in two splits, manifests of other
            images.
    """
    usable, prepared, bad = _prepared(records, preprocessing, allowed_bad, cache, progress)
    good = np.flatnonzero(~prepared.table["bad"].to_numpy(bool))
    table = usable.table.iloc[good].reset_index(drop=True)
    table[["height", "width"]] = prepared.table.iloc[good][["height", "width"]].to_numpy()
    labels = usable.labels[good]
    where = split_of_images(table, labels, classes, split)
    splits = {
        s: RadiographSplit(
            table, labels, np.flatnonzero(where == s), good, prepared, channels, masks
        )
        for s in SPLITS
    }
    counted = counts(splits, classes)
    made = preparation(prepared.table)
    say_counts(progress, name, counted, made)
    return Data(
        name=name,
        task=task,
        classes=tuple(classes),
        channels=channels,
        size=prepared.images.shape[1:3],
        splits=splits,
        checksum=_checksum(prepared.key, table, labels, where, masks_from),
        facts={**counted, **made, "bad_files": bad, "prepared": prepared.key, **(facts or {})},
    )


class RadiographSplit(Split):
    """Prepared radiographs; copied to so many channels when they are read.

    Args:
        table, labels: of all good images.
        rows: this split's rows of them.
        places: the row of each good image in the prepared set.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        labels: Shaped[np.ndarray, "total *labels"],
        rows: Int[np.ndarray, " n"],
        places: Int[np.ndarray, " total"],
        prepared: PreparedSet,
        channels: int,
        masks: Masks | None,
    ) -> None:
        self.table = table.iloc[rows].reset_index(drop=True)
        self._places, self._prepared = places[rows], prepared
        self._channels, self._masks = channels, masks
        named = self.table["id"] if "id" in self.table else self.table["path"]
        self.ids = named.to_numpy(dtype=object).astype(str)
        self.groups = self.table["patient"].to_numpy(dtype=object).astype(str)
        self.labels = labels[rows]

    @property
    def files(self) -> pd.DataFrame:
        """A row of `PreparedSet.table` for each image: its file, size and crop."""
        return self._prepared.table.iloc[self._places].reset_index(drop=True)

    @property
    def preprocessing(self) -> Preprocessing:
        return self._prepared.options

    def images(self, indices: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "n height width channel"]:
        return np.repeat(self._grey(indices)[..., None], self._channels, axis=-1)

    def masks(
        self, indices: Int[np.ndarray, " n"], targets: Int[np.ndarray, " n"]
    ) -> dict[str, Bool[np.ndarray, "n height width"]]:
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

    def _grey(self, indices: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "n height width"]:
        return np.asarray(self._prepared.images[self._places[indices]])


def _prepared(
    records: Records, options: Preprocessing, allowed_bad: float, cache: Path, progress: Progress
) -> tuple[Records, PreparedSet, dict[str, str]]:
    """Return what the table lets be used, its images, and path -> reason of all that is bad."""
    table, labels, total = records.table, records.labels, len(records.table)
    bad: dict[str, str] = {}
    if "bad" in table:
        bad = dict(
            zip(table["path"][table["bad"] != ""], table["bad"][table["bad"] != ""], strict=True)
        )
        known = [BadImage(records.root / path, reason) for path, reason in bad.items()]
        check_bad(known, total, allowed_bad, progress)
        fine = (table["bad"] == "").to_numpy()
        table, labels = table[fine].reset_index(drop=True), labels[fine]
    prepared = prepared_images(
        [records.root / path for path in table["path"]],
        options,
        cache=cache,
        allowed_bad=max(allowed_bad * total - len(bad), 0.0) / max(len(table), 1),
        progress=progress,
    )
    unread = prepared.table["bad"].to_numpy(bool)
    bad |= dict(zip(table["path"][unread], prepared.table["reason"][unread], strict=True))
    return Records(records.root, table, labels), prepared, bad


def _checksum(
    images: str,
    table: pd.DataFrame,
    labels: Shaped[np.ndarray, "n *labels"],
    where: Shaped[np.ndarray, " n"],
    masks_from: str,
) -> str:
    """Return one sum of what a model and a metric are given."""
    total = hashlib.sha256()
    for lines in ([images, masks_from], table["path"], table["patient"], where):
        total.update("\n".join(map(str, lines)).encode() + b"\0")
    total.update(np.ascontiguousarray(labels).tobytes())
    return total.hexdigest()
