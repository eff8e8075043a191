"""HDF5 files that are opened and read with messages for the user."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from xaibench.errors import UserError
from xaibench.types import Rows


def opened(file: Path) -> h5py.File:
    """Open a file for reading; UserError where it is no readable HDF5 file."""
    try:
        return h5py.File(file, "r")
    except OSError as error:
        raise UserError(f"{file}: no readable HDF5 file ({error}); fetch it anew") from None


def read_rows(dataset: h5py.Dataset, rows: Rows) -> Shaped[np.ndarray, "n ..."]:
    """Return rows in any order, repeats allowed; HDF5 wants them rising."""
    rising, back = np.unique(rows, return_inverse=True)
    in_one = len(rising) and rising[-1] - rising[0] + 1 == len(rising)  # a slice is read quicker
    try:
        return dataset[slice(rising[0], rising[-1] + 1) if in_one else rising][back]
    except OSError as error:
        raise UserError(
            f"{dataset.file.filename}: {dataset.name!r} cannot be read ({error}); fetch it anew"
        ) from None
