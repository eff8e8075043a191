"""A run's folder: cells that are written whole or not at all, and the tables made of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xaibench.atomic import replacing, telling, write_text
from xaibench.errors import UserError
from xaibench.store.cells import Cell, CellResult, SeedCells
from xaibench.store.damaged import read_mapping
from xaibench.store.schema import CURVES, LEDGER, SCORES, SEED, TIMINGS, maps_of_seed

_KNOWN = "known.npz"


class RunFolder:
    """``OUT/NAME/RUN-ID``; the id is a hash of what defines the run, so the same run resumes.

    Args:
        root: ``OUT/NAME``.
        identity: what defines the run: the resolved config, code and kind of device.
    """

    def __init__(self, root: Path, identity: Mapping[str, object]) -> None:
        text = json.dumps(identity, sort_keys=True)
        self.run = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.path = root / self.run
        self._cells = self.path / "cells"
        with telling(self.path):
            self.path.mkdir(parents=True, exist_ok=True)

    @property
    def finished(self) -> bool:
        return self.manifest().get("status") == "finished"

    def manifest(self) -> dict[str, object]:
        file = self.path / "manifest.json"
        return read_mapping(file) if file.is_file() else {}

    def write_manifest(self, manifest: Mapping[str, object]) -> None:
        """Write the manifest; refuses to go on where the data or weights are no longer the same."""
        before = self.manifest()
        for part in ("dataset", "model"):
            if part in before and before[part] != json.loads(json.dumps(manifest[part])):
                raise UserError(
                    f"{self.path}: was begun with another {part}: its files or weights have "
                    "changed since; delete the folder to begin anew"
                )
        self.write_text("manifest.json", json.dumps(manifest, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        write_text(self.path / name, text)

    def keep(self, files: Iterable[str], under: str) -> tuple[str, ...]:
        """Copy files of code to a folder beside the config, and return how it names them there."""
        names: dict[str, Path] = {}
        for file in map(Path, files):
            twice = f"{under}/{file.name}" in names  # one of another kind may have the same name
            names[f"{under}/{len(names)}/{file.name}" if twice else f"{under}/{file.name}"] = file
        for name, file in names.items():
            with replacing(self.path / name) as partial:
                partial.write_bytes(file.read_bytes())
        return tuple(names)

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as CSV or Parquet, as its name's ending says."""
        with replacing(self.path / name) as file:
            write = table.to_csv if file.suffix == ".csv" else table.to_parquet
            write(file, index=False)

    @property
    def notes(self) -> Path:
        """A folder for what is kept of work that is under way."""
        return self._cells / ".calls"

    def has(self, cell: Cell) -> bool:
        return (self._cells / cell.folder).is_dir()

    def pass_over(self, cells: Iterable[Cell]) -> None:
        """Count cells as done without results, where those of a few others are wanted."""
        for cell in cells:
            (self._cells / cell.folder).mkdir(parents=True, exist_ok=True)

    def scores(self, cell: Cell) -> pd.DataFrame:
        """Return the rows of SCORES that a cell gave."""
        return pd.read_parquet(self._cells / cell.folder / "scores.parquet")

    def known(self, cell: Cell) -> dict[str, np.ndarray]:
        """Return what was known of a block once a cell was done; nothing where it was not kept."""
        file = self._cells / cell.folder / _KNOWN
        if not file.is_file():
            return {}
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)

    def drop_known(self, cell: Cell) -> None:
        """Remove what was known once a cell was done: a later one of the block has kept it."""
        (self._cells / cell.folder / _KNOWN).unlink(missing_ok=True)

    def write(self, cell: Cell, result: CellResult) -> None:
        """Write a cell whole: a folder that takes its name only when all is in it."""
        target = self._cells / cell.folder
        with telling(target), _draft(target, self._cells) as partial:
            _write_rows(result.scores, SCORES, partial / "scores.parquet")
            _write_rows(result.curves, CURVES, partial / "curves.parquet")
            _write_rows([result.timing], TIMINGS, partial / "timings.parquet")
            _write_rows(result.ledger, LEDGER, partial / "ledger.parquet")
            if result.known:
                np.savez(partial / _KNOWN, **result.known)
            for name, array in result.arrays().items():
                np.save(partial / f"{name}.npy", array, allow_pickle=False)

    def merge(
        self,
        explainers: Sequence[str | None],
        parts: Sequence[SeedCells],
        model_rows: Sequence[Mapping[str, object]],
    ) -> None:
        """Make the run's tables and ``maps.h5`` of its cells.

        Maps of the first training seed stand in ``maps/NAME``, those of a further one in
        ``seeds/SEED/maps/NAME``; superpixels, which all share, only once.

        Args:
            explainers: in the order of the rows; None for the cells of the images themselves.
            parts: the cells of each training seed.
            model_rows: rows of SCORES about the model alone.
        """
        every = [self._cells / c.folder for part in parts for e in explainers for c in part.of(e)]
        for name, schema in {"scores": SCORES, "curves": CURVES, "timings": TIMINGS}.items():
            tables = [pq.read_table(c / f"{name}.parquet", schema=schema) for c in every]
            if name == "scores":
                tables.append(pa.Table.from_pylist(list(model_rows), schema=schema))
            with replacing(self.path / f"{name}.parquet") as file:
                pq.write_table(pa.concat_tables(tables), file, compression="zstd")
        self.write_table("ledger.csv", _ledger([c / "ledger.parquet" for c in every]))
        with replacing(self.path / "maps.h5") as path, h5py.File(path, "w") as file:
            for number, part in enumerate(parts):
                place = file.create_group(maps_of_seed(part.seed)) if number else file
                for name, values in part.beside.items():
                    place.create_dataset(name, data=values, compression="gzip")
                for explainer in explainers if number == 0 else filter(None, explainers):
                    name = f"maps/{explainer}" if explainer else "segments"
                    values = self._arrays(part.of(explainer), "maps" if explainer else name)
                    place.create_dataset(name, data=values, compression="gzip")

    def _arrays(self, cells: Sequence[Cell], name: str) -> np.ndarray:
        """Return an array of several cells, one behind the other."""
        files = (self._cells / cell.folder / f"{name}.npy" for cell in cells)
        return np.concatenate([np.load(file, allow_pickle=False) for file in files])

    def drop_cells(self) -> None:
        """Remove the cells, once all that is made of them is written."""
        shutil.rmtree(self._cells, ignore_errors=True)


def _ledger(files: Iterable[Path]) -> pd.DataFrame:
    """Return the rows of cells added up, those of the blocks' own scores last."""
    rows = pa.concat_tables(pq.read_table(file, schema=LEDGER) for file in files).to_pandas()
    rows[SEED] = rows[SEED].astype("Int64")
    sums = ["asked", "computed", "shared", "backward"]
    by = [name for name in LEDGER.names if name not in sums]
    table = rows.groupby(by, sort=False, dropna=False, as_index=False)[sums].sum()
    own = table[["explainer", "metric"]].isna().all(axis=1)
    return pd.concat([table[~own], table[own]], ignore_index=True)


@contextmanager
def _draft(target: Path, beside: Path) -> Iterator[Path]:
    """Yield a folder to fill; it takes ``target``'s name if nothing was raised."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=beside))
    try:
        yield partial
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_rows(rows: Sequence[Mapping[str, object]], schema: pa.Schema, file: Path) -> None:
    pq.write_table(pa.Table.from_pylist([dict(r) for r in rows], schema=schema), file)
