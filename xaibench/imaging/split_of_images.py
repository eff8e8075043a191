"""Which split each radiograph is in: by manifests, by the data set's own table, or drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from xaibench.errors import UserError
from xaibench.imaging import splits
from xaibench.types import Labels


@dataclass(frozen=True)
class SplitOptions:
    """How images are dealt out.

    Attributes:
        fractions: of the images in train, valid and test; whole patients.
        seed: of the draw.
        manifests: a folder for ``train.csv``, ``val.csv`` and ``test.csv``: read where they are
            there, else written. None for neither.
    """

    fractions: tuple[float, float, float]
    seed: int
    manifests: Path | None = None


def split_of_images(
    table: pd.DataFrame, labels: Labels, classes: Sequence[str], options: SplitOptions
) -> Shaped[np.ndarray, " n"]:
    """Return ``train``, ``valid`` or ``test`` for each image, whole patients.

    The manifests go before the table's column ``split``, and that before a draw. Where the column
    says nothing of ``valid``, it is drawn from ``train``.

    Raises:
        UserError: a patient in two splits, an empty split, manifests that say other than the table.
    """
    folder = options.manifests
    ours = None if folder is None else manifest(table, labels, classes)
    if folder is not None and any((folder / name).exists() for name in splits.MANIFESTS.values()):
        return _not_empty(_from_manifests(folder, ours.set_index("path")), str(folder))
    patients = table["patient"].to_numpy(dtype=object).astype(str)
    if "split" in table:
        where = table["split"].to_numpy(dtype=object).astype(f"<U{len('train')}")
        if not (where == "valid").any():
            train = where == "train"
            share = options.fractions[1] / (options.fractions[0] + options.fractions[1])
            where[train] = splits.patient_split(
                patients[train], (1 - share, share, 0.0), options.seed
            )
    else:
        where = splits.patient_split(patients, options.fractions, options.seed)
    splits.check_no_overlap(patients, where)
    _not_empty(where, "the table's split")
    if folder is not None:
        splits.write_manifests(folder, ours.assign(split=where))
    return where


def manifest(table: pd.DataFrame, labels: Labels, classes: Sequence[str]) -> pd.DataFrame:
    """Return path, label, patient of each image; of several labels, also a column of each.

    The label is the class's name, or the names of all labels of 0.5 and more, joined by ``|``.
    """
    if labels.ndim == 1:
        columns = {"label": np.asarray(classes)[labels]}
    else:
        columns = {name: labels[:, at] for at, name in enumerate(classes)}
        there = labels >= 0.5
        columns["label"] = ["|".join(np.asarray(classes)[row]) or "none" for row in there]
    made = pd.DataFrame({"path": table["path"], "patient": table["patient"].astype(str), **columns})
    first = ["path", "label", "patient"]
    return made[first + [c for c in made if c not in first]]


def _not_empty(where: Shaped[np.ndarray, " n"], said: str) -> Shaped[np.ndarray, " n"]:
    if lacking := [split for split in splits.SPLITS if not (where == split).any()]:
        raise UserError(f"{said} has no image in {lacking[0]}; each of {splits.SPLITS} needs one")
    return where


def _from_manifests(folder: Path, ours: pd.DataFrame) -> Shaped[np.ndarray, " n"]:
    mend = "name another folder, or delete its files to split anew"
    read = splits.read_manifests(folder).set_index("path")
    for paths, said in (
        (ours.index.difference(read.index), "leave out {} images"),
        (read.index.difference(ours.index), "name {} images that are not there or are bad"),
    ):
        if len(paths):
            raise UserError(
                f"manifests: those of {folder} {said.format(len(paths))} ({paths[0]}); {mend}"
            )
    read = read.loc[ours.index]
    for column in ours.columns:
        same = _same(ours[column], read[column]) if column in read else np.zeros(len(ours), bool)
        if not same.all():
            path = ours.index[~same][0]
            raise UserError(
                f"manifests: those of {folder} say another {column!r} of {path} than the data set; "
                f"{mend}"
            )
    return read["split"].to_numpy(dtype=object).astype(str)


def _same(ours: pd.Series, read: pd.Series) -> Shaped[np.ndarray, " n"]:
    if ours.dtype.kind == "f":
        read = pd.to_numeric(read, errors="coerce")
        return np.isclose(ours, read, rtol=0, atol=1e-6, equal_nan=True)
    return (ours.astype(str) == read.astype(str)).to_numpy()
