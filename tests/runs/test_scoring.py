"""A cell's rows: no score is invented, and an image that fails alone fails alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import PluginError, UserError
from xaibench.explainers.base import Explainer
from xaibench.leaderboards.summary import summarise
from xaibench.metrics.base import Curve, MapMetric, Scores
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.pointing_game import PointingGame
from xaibench.runs.rows import Block
from xaibench.runs.scoring import Scorer
from xaibench.store.cells import Cell
from xaibench.store.schema import SCORES

ABOUT = {"run": "r", "dataset": "toy", "split": "test", "model": "toy", "label": "a"}
ABOUT |= {"training_seed": 0}
IMAGES = 5
ERRORS = {e.__name__: e for e in (RuntimeError, ValueError, IndexError, UserError, PluginError)}


@dataclass(frozen=True)
class Brightness(Explainer):
    """The mean of the channels, spoilt as the parameters say."""

    name: ClassVar[str] = "brightness"
    broken: str = ""
    nan: str = ""
    flat: str = ""
    error: str = "RuntimeError"

    def attribute(self, model, batch):
        model.logits(batch.images)
        if self.broken in batch.ids:
            raise ERRORS[self.error]("no luck")
        maps = batch.images.mean(1)
        for i, image in enumerate(batch.ids):
            if image == self.nan:
                maps[i, 3, 3] = torch.nan
            if image == self.flat:
                maps[i] = 0.25
        return maps


@dataclass(frozen=True)
class Peak(MapMetric):
    """The largest value, under whatever names and shape it is told."""

    name: ClassVar[str] = "peak"
    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    gives: str = "peak"
    extra: int = 0
    value: float | None = None

    def score(self, model, batch, maps):
        values = maps.flatten(1).amax(1)
        values = values if self.value is None else torch.full_like(values, self.value)
        padded = torch.cat([values, values[: self.extra]])
        return Scores({self.gives: padded})


@pytest.fixture
def model():
    return toy_model()


@pytest.fixture
def block():
    batch = toy_batch(images=IMAGES)
    own = lambda i: {"image": batch.ids[i], "group": batch.groups[i], "target": "a"}
    return Block(batch, tuple(ABOUT | own(i) | {"p_target": 0.7} for i in range(IMAGES)))


def score(explainer, model, block, **metrics):
    metrics = metrics or {"deletion": Deletion(steps=4), "pointing_game": PointingGame()}
    return Scorer(model, metrics, "slic").score_cells({Cell("mine", 3): explainer}, block)[0]


def rows_of(result, image=None, metric="deletion"):
    return [r for r in result.scores if r["metric"] == metric and image in (None, r["image"])]


def assert_same(result, sound, images):
    """Assert that these images' rows and maps are those of a cell in which all went well."""
    for i in images:
        for metric in ("deletion", "pointing_game@evidence"):
            (row,), (wanted,) = (rows_of(cell, f"image_{i}", metric) for cell in (result, sound))
            assert (row["status"], row["reason"]) == (wanted["status"], wanted["reason"])
            assert row["value"] == pytest.approx(wanted["value"], rel=1e-5, nan_ok=True)
    assert np.array_equal(result.maps[images], sound.maps[images])


def test_a_row_for_each_image_and_metric_with_all_its_columns(model, block):
    result = score(Brightness(), model, block)
    assert [(r["metric"], r["image"]) for r in result.scores] == [
        (metric, image)
        for metric in ("deletion", "pointing_game@evidence")
        for image in block.batch.ids
    ]
    assert all(set(row) == set(SCORES.names) for row in result.scores)
    first = result.scores[0]
    assert first["protocol"] == Deletion(steps=4).protocol("deletion", "slic")
    assert json.loads(first["params"])["use"] == "brightness"
    assert (first["explainer"], first["control"], first["label"]) == ("mine", False, "a")
    assert (first["forward_passes"], first["backward_passes"]) == (1.0, 0.0)
    assert 0 <= first["value"] <= 1
    timing = {k: result.timing[k] for k in ("run", "explainer", "block", "images")}
    assert timing == {"run": "r", "explainer": "mine", "block": 3, "images": IMAGES}


def test_a_curve_for_each_image(model, block):
    result = score(Brightness(), model, block)
    assert [row["image"] for row in result.curves] == list(block.batch.ids)
    assert {(row["explainer"], row["metric"], row["curve"]) for row in result.curves} == {
        ("mine", "deletion", "deletion")
    }
    assert all(len(row["x"]) == len(row["y"]) == 5 for row in result.curves)


def test_points_behind_a_curves_end_are_left_out(model, block):
    class Short(Peak):
        def score(self, model, batch, maps):
            x = torch.linspace(0, 1, 4).repeat(len(batch), 1)
            x[::2, 2:] = torch.nan
            return Scores({"peak": x[:, 0]}, {"c": Curve(x, x)})

    curves = score(Brightness(), model, block, peak=Short()).curves
    assert [len(row["x"]) for row in curves] == [2, 4, 2, 4, 2]
    assert all(np.isfinite(row["x"] + row["y"]).all() for row in curves)


def test_a_map_that_is_not_finite_has_no_score(model, block):
    result = score(Brightness(nan="image_2"), model, block)
    for metric in ("deletion", "pointing_game@evidence"):
        (row,) = rows_of(result, "image_2", metric)
        assert row["status"] == "nan"
        assert np.isnan(row["value"])
        assert row["reason"] == "the map has values that are not finite"
    assert "image_2" not in {row["image"] for row in result.curves}
    assert np.isnan(result.maps[2, 3, 3])
    assert_same(result, score(Brightness(), model, block), [0, 1, 3, 4])


def test_no_mean_is_taken_over_silently_fewer_images(model, block):
    table = pd.DataFrame(score(Brightness(nan="image_2"), model, block).scores)
    summary = summarise(table[table["metric"] == "deletion"], flips=50)
    assert summary[["rows", "n", "failed"]].to_numpy().tolist() == [[5, 4, 0.2]]


@pytest.mark.parametrize("error", ["RuntimeError", "ValueError", "IndexError"])
def test_an_image_that_fails_alone_fails_alone(model, block, error):
    result = score(Brightness(broken="image_1", error=error), model, block)
    for metric in ("deletion", "pointing_game@evidence"):
        (row,) = rows_of(result, "image_1", metric)
        assert (row["status"], row["reason"]) == ("failed", f"{error}: no luck")
        assert np.isnan(row["value"])
    assert np.isnan(result.maps[1]).all()
    assert_same(result, score(Brightness(), model, block), [0, 2, 3, 4])


def test_a_constant_map_has_a_value_and_is_marked(model, block):
    result = score(Brightness(flat="image_4"), model, block)
    (row,) = rows_of(result, "image_4")
    assert row["status"] == "constant"
    assert "constant" in row["reason"]
    assert 0 <= row["value"] <= 1
    assert {r["status"] for r in rows_of(result) if r["image"] != "image_4"} == {"ok"}


def test_without_evidence_there_is_no_localisation(model, block):
    result = score(Brightness(), model, block)
    (row,) = rows_of(result, "image_0", "pointing_game@evidence")
    assert row["status"] == "undefined"
    assert row["reason"] == "the image has no evidence mask for its target"
    assert np.isnan(row["value"])
    assert {r["status"] for r in rows_of(result, metric="pointing_game@evidence")[1:]} == {"ok"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_said_to_be_so(model, block, value):
    rows = score(Brightness(), model, block, peak=Peak(value=value)).scores
    assert {(row["status"], row["reason"]) for row in rows} == {("nan", "the score is NaN")}
    assert all(np.isnan(row["value"]) for row in rows)


def test_labels_stand_for_the_metrics_own_names(model, block):
    rows = score(Brightness(), model, block, pointing=PointingGame(tolerance=3), dots=Peak()).scores
    assert {row["metric"] for row in rows} == {"pointing@evidence", "dots"}
    (protocol,) = {row["protocol"] for row in rows if row["metric"] == "pointing@evidence"}
    assert protocol == "pointing_game@evidence[ties=seeded,tolerance=3]"


@pytest.mark.parametrize("error", ["UserError", "PluginError"])
def test_a_mistake_that_every_image_shares_is_raised(model, block, error):
    with pytest.raises(ERRORS[error], match="no luck"):
        score(Brightness(broken="image_1", error=error), model, block)


def test_maps_of_another_shape_are_refused(model, block):
    class Small(Brightness):
        def attribute(self, model, batch):
            return batch.images[:, :, :8].mean(1)

    with pytest.raises(PluginError, match=r"brightness: maps of shape \(5, 8, 32\), must be"):
        score(Small(), model, block)


def test_a_metric_must_give_what_it_promised(model, block):
    with pytest.raises(PluginError, match=r"peak: scores \['summit'\], promised \['peak'\]"):
        score(Brightness(), model, block, peak=Peak(gives="summit"))
    with pytest.raises(PluginError, match=r"peak: shape \(6,\), must be \(5,\)"):
        score(Brightness(), model, block, peak=Peak(extra=1))


def test_the_model_is_given_back_as_it_was(model, block):
    class Hooked(Peak):
        def score(self, model, batch, maps):
            model.net.register_forward_hook(lambda *_: None)
            model.train()
            return super().score(model, batch, maps)

    model.eval()
    score(Brightness(), model, block, peak=Hooked())
    assert not any(module.training for module in model.modules())
    assert not model.net._forward_hooks


def test_where_every_image_fails_every_row_is_kept(model, block):
    @dataclass(frozen=True)
    class Never(Explainer):
        name: ClassVar[str] = "never"

        def attribute(self, model, batch):
            raise RuntimeError("no luck")

    result = score(Never(), model, block)
    assert len(result.scores) == 2 * IMAGES
    assert {row["status"] for row in result.scores} == {"failed"}
    assert result.curves == []
    assert np.isnan(result.maps).all()


def test_explainers_scored_together_score_as_alone(model, block):
    """One fails on an image, one is not finite there, one is whole: their batches differ."""
    metrics = {"deletion": Deletion(steps=4), "pointing_game": PointingGame()}
    explainers = [Brightness(), Brightness(broken="image_1"), Brightness(nan="image_3")]
    cells = {Cell(f"mine_{k}", 3): explainer for k, explainer in enumerate(explainers)}
    together = Scorer(model, metrics, "slic").score_cells(cells, block)
    for result, (cell, explainer) in zip(together, cells.items(), strict=True):
        (alone,) = Scorer(toy_model(), metrics, "slic").score_cells({cell: explainer}, block)
        assert {r["explainer"] for r in result.scores} == {cell.explainer}
        for row, twin in zip(result.scores, alone.scores, strict=True):
            assert row["value"] == pytest.approx(twin["value"], abs=1e-6, nan_ok=True)
            assert row | {"value": 0} == twin | {"value": 0}
        for row, twin in zip(result.curves, alone.curves, strict=True):
            assert row["y"] == pytest.approx(twin["y"], abs=1e-6)
            assert row | {"y": 0} == twin | {"y": 0}
        assert np.array_equal(result.maps, alone.maps, equal_nan=True)
        assert result.timing["score_forward"] == alone.timing["score_forward"]


def test_their_passes_fill_batches_across_explainers(model, block):
    sizes = []
    model.batch_size = 64
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    cells = {Cell(f"mine_{k}", 3): Brightness() for k in range(4)}
    Scorer(model, {"deletion": Deletion(steps=8)}, "slic").score_cells(cells, block)
    own = [IMAGES] * 6  # each explainer's own pass, and the two ends of the curve, once a block
    assert sorted(sizes) == sorted([*own, 64, 64, 12])  # 4 explainers x 5 images x 7 steps
