"""Folders of classes as somebody has them, with or without folders of splits and masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xaibench.errors import UserError
from xaibench.imaging.layouts.folders import find_classes
from xaibench.imaging.own_masks import find_masks
from xaibench.imaging.recognition.guess import Guess
from xaibench.imaging.recognition.names import MASKS, bare
from xaibench.imaging.recognition.patient_names import take_patients


def guess_folder(place: Path) -> Guess | None:
    """Return what a folder with folders of classes is; None where it has none."""
    root, masks = _without_masks(place)
    try:
        found = find_classes(root, leave_out=masks)
    except UserError:
        return None
    if len(found.folders) < 2:
        return None
    guess = Guess({"use": "image_folder", "root": root.as_posix()})
    split = "split" in found.table
    guess.took.append(
        f"classes: {', '.join(found.folders)}, the folders of {root} ({len(found.table)} images)"
    )
    if split:
        guess.took.append(f"splits: {', '.join(found.table['split'].unique())}, folders too")
    if found.others:
        guess.unsure.append(f"left out, as of no split: {', '.join(found.others)}")
    _take_masks(guess, masks, found.table["path"].tolist())
    splits = found.table["split"].tolist() if split else None
    take_patients(guess, root, found.table["path"].tolist(), splits)
    return guess


def _take_masks(guess: Guess, masks: Path | None, paths: Sequence[str]) -> None:
    if masks is None:
        return
    try:
        there = find_masks(masks, paths, "")
    except UserError:
        guess.unsure.append(f"{masks} has no file of an image's name; masks is left out")
        return
    guess.settings["masks"] = masks.as_posix()
    guess.took.append(f"masks of the evidence: {masks}, of {len(there)} images")


def _without_masks(place: Path) -> tuple[Path, Path | None]:
    """Return the folder of the images, and that of the masks beside it, if there are just two."""
    inside = [f for f in sorted(place.iterdir()) if f.is_dir() and not f.name.startswith(".")]
    masks = [folder for folder in inside if bare(folder.name) in MASKS]
    if len(inside) == 2 and len(masks) == 1:
        return next(folder for folder in inside if folder not in masks), masks[0]
    return place, None
