"""A file of arrays as somebody has it: which array is what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from xaibench.errors import UserError
from xaibench.imaging.arrays.files import files_of, held_in
from xaibench.imaging.recognition.guess import Guess
from xaibench.imaging.recognition.names import IMAGES, LABEL, MASKS, PATIENT, called
from xaibench.imaging.recognition.patient_names import UNKNOWN

ARRAYS = frozenset({".npz", ".npy", ".h5", ".hdf5"})
_SPLIT = "train|val|valid|validation|test"
_OF_SPLIT = re.compile(rf"(?:{_SPLIT})[_/](.+)|(.+)_(?:{_SPLIT})")
Held = np.ndarray | h5py.Dataset
_CHANNELS = (1, 3)


def guess_arrays(place: Path) -> Guess:
    """Return what a file of arrays, or a folder of NPY files, is.

    Raises:
        UserError: it cannot be read, or has no array of images or none of labels; volumes.
    """
    held = {n: array.stored for n, array in held_in(place, files_of(place)).items()}
    bases: dict[str, list[str]] = {}  # name without its split -> arrays
    for name in held:
        match = _OF_SPLIT.fullmatch(name)
        bases.setdefault(next(filter(None, match.groups())) if match else name, []).append(name)
    of = {base: held[names[0]] for base, names in bases.items()}
    images = _images(place, of)
    shape = of[images].shape
    guess = Guess({"use": "arrays", "file": place.as_posix()})
    guess.took.append(f"images: {', '.join(bases[images])}, {' x '.join(map(str, shape[1:]))}")
    if images != "images":
        guess.settings["images"] = images
    like = [b for b in of if b != images and len(of[b].shape) and of[b].shape[0] == shape[0]]
    labels = _one(place, "labels", called(like, LABEL) or _flat(like, of), guess)
    if labels != "labels":
        guess.settings["labels"] = labels
    _take_labels(guess, bases[labels], held)
    if patients := [name for name in called(like, PATIENT) if len(of[name].shape) == 1]:
        guess.settings["groups"] = patients[0]
        guess.took.append(f"patients: {patients[0]}")
    else:
        guess.unsure.append(UNKNOWN.format("if an array tells it, add groups: ARRAY"))
    if masks := [name for name in called(like, MASKS) if len(of[name].shape) == 3]:
        guess.settings["masks"] = masks[0]
        guess.took.append(f"masks of the evidence: {masks[0]}")
    return guess


def _images(place: Path, of: Mapping[str, Held]) -> str:
    large = [base for base, array in of.items() if len(array.shape) >= 3]
    large = [base for base in large if base not in called(large, MASKS)] or large
    if not large:
        shapes = ", ".join(f"{base} {array.shape}" for base, array in of.items())
        raise UserError(f"{place}: holds no images; has {shapes or 'no array'}")
    named = called(large, IMAGES) or large
    chosen = max(named, key=lambda base: int(np.prod(of[base].shape)))
    shape = of[chosen].shape
    if len(shape) > 4 or (len(shape) == 4 and not {shape[1], shape[-1]} & {*_CHANNELS}):
        raise UserError(
            f"{place}: {chosen} is of shape {shape}, as of volumes; save slices of them, of shape "
            "(N, height, width) or (N, height, width, 3)"
        )
    return chosen


def _flat(like: Sequence[str], of: Mapping[str, Held]) -> list[str]:
    return [name for name in like if len(of[name].shape) <= 2 and of[name].dtype.kind in "biuf"]


def _one(place: Path, what: str, found: Sequence[str], guess: Guess) -> str:
    if not found:
        raise UserError(f"{place}: has no array of {what} beside its images; call it {what!r}")
    if len(found) > 1:
        guess.unsure.append(f"{what}: might be {' or '.join(found[1:])} as well")
    return found[0]


def _take_labels(guess: Guess, names: Sequence[str], held: Mapping[str, Held]) -> None:
    values = np.concatenate([np.asarray(held[name][:]) for name in names])
    values = values.reshape(len(values), -1)
    said = ", ".join(names)
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if values.shape[1] > 1 and np.isin(known, (0, 1)).all():
        if known.size == values.size and (values.sum(axis=1) == 1).all():
            guess.settings["one_hot"] = True
            guess.took.append(f"classes: {values.shape[1]}, one-hot in {said}")
        else:
            guess.took.append(f"labels: {values.shape[1]} of 0 and 1 in {said}")
    elif values.shape[1] > 1 or known.size < values.size or (known != np.floor(known)).any():
        guess.settings["regression"] = guess.regression = True
        guess.took.append(f"numbers: {said}")
    else:
        classes = np.unique(values)
        guess.took.append(f"classes: {', '.join(map(str, classes[:10]))} in {said}")
        if len(classes) > 30:
            guess.unsure.append(f"{len(classes)} classes; if they are numbers: regression: true")
    if not guess.regression:
        guess.unsure.append("classes have no names; classes: [healthy, ...] gives them, in order")
