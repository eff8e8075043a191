"""Files of several pictures, each an image of its own, of its file's patient."""

from __future__ import annotations

import numpy as np

from xaibench.errors import UserError
from xaibench.imaging.many_files import of_each
from xaibench.imaging.picture_files import count_pictures
from xaibench.imaging.picture_sets import Records
from xaibench.progress import Progress


def each_picture(records: Records, progress: Progress) -> Records:
    """Return records with a row for each picture of each file, all of the file's label and patient.

    The third picture of ``a.dcm`` has the path ``a.dcm#3``; a file of one picture keeps its own.
    Columns ``file`` and ``frame`` (from 0) are added where a file holds several.

    Raises:
        UserError: a file holds several pictures, and masks are of whole files.
    """
    paths = records.table["path"].to_numpy(dtype=object)
    counts = np.array(
        of_each(
            [records.root / path for path in paths],
            count_pictures,
            progress=progress,
            title="Pictures in each file",
        ),
        int,
    )
    if not (counts > 1).any():
        return records
    if records.masks is not None:
        at = int((counts > 1).argmax())
        raise UserError(
            f"frames: all, but masks and boxes are of whole files, and {paths[at]} holds "
            f"{counts[at]} pictures; set frames to first or middle, or leave the masks out"
        )
    rows = np.repeat(np.arange(len(paths)), counts)
    frames = np.concatenate([np.arange(count) for count in counts])
    each = records.part(rows)
    named = [
        f"{path}#{frame + 1}" if counts[row] > 1 else path
        for path, row, frame in zip(paths[rows], rows, frames, strict=True)
    ]
    each.table["file"], each.table["frame"], each.table["path"] = paths[rows], frames, named
    return each
