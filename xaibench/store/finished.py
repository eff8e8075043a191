"""What a finished run's folder holds, read without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from xaibench.atomic import write_text
from xaibench.errors import UserError
from xaibench.store.damaged import read_mapping, read_parquet
from xaibench.store.merging import merge
from xaibench.store.schema import KEYS, SEED, maps_of_seed
from xaibench.store.training_seeds import of_first, seeds_of

_BLOCK = 256  # masks read at a time: those of all may not fit in memory
_NAMES = ("dataset", "split", "model", "explainer", "metric", "label", "target", "a", "b")
"""Columns of names in tables of text."""


def true_name(dataset: str) -> str:
    """Return the data set's name, with the word "generated" where the images are."""
    return f"{dataset} (generated)" if dataset.endswith("_synthetic") else dataset


class FinishedRun:
    """The files of a run's folder, each read when it is first asked for.

    Raises:
        UserError: the folder is not that of a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        manifest = self.folder / "manifest.json"
        if not manifest.is_file():
            raise UserError(f"{folder} holds no manifest.json; give the folder of a finished run")
        self.manifest = read_mapping(manifest)
        try:
            self.dataset = true_name(self.manifest["dataset"]["name"])
        except (KeyError, TypeError):
            raise UserError(
                f"{manifest}: names no data set; give the folder of a finished run"
            ) from None
        head = self.manifest.get("model", {}).get("head")
        self.head = head.get("read_as") if isinstance(head, Mapping) else head  # as of older runs

    @cached_property
    def scores(self) -> pd.DataFrame:
        return merge([self.folder])

    @cached_property
    def about(self) -> dict[str, str]:
        """Return the run's data set, split and model, as its rows name them."""
        return self.scores[KEYS].iloc[0].to_dict()

    @property
    def training_seeds(self) -> list[int]:
        """The seeds that models were trained with, in the config's order; none in an older run."""
        return list(self.manifest.get("training_seeds", []))

    @property
    def first_seed(self) -> int | None:
        """The training seed whose maps and predictions pictures show; None in an older run."""
        return next(iter(self.training_seeds), None)

    @cached_property
    def every_prediction(self) -> pd.DataFrame | None:
        """Return ``predictions.parquet``: a row for each training seed, image and explained
        target of it.
        """
        return self.parquet("predictions.parquet")

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """Return the rows of ``every_prediction`` that are about the first training seed."""
        return _of_first(self.every_prediction)

    @cached_property
    def every_validation(self) -> pd.DataFrame | None:
        """Return a row for each training seed and image of the validation split; None where the
        run kept none.
        """
        return self.parquet("validation_predictions.parquet")

    @cached_property
    def validation(self) -> pd.DataFrame | None:
        """Return the rows of ``every_validation`` that are about the first training seed."""
        return _of_first(self.every_validation)

    def has(self, name: str) -> bool:
        path = self.folder / name
        return path.is_file() and path.stat().st_size > 0

    def parquet(self, name: str) -> pd.DataFrame | None:
        return read_parquet(self.folder / name) if self.has(name) else None

    def csv(self, name: str) -> pd.DataFrame | None:
        """Return a table of the run; None without it. Names are text: a class may be ``1``."""
        if not self.has(name):
            return None
        table = pd.read_csv(self.folder / name)
        text = pd.read_csv(self.folder / name, dtype=str, keep_default_na=False, na_values=[""])
        names = [column for column in _NAMES if column in table]
        return table.assign(**{column: text[column] for column in names})

    def write(self, name: str, text: str) -> None:
        write_text(self.folder / name, text)

    def write_csv(self, name: str, table: pd.DataFrame) -> None:
        self.write(name, table.to_csv(index=False, lineterminator="\n"))

    def items(self, maps: h5py.File) -> pd.DataFrame:
        """Return the predictions' row of each image and target that has a map, in their order.

        They are those of the first training seed, as ``maps/NAME`` are.
        """
        return aligned(maps["ids"].asstr("utf-8")[:], self.predictions)

    def items_of_seeds(self, maps: h5py.File) -> Iterator[tuple[h5py.Group, pd.DataFrame]]:
        """Yield for each training seed the group of its own arrays, and ``items`` of that seed.

        What a further seed's group lacks (``ids``, ``targets``, ``masks``) is as of the first.
        """
        yield maps, self.items(maps)
        rows = self.every_prediction
        for seed in seeds_of(rows)[1:]:
            own = maps[maps_of_seed(seed)]
            ids = own.get("ids", maps["ids"]).asstr("utf-8")[:]
            yield own, aligned(ids, rows[rows[SEED].eq(seed)])

    def maps(self) -> AbstractContextManager[h5py.File | None]:
        path = self.folder / "maps.h5"
        return h5py.File(path) if path.is_file() else nullcontext()


def _of_first(rows: pd.DataFrame | None) -> pd.DataFrame | None:
    return None if rows is None else of_first(rows).reset_index(drop=True)


def areas(masks: h5py.Dataset) -> np.ndarray:
    """Return the share of its image's area that each of ``masks`` (N, H, W) covers: (N,)."""
    blocks = (masks[at : at + _BLOCK] for at in range(0, len(masks), _BLOCK))
    return np.concatenate([block.astype(bool).mean(axis=(1, 2)) for block in blocks])


def aligned(ids: Sequence[str], predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the images that have maps, one a map.

    An image that is explained for several targets has as many rows as maps, in the same order.
    """
    chosen = predictions[predictions["selected"].astype(bool)]
    turn = chosen.groupby("image").cumcount()
    wanted = pd.Series(list(ids), dtype=object)
    keys = pd.MultiIndex.from_arrays([wanted, wanted.groupby(wanted).cumcount()])
    return chosen.set_index([chosen["image"], turn]).loc[keys].reset_index(drop=True)
