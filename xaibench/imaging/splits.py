"""Splits of a data set: whole patients, and draws that keep the share of each label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Shaped
from sklearn.model_selection import train_test_split

from xaibench.atomic import replacing
from xaibench.errors import UserError
from xaibench.imaging.tables import read_table
from xaibench.types import Rows

SPLITS = ("train", "valid", "test")
MANIFESTS = {"train": "train.csv", "valid": "val.csv", "test": "test.csv"}


def stratified_fraction(labels: Rows, fraction: float, seed: int) -> Int[np.ndarray, " kept"]:
    """Return the sorted indices of a seeded draw that keeps the share of each label.

    Args:
        fraction: in (0, 1]; 1 keeps all.
    """
    everything = np.arange(len(labels))
    if fraction == 1:
        return everything
    try:
        kept, _ = train_test_split(
            everything, train_size=fraction, stratify=labels, random_state=seed
        )
    except ValueError:  # that of scikit-learn speaks of its own parameters
        counted = ", ".join(map(str, np.unique(labels, return_counts=True)[1]))
        raise UserError(
            f"a stratified fraction of {fraction} of {len(labels)} images cannot be drawn: there "
            f"are {counted} of the classes; add images, or name another fraction"
        ) from None
    return np.sort(kept)


def stratified_patients(
    labels: Rows, groups: Shaped[np.ndarray, " n"], fraction: float, seed: int
) -> Bool[np.ndarray, " n"]:
    """Return which images are in a seeded draw of whole patients that keeps the share of positives.

    Args:
        labels: 1 or 0; a patient is positive if any of their images is.
        groups: the patient of each image.
        fraction: of the patients.
    """
    patients, patient = np.unique(groups, return_inverse=True)
    positive = np.zeros(len(patients), np.int64)
    np.maximum.at(positive, patient, labels)
    return np.isin(patient, stratified_fraction(positive, fraction, seed))


def patient_split(
    groups: Shaped[np.ndarray, " n"],
    fractions: tuple[float, float, float] = (0.8, 0.09, 0.11),
    seed: int = 42,
) -> Shaped[np.ndarray, " n"]:
    """Return "train", "valid" or "test" for each image, all images of a patient in one split.

    Patients are shuffled by the seed and laid end to end, each as long as its number of images; the
    split that holds a patient's middle has the patient. So a split's share of the images is off its
    fraction by at most the share of the largest patient, and the order of the rows is of no matter.

    Args:
        groups: the patient of each image.
        fractions: of the images, for train, valid and test; they add up to 1.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UserError(f"split fractions are {fractions}; they must be 0 or more and add up to 1")
    patients, images = np.unique(groups, return_inverse=True)
    counts = np.bincount(images, minlength=len(patients))
    order = np.random.default_rng(seed).permutation(len(patients))
    ends = np.cumsum(counts[order])
    middles = (ends - counts[order] / 2) / max(len(groups), 1)
    split_of = np.empty(len(patients), dtype=np.int64)
    split_of[order] = np.searchsorted(np.cumsum(fractions)[:2], middles, side="right")
    lacking = [n for i, n in enumerate(SPLITS) if fractions[i] > 0 and not (split_of == i).any()]
    if lacking:
        raise UserError(
            f"{len(patients)} patients are too few for splits of {fractions}: {lacking[0]} "
            "would be empty; add images, choose another seed, or other fractions"
        )
    return np.array(SPLITS)[split_of[images]]


def check_no_overlap(groups: Shaped[np.ndarray, " n"], split: Shaped[np.ndarray, " n"]) -> None:
    """Raise UserError where a patient has images in two splits."""
    pairs = pd.DataFrame({"group": groups, "split": split}).drop_duplicates()
    twice = sorted(pairs["group"][pairs["group"].duplicated()].unique())
    if twice:
        raise UserError(
            f"{len(twice)} patients are in more than one split ({', '.join(map(str, twice[:3]))}); "
            "a patient's images must all be in one: move them, or mend what names the splits"
        )


def write_manifests(folder: Path, table: pd.DataFrame) -> None:
    """Write ``train.csv``, ``val.csv`` and ``test.csv`` of a table of images.

    Args:
        table: one row an image: path, label (more label columns may follow), patient, split.
    """
    check_no_overlap(table["patient"].to_numpy(), table["split"].to_numpy())
    for split, name in MANIFESTS.items():
        with replacing(folder / name) as partial:
            table[table["split"] == split].drop(columns="split").to_csv(partial, index=False)


def read_manifests(folder: Path) -> pd.DataFrame:
    """Return the table that `write_manifests` wrote, as text: path, label, ..., patient, split.

    Raises UserError for a file or column that is missing, a row without path or patient, an image
    that is listed twice, and a patient in two splits.
    """
    table = pd.concat([_manifest(folder, split) for split in SPLITS], ignore_index=True)
    twice = table["path"][table["path"].duplicated()].unique()
    if len(twice):
        raise UserError(
            f"{folder}: the manifests list {len(twice)} images twice ({', '.join(twice[:3])}); "
            "keep one row of each"
        )
    check_no_overlap(table["patient"].to_numpy(), table["split"].to_numpy())
    return table


def _manifest(folder: Path, split: str) -> pd.DataFrame:
    file = folder / MANIFESTS[split]
    try:
        part = read_table(file)
    except UserError as error:
        raise UserError(f"{error}; {folder} must hold {', '.join(MANIFESTS.values())}") from None
    for column in ("path", "label", "patient"):
        if column not in part:
            raise UserError(f"{file}: lacks the column {column!r}; has {', '.join(part.columns)}")
        if column != "label" and part[column].isna().any():
            line = part.index[part[column].isna()][0]
            raise UserError(f"{file}: line {line} has no {column}; fill it in")
    return part.assign(split=split)
