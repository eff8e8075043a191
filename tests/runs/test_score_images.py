"""Cells without an explainer: rows of images, and the superpixels that all others used."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import PluginError
from xaibench.metrics.base import ImageMetric, Scores
from xaibench.metrics.occlusion_probe import OcclusionProbe
from xaibench.runs.rows import Block
from xaibench.runs.scoring import Scorer
from xaibench.store.cells import Cell, CellResult, SeedCells
from xaibench.store.run_folder import RunFolder
from xaibench.store.schema import SCORES

ABOUT = {"run": "r", "dataset": "toy", "split": "test", "model": "toy", "label": "a"}
ABOUT |= {"training_seed": 0}
PROBE = OcclusionProbe(quadrants=False, fractions=(0.5,), rings=())


class Odd(ImageMetric):
    """The mean of an image, NaN for the first."""

    name = "odd"
    higher_is_better = None
    range = (0.0, 1.0)

    def __init__(self, reason: str | None = None, gives: str = "odd") -> None:
        self.reason, self.gives = reason, gives

    def value_names(self, masks):
        return ["odd"]

    def protocol(self, value_name, segments, precision):
        return value_name

    def score_images(self, model, batch):
        model.train()
        values = batch.images.mean((1, 2, 3))
        values[0] = torch.nan
        return Scores({self.gives: values}, undefined={"odd": self.reason} if self.reason else {})


@pytest.fixture
def block():
    batch = toy_batch()
    own = lambda i: {"image": batch.ids[i], "group": batch.groups[i], "target": "a"}
    return Block(batch, tuple(ABOUT | own(i) | {"p_target": 0.7} for i in range(len(batch))))


def score(block, monkeypatch=None, **metrics) -> CellResult:
    return Scorer(toy_model(), metrics, "slic").score_images(Cell(None, 2), block)


def test_a_row_an_image_and_value_without_an_explainer(block):
    result = score(block, probe=PROBE)
    assert [(r["metric"], r["image"]) for r in result.scores] == [
        ("probe@square_0.5", image) for image in block.batch.ids
    ]
    first = result.scores[0]
    assert set(first) <= set(SCORES.names)
    assert "explainer" not in first
    assert json.loads(first["params"])["use"] == "occlusion_probe"
    assert first["protocol"] == "occlusion_probe@square_0.5[fill=dataset_mean,score=prob]"
    wanted = PROBE.score_images(toy_model(), block.batch).values["occlusion_probe@square_0.5"]
    assert [r["value"] for r in result.scores] == wanted.tolist()
    assert {r["status"] for r in result.scores} == {"ok"}
    assert result.maps is None
    assert result.segments.dtype == np.int32
    assert np.array_equal(result.segments, block.batch.segments.numpy())
    assert (result.timing["block"], result.timing["images"]) == (2, 5)


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [("too dark", ("undefined", "too dark")), (None, ("nan", "the score is NaN"))],
)
def test_a_missing_value_keeps_its_row(block, monkeypatch, reason, verdict):
    monkeypatch.setattr("xaibench.runs.scoring.plugin_parameters", lambda _: {})
    rows = score(block, odd=Odd(reason)).scores
    assert len(rows) == 5
    assert (rows[0]["status"], rows[0]["reason"]) == verdict
    assert np.isnan(rows[0]["value"])
    assert {row["status"] for row in rows[1:]} == {"ok"}


def test_the_model_is_given_back_and_promises_are_kept(block, monkeypatch):
    monkeypatch.setattr("xaibench.runs.scoring.plugin_parameters", lambda _: {})
    model = toy_model()
    Scorer(model, {"odd": Odd()}, "slic").score_images(Cell(None, 0), block)
    assert not any(module.training for module in model.net.modules())
    with pytest.raises(PluginError, match=r"odd: scores \['even'\], promised \['odd'\]"):
        score(block, odd=Odd(gives="even"))


def test_without_such_a_metric_only_superpixels_are_kept(block):
    result = score(block)
    assert (result.scores, result.curves) == ([], [])
    assert list(result.arrays()) == ["segments"]


def test_cells_of_images_are_written_whole_and_merged_behind_the_explainers(
    block, tmp_path, monkeypatch
):
    folder = RunFolder(tmp_path, {})
    result, cell = score(block, probe=PROBE), Cell(None, 0)
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", None)
        with pytest.raises(TypeError):
            folder.write(cell, result)
    assert not folder.has(cell)
    folder.write(cell, result)
    assert folder.has(cell)
    maps = np.zeros((5, 32, 32), np.float32)
    rows = [{"explainer": "cam", "image": image} for image in block.batch.ids]
    folder.write(Cell("cam", 0), CellResult(rows, [], {"explainer": "cam"}, maps))
    folder.merge(["cam", None], [SeedCells(1, {})], [{"metric": "auroc"}])
    table = pq.read_table(folder.path / "scores.parquet").to_pylist()
    ids = list(block.batch.ids)
    assert [(r["explainer"], r["image"]) for r in table] == [
        *(("cam", image) for image in ids),
        *((None, image) for image in ids),
        (None, None),
    ]
    with h5py.File(folder.path / "maps.h5") as file:
        assert sorted(file) == ["maps", "segments"]
        assert list(file["maps"]) == ["cam"]
        assert np.array_equal(file["segments"][:], result.segments)
