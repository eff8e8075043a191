"""Figures of occlusion probes: what is painted, what is said, and the mean drops."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from xaibench.figures import probes
from xaibench.figures.draw import draw_all
from xaibench.imaging.regions import probe_mask, probe_names
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.probe_table import probe_table
from xaibench.progress import SilentProgress

N, SIDE = 3, 16
NAMES = probe_names(True, (4, 10), (0.25, 0.5), (0.1,))
MEAN = np.array([0.2, 0.4, 0.6])


@pytest.fixture
def shown(predictions):
    return predictions.iloc[:N].assign(truth=predictions["label"])


@pytest.fixture
def drops():
    values = np.random.default_rng(0).normal(0, 0.2, (N, len(NAMES)))
    values[1, 2] = np.nan
    return pd.DataFrame(values, columns=NAMES)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 255, (N, SIDE, SIDE, 3), dtype="uint8")


def cells(figure):
    return np.array(figure.axes, dtype=object).reshape(N, 1 + len(NAMES))


def test_the_fill_is_painted_and_the_drop_is_said(images, drops, shown, legible):
    figure = probes.draw(images, drops, shown, "dataset_mean", MEAN, "cxr_synthetic (generated)")
    grid = cells(figure)
    for row in range(N):
        assert np.array_equal(grid[row, 0].images[0].get_array(), images[row] / 255)
        for ax, name in zip(grid[row, 1:], NAMES, strict=True):
            painted, mask = np.asarray(ax.images[0].get_array()), probe_mask(name, SIDE, SIDE)
            assert painted[mask] == pytest.approx(np.tile(MEAN, (mask.sum(), 1)))
            assert np.array_equal(painted[~mask], images[row][~mask] / 255)
            drop = drops.loc[row, name]
            said = f"{drop:+.3f}".replace("-", "−") if np.isfinite(drop) else "no value"
            assert ax.get_xlabel() == said
    assert grid[1, 3].get_xlabel() == "no value"
    heads = [ax.get_title().replace("\n", " ").replace("  ", " ").strip() for ax in grid[0]]
    assert heads[0] == "image"
    assert heads[5:7] == ["square 4px", "square 10px"]  # side by side
    assert "cxr_synthetic (generated)" in figure.get_suptitle()
    legible(figure)


@pytest.mark.parametrize("fill", ["image_mean", 0.5])
def test_grey_images_are_painted_too(drops, shown, fill, legible):
    grey = np.random.default_rng(1).random((N, SIDE, SIDE, 1)).astype("float32")
    figure = probes.draw(grey, drops, shown, fill, np.array([0.5]), "cxr")
    wanted = 0.5 if fill == 0.5 else grey[0].mean()
    painted = np.asarray(cells(figure)[0, 1].images[0].get_array())
    assert painted[0, 0] == pytest.approx([wanted] * 3, abs=1e-6)
    legible(figure)


@pytest.fixture
def scored_run(finished_run, scores, predictions, drops):
    """The fabricated run with two probes of each of its images; one image of them failed."""
    rows = scores[scores["explainer"].eq("random") & scores["metric"].eq("deletion")]
    rows = rows.assign(
        target=predictions["target"].to_numpy(), label=predictions["label"].to_numpy()
    )
    params = json.dumps({"use": "occlusion_probe", "fill": 0.5})
    rows = rows.assign(explainer=None, control=None, params=params)
    parts = [rows.assign(metric=f"mine@{name}", protocol=name) for name in NAMES[-2:]]
    pd.concat([scores, *parts]).to_parquet(finished_run / "scores.parquet")
    with h5py.File(finished_run / "maps.h5", "a") as file:
        file["dataset_mean"] = MEAN
    return ScoredRun(finished_run)


def test_of_a_run_there_are_images_and_a_summary(scored_run, monkeypatch):
    monkeypatch.setattr("xaibench.figures.choice.representative", lambda rows: rows.iloc[[0, 4]])
    figures = dict(probes.of_run(scored_run))
    assert list(figures) == ["probes_summary", "probes"]
    axes = figures["probes"].axes
    assert len(axes) == 2 * 3
    rows = scored_run.scores.set_index(["metric", "image"])["value"]
    for row, image in enumerate(("test_0", "test_4")):
        said = [ax.get_xlabel() for ax in axes[3 * row : 3 * row + 3]]
        wanted = [rows[f"mine@{name}", image] for name in NAMES[-2:]]
        assert said == ["", *(f"{value:+.3f}" for value in wanted)]


def test_without_maps_there_is_the_summary_alone(scored_run):
    (scored_run.folder / "maps.h5").unlink()
    assert [name for name, _ in probes.of_run(scored_run)] == ["probes_summary"]


def test_a_run_without_probes_has_no_such_figure(finished_run):
    assert list(probes.of_run(ScoredRun(finished_run))) == []


def test_many_probes_go_on_in_another_figure(scored_run, monkeypatch):
    monkeypatch.setattr(probes, "ABREAST", 1)
    monkeypatch.setattr("xaibench.figures.choice.representative", lambda rows: rows.iloc[:1])
    names = [name for name, _ in probes.of_run(scored_run)]
    assert names == ["probes_summary", "probes", "probes_2"]


def test_all_figures_of_a_run_hold_the_probes(scored_run, monkeypatch):
    no_file = lambda figure, folder, name, formats: [folder / name]
    monkeypatch.setattr("xaibench.figures.draw.save", no_file)
    monkeypatch.setattr("xaibench.figures.choice.representative", lambda rows: rows.iloc[[0, 2]])
    names = [path.name for path in draw_all(scored_run, SilentProgress())]
    assert {"probes", "probes_summary"} <= set(names)


def test_the_summary_has_a_dot_a_probe_and_label(scored_run, legible):
    table = probe_table(scored_run.scores)
    figure = probes.summary(table, "cxr_synthetic (generated)")
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["square 0.5", "ring 0.1"]
    dots = [line for line in ax.lines if line.get_marker() not in ("None", "")]
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["all (n=6)", "metastasis (n=3)", "normal (n=3)"]
    means = table.set_index(["label", "metric"])["mean"]
    for dot, label in zip(dots, ("all", "metastasis", "normal"), strict=True):
        wanted = [means[label, f"mine@{name}"] for name in NAMES[-2:]]
        assert dot.get_xdata() == pytest.approx(wanted)
    legible(figure)


def test_a_single_label_is_not_told_twice(scored_run, legible):
    scores = scored_run.scores.assign(label="metastasis")
    figure = probes.summary(probe_table(scores), "cxr")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["all (n=6)"]
    legible(figure)


def test_fourteen_labels_are_legible(scored_run, legible):
    labels = [f"A_long_finding_{i}" for i in range(14)]
    scores = pd.concat([scored_run.scores.assign(label=label) for label in labels])
    legible(probes.summary(probe_table(scores), "cxr"))
