"""A run's folder: cells and tables appear whole or not at all, and one run has one folder."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from xaibench.atomic import replacing
from xaibench.errors import UserError
from xaibench.store import run_folder as module
from xaibench.store.cells import Cell, CellResult, SeedCells
from xaibench.store.run_folder import RunFolder
from xaibench.store.schema import CURVES, SCORES, TIMINGS

IDENTITY = {"config": {"seed": 1, "name": "x"}, "code": "abc", "device": "cpu"}
MANIFEST = {"dataset": {"name": "d", "checksum": "1"}, "model": {"weights": "w"}, "status": "r"}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "name", IDENTITY)


def row(image: str, explainer: str, value: float = 0.5, **more: object) -> dict[str, object]:
    return {"run": "r", "image": image, "explainer": explainer, "value": value} | more


def result(cell: Cell, images: int = 2) -> CellResult:
    ids = [f"i{cell.block}{i}" for i in range(images)]
    curve = {"curve": "c", "x": [0.0, 0.5, 1.0], "y": [1.0, 0.2, 0.1]}
    maps = np.full((images, 4, 4), cell.block, np.float32)
    maps[0, 0, 0] = np.nan
    return CellResult(
        scores=[row(i, cell.explainer, status="ok", control=True) for i in ids],
        curves=[{"run": "r", "image": i, "explainer": cell.explainer} | curve for i in ids],
        timing={"run": "r", "explainer": cell.explainer, "block": cell.block, "images": images},
        maps=maps,
    )


def filled(folder: RunFolder, blocks: int = 3) -> RunFolder:
    for block in reversed(range(blocks)):
        for explainer in ("cam", "random"):
            cell = Cell(explainer, block)
            folder.write(cell, result(cell))
    return folder


def everything_under(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file())


def test_a_cell_is_there_once_it_is_written(folder):
    cell = Cell("cam", 7)
    assert not folder.has(cell)
    folder.write(cell, result(cell))
    assert folder.has(cell)
    assert not folder.has(Cell("cam", 8))
    assert not folder.has(Cell("random", 7))


def test_a_cell_that_breaks_off_leaves_nothing(folder, monkeypatch):
    cell = Cell("cam", 0)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(module.np, "save", full_disk)
    with pytest.raises(UserError, match="cam: cannot be written: No space left on device; make"):
        folder.write(cell, result(cell))
    assert not folder.has(cell)
    assert everything_under(folder.path) == []
    monkeypatch.undo()
    folder.write(cell, result(cell))
    assert folder.has(cell)


def test_a_row_that_fits_no_column_leaves_nothing(folder):
    cell = Cell("cam", 0)
    good = result(cell)
    bad = CellResult([row("i", "cam", value="much")], good.curves, good.timing, good.maps)
    with pytest.raises(Exception, match="much"):
        folder.write(cell, bad)
    assert not folder.has(cell)


def test_tables_are_merged_by_explainer_then_block_and_the_model_last(folder):
    filled(folder).merge(["random", "cam"], [SeedCells(3, {})], [row(None, None, metric="auroc")])
    scores = pq.read_table(folder.path / "scores.parquet")
    assert scores.schema.equals(SCORES)
    assert list(zip(scores["explainer"].to_pylist(), scores["image"].to_pylist(), strict=True)) == [
        *(("random", i) for i in ("i00", "i01", "i10", "i11", "i20", "i21")),
        *(("cam", i) for i in ("i00", "i01", "i10", "i11", "i20", "i21")),
        (None, None),
    ]
    assert pq.read_schema(folder.path / "curves.parquet").equals(CURVES)
    timings = pq.read_table(folder.path / "timings.parquet")
    assert timings.schema.equals(TIMINGS)
    assert timings["block"].to_pylist() == [0, 1, 2] * 2


def test_what_a_row_does_not_say_is_null(folder):
    filled(folder, 1).merge(["cam"], [SeedCells(1, {})], [])
    scores = pq.read_table(folder.path / "scores.parquet").to_pylist()
    assert scores[0]["reason"] is None
    assert scores[0]["forward_passes"] is None
    assert scores[0]["control"] is True


def test_maps_stand_beside_their_images_with_nan_where_there_is_none(folder):
    ids = np.array([b"i00", b"i01", b"i10", b"i11"])
    beside = {"ids": ids, "masks/evidence": np.ones(4)}
    filled(folder, 2).merge(["cam", "random"], [SeedCells(2, beside)], [])
    with h5py.File(folder.path / "maps.h5") as file:
        assert sorted(file["maps"]) == ["cam", "random"]
        maps = file["maps/cam"][:]
        assert file["ids"][:].tolist() == ids.tolist()
        assert file["masks/evidence"].shape == (4,)
    assert (maps.dtype, maps.shape) == (np.float32, (4, 4, 4))
    assert np.isnan(maps[[0, 2], 0, 0]).all()
    assert maps[2, 1, 1] == 1


def test_cells_of_further_seeds_stand_behind_and_beside(folder):
    for seed in (5, 2):
        cell = Cell("cam", 0, seed)
        assert cell.folder == f"seed_{seed}/00000/cam"
        scores = [row(f"i{seed}", "cam", training_seed=seed)]
        maps = np.full((1, 2, 2), seed, np.float32)
        folder.write(cell, CellResult(scores, [], {"explainer": "cam"}, maps))
        superpixels = np.full((1, 2, 2), 10 * seed)
        result = CellResult([], [], {"training_seed": seed}, None, superpixels)
        folder.write(Cell(None, 0, seed), result)
    beside = [{"ids": np.array([b"i5"])}, {"targets": np.array([b"x"])}]
    parts = [SeedCells(1, its, seed) for its, seed in zip(beside, (5, 2), strict=True)]
    folder.merge(["cam", None], parts, [])
    scores = pq.read_table(folder.path / "scores.parquet")
    assert scores["training_seed"].to_pylist() == [5, 2]
    with h5py.File(folder.path / "maps.h5") as file:
        assert sorted(file) == ["ids", "maps", "seeds", "segments"]
        assert file["segments"][0, 0, 0] == 50
        assert file["maps/cam"][0, 0, 0] == 5
        assert sorted(file["seeds/2"]) == ["maps", "targets"]
        assert file["seeds/2/maps/cam"][0, 0, 0] == 2


def test_merging_twice_gives_the_same_bytes(folder):
    tables = [folder.path / f"{name}.parquet" for name in ("scores", "curves", "timings")]
    filled(folder).merge(["cam", "random"], [SeedCells(3, {})], [])
    first = [table.read_bytes() for table in tables]
    folder.merge(["cam", "random"], [SeedCells(3, {})], [])
    assert [table.read_bytes() for table in tables] == first


def test_a_missing_cell_is_no_smaller_table(folder):
    filled(folder, 1)
    with pytest.raises(FileNotFoundError):
        folder.merge(["cam"], [SeedCells(2, {})], [])
    assert not (folder.path / "scores.parquet").exists()


def test_cells_go_when_all_is_made_of_them(folder):
    filled(folder).drop_cells()
    assert not folder.has(Cell("cam", 0))
    assert everything_under(folder.path) == []


def test_the_same_run_has_the_same_folder(tmp_path, folder):
    turned = {"device": "cpu", "code": "abc", "config": {"name": "x", "seed": 1}}
    assert RunFolder(tmp_path / "name", turned).path == folder.path
    assert folder.path.parent == tmp_path / "name"


@pytest.mark.parametrize(
    "change", [{"config": {"seed": 2, "name": "x"}}, {"code": "abd"}, {"device": "cuda"}]
)
def test_whatever_defines_the_run_changes_its_folder(tmp_path, folder, change):
    assert RunFolder(tmp_path / "name", IDENTITY | change).path != folder.path


def test_a_manifest_is_read_back(folder):
    assert folder.manifest() == {}
    assert not folder.finished
    folder.write_manifest(MANIFEST | {"numbers": (1, 2)})
    assert folder.manifest() == MANIFEST | {"numbers": [1, 2]}
    assert not folder.finished
    folder.write_manifest(MANIFEST | {"status": "finished"})
    assert folder.finished


@pytest.mark.parametrize("part", ["dataset", "model"])
def test_changed_data_or_weights_are_refused(folder, part):
    folder.write_manifest(MANIFEST)
    with pytest.raises(UserError) as caught:
        folder.write_manifest(MANIFEST | {part: {"checksum": "2"}})
    assert str(caught.value) == (
        f"{folder.path}: was begun with another {part}: its files or weights have changed since; "
        "delete the folder to begin anew"
    )
    assert json.loads((folder.path / "manifest.json").read_text()) == MANIFEST


def test_a_file_is_replaced_when_nothing_was_raised(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with replacing(path) as partial:
        assert partial.suffix == ".csv"
        assert partial.parent == path.parent
        partial.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    assert everything_under(tmp_path) == [path]


def test_a_file_stays_as_it_was_when_something_was_raised(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("one")
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "one"
    assert everything_under(tmp_path) == [path]
