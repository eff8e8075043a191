"""One model for each label: trained apart, explained apart, in one table; the grid over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from xaibench import cli
from xaibench.config.reading import load_config
from xaibench.errors import UserError
from xaibench.metrics.label_randomisation import LabelRandomisation
from xaibench.metrics.weight_randomisation import WeightRandomisation
from xaibench.progress import SilentProgress
from xaibench.runs import fitting
from xaibench.runs.grid import best_point, grid_points, search, settings
from xaibench.runs.story import run
from xaibench.training.one_label import one_label
from xaibench.types import Data, Split

QUIET = SilentProgress()
DATA = '''
from dataclasses import dataclass

import numpy as np

from xaibench.datasets.base import Dataset
from xaibench.types import Data, Split
from xaibench.registry import register

NAMES = ("left", "right")


class Bright(Split):
    """Noise with a square on either side; a label says how bright it is, NaN where unknown."""

    def __init__(self, name, count, labels):
        rng = np.random.default_rng(len(name))
        values = rng.integers(0, 3, (count, 2)) / 2
        self._images = rng.uniform(0.2, 0.3, (count, 16, 16, 1)).astype(np.float32)
        self._images[:, 4:12, 2:6, 0] += 0.5 * values[:, :1, None]
        self._images[:, 4:12, 10:14, 0] += 0.5 * values[:, 1:, None]
        values[::7, 1] = np.nan
        self._columns = [NAMES.index(label) for label in labels]
        self.labels = values[:, self._columns].astype(np.float32)
        self.ids = np.array([f"{name}_{i:03d}" for i in range(count)])
        self.groups = self.ids

    def images(self, indices):
        return self._images[indices]

    def masks(self, indices, targets):
        mask = np.zeros((len(indices), 16, 16), bool)
        for row, target in enumerate(targets):
            at = 2 + 8 * self._columns[target]
            mask[row, 4:12, at : at + 4] = True
        return {"evidence": mask}


@register("dataset")
@dataclass(frozen=True)
class Squares(Dataset):
    """Two squares."""

    labels: tuple[str, ...] = NAMES

    def open(self, *, seed, cache, progress):
        sizes = {"train": 48, "valid": 16, "test": 16}
        splits = {name: Bright(name, count, self.labels) for name, count in sizes.items()}
        return Data("squares_synthetic", "regression", tuple(self.labels), 1, (16, 16), splits, "x")
'''
NET = '''
from dataclasses import dataclass

from torch import nn

from xaibench.models.base import Classifier, Model, head_for
from xaibench.registry import register


@register("model")
@dataclass(frozen=True)
class SmallNet(Model):
    """A convolution."""

    width: int = 4

    def build(self, *, task, classes, channels, size):
        net = nn.Sequential()
        net.add_module("last", nn.Conv2d(channels, self.width, 3, padding=1))
        net.add_module("act", nn.ReLU())
        net.add_module("pool", nn.AdaptiveAvgPool2d(2))
        net.add_module("flat", nn.Flatten())
        net.add_module("head", nn.Linear(4 * self.width, len(classes)))
        return Classifier(
            net, head=head_for(task, False), classes=classes, mean=(0.5,), std=(0.2,),
            cam_layer="last", linear_head="head", pool=None, input_shape=(channels, *size),
        )
'''
CONFIG = """
name: squares
device: cpu
target: label
model_per_label: true
submission: {columns: [right, left], id_column: Path, low: -1, high: 1}
images_per_block: 4
plugins: [PLUGINS]
dataset: {use: squares}
model: {use: small_net}
training: {epochs: 10, batch_size: 8, learning_rate: 0.05, monitor: loss, patience: 9}
segments: {n_segments: 4}
explainers: {random: , square_occlusion: {window: 4, stride: 4}}
metrics: {deletion: {steps: 4}, mass_accuracy: }
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "squares.py").write_text(DATA)
    (folder / "small_net.py").write_text(NET)
    plugins = f"{folder / 'squares.py'}, {folder / 'small_net.py'}"
    (folder / "squares.yaml").write_text(CONFIG.replace("PLUGINS", plugins))
    return folder


@pytest.fixture(scope="module")
def done(lab) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        for slow in ("draw_all", "write_page"):
            patch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)
        return run(load_config(lab / "squares.yaml"), lab / "out", QUIET)


def test_one_label_alone_is_a_column_of_the_whole():
    class Pair(Split):
        def __init__(self):
            self.ids = self.groups = np.array(["a", "b"])
            self.labels = np.array([[0.0, 1.0], [np.nan, 0.5]], np.float32)

        def images(self, indices):
            return np.zeros((len(indices), 2, 2, 1)) + indices[:, None, None, None]

        def masks(self, indices, targets):
            return {"evidence": np.broadcast_to(targets[:, None, None] == 1, (len(indices), 2, 2))}

    whole = Data("pair", "regression", ("x", "y"), 1, (2, 2), {"test": Pair()}, "sum")
    for at, label in enumerate(("x", "y")):
        alone = one_label(whole, label)
        split = alone.splits["test"]
        assert alone.classes == (label,)
        np.testing.assert_array_equal(split.labels, whole.splits["test"].labels[:, at : at + 1])
        assert split.images(np.array([1])).max() == 1
        assert split.masks(np.array([0]), np.array([0]))["evidence"].all() == (label == "y")


def test_each_label_has_the_model_that_it_would_have_alone(lab, done, monkeypatch):
    for slow in ("draw_all", "write_page"):
        monkeypatch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)
    both = pd.read_parquet(done / "predictions.parquet").drop_duplicates("image")
    scores = pd.read_parquet(done / "scores.parquet")
    for label in ("left", "right"):
        words = [f"dataset.labels=[{label}]", "submission=null", f"name={label}"]
        folder = run(load_config(lab / "squares.yaml", words), lab / "out", QUIET)
        alone = pd.read_parquet(folder / "predictions.parquet").drop_duplicates("image")
        np.testing.assert_array_equal(both[f"p_{label}"], alone[f"p_{label}"])
        its = pd.read_parquet(folder / "scores.parquet")
        keys = ["image", "explainer", "metric", "target", "value"]
        mine = scores.loc[scores["target"] == label, keys].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, its[keys].reset_index(drop=True))


def test_tables_and_maps_hold_every_label(done):
    scores = pd.read_parquet(done / "scores.parquet")
    assert set(scores["target"]) == {"left", "right"}
    found = scores[scores["explainer"] == "square_occlusion"].pivot_table(
        index="target", columns="metric", values="value"
    )
    # The square takes an eighth of the picture, and its own model looks there.
    assert (found["mass_accuracy@evidence"] > 2 / 8).all()
    log = pd.read_csv(done / "training_log.csv")
    assert list(log.groupby("label", sort=False).size().items()) == [("left", 10), ("right", 10)]


def test_the_submission_has_the_challenges_order_and_scale(done):
    table = pd.read_csv(done / "submission.csv")
    predictions = pd.read_parquet(done / "predictions.parquet").drop_duplicates("image")
    assert list(table.columns) == ["Path", "right", "left"]
    assert list(table["Path"]) == list(predictions["image"])
    for label in ("left", "right"):
        literal = [-1 + 2 * min(max(p, 0), 1) for p in predictions[f"p_{label}"]]
        np.testing.assert_allclose(table[label], literal, atol=1e-12)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["submission.columns=[rigth]"], "no output 'rigth'; allowed: left, right"),
        (["submission={low: 2, high: 1}"], "low 2.0 must be below high 1.0"),
    ],
)
def test_a_mistaken_submission_is_told(lab, words, message):
    with pytest.raises(UserError, match=message):
        run(load_config(lab / "squares.yaml", words), lab / "told", QUIET)


def test_each_label_is_compared_with_models_of_its_own_made_once(lab, monkeypatch):
    """Several blocks a label: two cascades, two twins; and each value has its direction."""
    asked = []
    for slow in ("draw_all", "write_page"):
        monkeypatch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)
    for metric in (WeightRandomisation, LabelRandomisation):

        def noted(self, model, twin, seed, others=metric.others):
            asked.append((self.name, model, twin, seed))
            return others(self, model, twin, seed)

        monkeypatch.setattr(metric, "others", noted)
    words = [
        "metrics={deletion: {steps: 2}, weight_randomisation: {stages: 2}, label_randomisation: }",
        "explainers={random: {draws: 2}, edge: , square_occlusion: {window: 4, stride: 4}}",
        "training.epochs=1",
    ]
    folder = run(load_config(lab / "squares.yaml", words), lab / "compared", QUIET)
    assert [name for name, *_ in asked] == ["weight_randomisation", "label_randomisation"] * 2
    assert len({id(model) for _, model, _, _ in asked}) == 2
    assert len({id(twin) for _, _, twin, _ in asked}) == 2
    assert {seed for *_, seed in asked} == {load_config(lab / "squares.yaml").seed}
    scores = pd.read_parquet(folder / "scores.parquet").dropna(subset="explainer")
    directions = scores.groupby("metric")["higher_is_better"].agg(lambda v: set(v.tolist()))
    assert directions["weight_randomisation@ssim"] == {False}
    assert directions["weight_randomisation@ssim_control"] == {None}
    assert directions["weight_randomisation@entropy_rise"] == {True}
    assert directions["label_randomisation@spearman"] == {False}
    blind = scores[scores["explainer"].isin(["random", "edge"])]
    for metric in ("weight_randomisation@spearman", "label_randomisation@ssim"):
        values = blind.loc[blind["metric"] == metric, "value"]
        assert values.to_numpy() == pytest.approx(1.0, abs=1e-12)
    timings = pd.read_parquet(folder / "timings.parquet")
    assert timings["block"].nunique() > 2  # so that models could have been made anew


@pytest.mark.parametrize(("metric", "asks"), [("weight_", False), ("label_", True)])
def test_a_twin_is_trained_for_a_metric_that_asks_for_it(lab, monkeypatch, metric, asks):
    words = [f"metrics={{deletion: , {metric}randomisation: }}"]
    config = load_config(lab / "squares.yaml", words)
    trained = []
    monkeypatch.setattr(fitting, "trained_model", lambda *its: trained.append(its) or (None, None))
    data = config.dataset.open(seed=0, cache=lab, progress=QUIET)
    place = fitting.Workplace(torch.device("cpu"), lab, QUIET)
    assert fitting.twin_model(config, fitting.Lesson(None, data, 0), place) is None
    assert [its[1].shuffle_labels for its in trained] == [True] * asks


def test_a_model_per_label_needs_several_labels(tmp_path):
    tiny = Path(__file__).resolve().parents[2] / "configs" / "tiny.yaml"
    from test_run import SIZES

    counts = ", ".join(f"{name}: {size}" for name, size in SIZES.items())
    words = ["model_per_label=true", f"dataset.synthetic={{root: {tmp_path / 'd'}, {counts}}}"]
    with pytest.raises(UserError, match=r"one label an image \(binary\)"):
        run(load_config(tiny, words), tmp_path, QUIET)


def test_grid_points_are_every_combination():
    points = grid_points(["training.learning_rate=[0.1, 0.01]", "model.width=[2, 4, 8]"])
    assert len(points) == 6
    assert points[1] == {"training.learning_rate": 0.1, "model.width": 4}
    assert grid_points([]) == [{}]
    assert settings({"a.b": [1, None], "c": 0.5}) == ["a.b=[1, null]", "c=0.5"]


@pytest.mark.parametrize(
    "axis", ["model.width", "model.width=3", "model.width=[]", "a=[1", "a=[1]"]
)
def test_a_mistaken_axis_is_told(axis):
    with pytest.raises(UserError, match=r"must read a.b=\[value, value\], each key once"):
        grid_points([axis, axis])


def test_a_search_keeps_its_table_and_goes_on(lab, monkeypatch):
    points = grid_points(["model.width=[1, 4]"])
    arguments = (lab / "squares.yaml", ["training.epochs=1"], points, lab / "grid", QUIET)
    import xaibench.runs.grid as module

    real, seen = module._train, []

    def stopped(config, out, progress):
        if seen:
            raise KeyboardInterrupt
        seen.append(config.model.width)
        return real(config, out, progress)

    monkeypatch.setattr(module, "_train", stopped)
    with pytest.raises(KeyboardInterrupt):
        search(*arguments)
    kept = pd.read_csv(lab / "grid" / "squares" / "grid.csv")
    assert list(kept["label"]) == ["left", "right"]
    assert list(kept["trained_steps"]) == [6, 6]
    monkeypatch.setattr(module, "_train", real)
    table, file = search(*arguments)
    assert list(table["model.width"]) == [1, 1, 4, 4]
    assert list(table["trained_steps"]) == [0, 0, 6, 6]
    np.testing.assert_array_equal(table["best_value"][:2], kept["best_value"])
    assert len(pd.read_csv(file)) == 4


def test_the_best_point_is_the_best_mean_over_labels():
    points = [{"a": 1}, {"a": 2}, {"a": 3}]
    table = pd.DataFrame({"a": [1, 1, 2, 2, 3, 3], "best_value": [0.1, 0.9, 0.4, 0.4, 0.0, np.nan]})
    assert best_point(table, points, "loss") == {"a": 2}
    assert best_point(table, points, "auroc") == {"a": 1}
    assert best_point(table, [{}], "loss") == {}


def test_the_command_says_which_point_is_best(lab, capsys, monkeypatch):
    words = ["train", str(lab / "squares.yaml"), "--set", "training.epochs=1", "--out"]
    command = ["xaibench", *words, str(lab / "grid"), "--grid", "model.width=[1, 4]"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    said = capsys.readouterr().out
    assert "Best validation loss (mean over labels): --set 'model.width=" in said
    assert "grid.csv" in said
