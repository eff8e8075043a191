"""What lies at a place: folders of classes, a table, or arrays."""

from __future__ import annotations

from pathlib import Path

from xaibench.errors import UserError
from xaibench.imaging.picture_files import find_pictures
from xaibench.imaging.recognition.arrays import ARRAYS, guess_arrays
from xaibench.imaging.recognition.folders import guess_folder
from xaibench.imaging.recognition.guess import Guess
from xaibench.imaging.recognition.tables import TABLES, guess_table

_NAMED = 5


def recognise(place: Path, images: Path | None = None) -> Guess:
    """Return what a user's own images seem to be.

    Args:
        place: a folder, a table, or a file of arrays.
        images: where those of a table lie, if not beside or below it.

    Raises:
        UserError: there is nothing, or nothing that tells what images show.
    """
    for each in filter(None, (place, images)):
        if not each.exists():
            raise UserError(f"{each} is not there (working directory {Path.cwd()})")
    if place.is_file():
        ending = place.suffix.lower()
        if ending in ARRAYS:
            return guess_arrays(place)
        if ending in TABLES:
            return guess_table(place, images)
        allowed = ", ".join(sorted(ARRAYS | TABLES))
        raise UserError(f"{place}: is neither a table nor arrays by its name; those are {allowed}")
    return _in_folder(place, images)


def _in_folder(place: Path, images: Path | None) -> Guess:
    inside = sorted(file for file in place.iterdir() if file.is_file())
    tables = [f for f in inside if f.suffix.lower() in TABLES and not f.name.startswith(".")]
    guess = guess_folder(place)
    if guess is not None:
        if tables:
            guess.unsure.append(
                f"{tables[0].name} lies there too; if it says what images show: xaibench init "
                f"{tables[0]}"
            )
        return guess
    if tables:
        why = []
        for table in tables:
            try:
                found = guess_table(table, images)
            except UserError as error:
                why.append(str(error))
                continue
            others = [other.name for other in tables if other != table]
            if others:
                found.unsure.append(f"the table is {table.name}, not {', '.join(others[:_NAMED])}")
            return found
        raise UserError(why[0])
    if any(file.suffix.lower() == ".npy" for file in inside):
        return guess_arrays(place)
    if arrays := [file for file in inside if file.suffix.lower() in ARRAYS]:
        named = ", ".join(file.name for file in arrays[:_NAMED])
        raise UserError(f"{place}: name the file of arrays itself: {named}")
    if total := len(find_pictures(place)):
        raise UserError(
            f"{place}: has {total} images, but nothing says what they show; put them in a folder "
            "for each class, or beside a table with their names and labels"
        )
    raise UserError(f"{place}: has no images, no table and no arrays")
