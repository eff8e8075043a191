"""The five panels of superpixel occlusion: what each of them shows."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from skimage.segmentation import find_boundaries

from xaibench.figures import superpixels
from xaibench.leaderboards.board import ScoredRun

N, SIDE, CELL = 2, 16, 4
SEGMENTS = np.kron(np.arange(16).reshape(4, 4), np.ones((CELL, CELL), int)).astype("int32")
DROPS = np.linspace(0.4, -0.2, 16)[np.random.default_rng(0).permutation(16)].astype("float32")
X = np.linspace(0, 1, 17)
CURVES = {"morf": (X, X**0.5), "lerf": (X, X**2)}


@pytest.fixture
def shown(predictions):
    return predictions.iloc[:N].assign(truth=predictions["label"])


@pytest.fixture
def arrays():
    images = np.random.default_rng(0).integers(0, 255, (N, SIDE, SIDE, 3), dtype="uint8")
    return images, np.stack([SEGMENTS] * N), np.stack([DROPS[SEGMENTS]] * N)


def rows(figure):
    return np.array(figure.axes, dtype=object).reshape(-1, 5)


def test_each_panel_shows_its_part(arrays, shown, legible):
    figure = superpixels.draw(*arrays, shown, [CURVES] * N, dataset="cxr_synthetic (generated)")
    image, borders, heat, bars, curve = rows(figure)[0]
    assert np.array_equal(image.images[0].get_array(), arrays[0][0] / 255)
    assert image.texts[0].get_text() == "test_0: true metastasis, p(metastasis) = 0.90"
    edge = find_boundaries(SEGMENTS, mode="inner")
    drawn = np.asarray(borders.images[0].get_array())
    assert np.array_equal(drawn[~edge], (arrays[0][0] / 255)[~edge])
    assert np.array_equal(np.unique(drawn[edge], axis=0), [[1.0, 0.85, 0.0]])
    order = np.argsort(-DROPS)
    for place, text in enumerate(borders.texts):
        x, y = text.get_position()
        assert text.get_text() == str(place + 1)
        assert SEGMENTS[round(y), round(x)] == order[place]
    relevance = np.clip(DROPS, 0, None)[SEGMENTS]
    assert np.asarray(heat.images[-1].get_array()) == pytest.approx(relevance)
    assert heat.images[-1].get_clim() == pytest.approx((0, np.percentile(relevance, 99)))
    assert [bar.get_height() for bar in bars.patches] == pytest.approx(sorted(DROPS, reverse=True))
    assert bars.get_xlabel() == f"place; 1–3: {order[0]}, {order[1]}, {order[2]}"
    for line, (x, y) in zip(curve.lines, CURVES.values(), strict=False):
        assert np.array_equal(line.get_xydata(), np.stack([x, y], 1))
    assert [ax.get_title() for ax in rows(figure)[0]] == superpixels.HEADS
    assert "cxr_synthetic (generated)" in figure.get_suptitle()
    legible(figure)


def test_only_the_largest_drops_have_bars(shown):
    segments = np.arange(256).reshape(1, 16, 16)
    maps = np.random.default_rng(0).random((1, 16, 16)).astype("float32")
    figure = superpixels.draw(maps[..., None], segments, maps, shown.head(1), [{}])
    heights = [bar.get_height() for bar in rows(figure)[0, 3].patches]
    assert heights == pytest.approx(np.sort(maps.ravel())[::-1][:20])


def test_a_map_by_area_is_shown_as_a_drop(arrays, shown):
    images, segments, maps = arrays
    per_cent = 100 / 16
    by_area = superpixels.draw(images, segments, maps / per_cent, shown, [{}] * N, "drop_per_area")
    heights = [bar.get_height() for bar in rows(by_area)[0, 3].patches]
    assert heights == pytest.approx(sorted(DROPS, reverse=True), rel=1e-5)


def test_what_is_missing_is_said(arrays, shown, legible):
    images, segments, maps = arrays
    maps = np.stack([np.full_like(maps[0], np.nan), np.minimum(maps[1], -0.1)])
    grey = images.mean(-1, keepdims=True).astype("uint8")
    figure = superpixels.draw(grey, segments, maps, shown, [{}, {}])
    said = [[text.get_text() for text in ax.texts] for ax in rows(figure)[0]]
    assert said[2:] == [["failed"], ["failed"], ["no cumulative_drop\nin this run"]]
    assert rows(figure)[1, 2].get_xlabel() == "no drop above 0"
    legible(figure)


@pytest.fixture
def run(finished_run):
    """The fabricated run, its superpixel occlusion said in the manifest, with segments."""
    use = {"use": "superpixel_occlusion", "measure": "drop"}
    manifest = {"dataset": {"name": "toy"}, "explainers": {"superpixel_occlusion": use}}
    (finished_run / "manifest.json").write_text(json.dumps(manifest))
    with h5py.File(finished_run / "maps.h5", "a") as file:
        file["segments"] = np.stack([SEGMENTS] * 6)
        file["maps/superpixel_occlusion"][:] = np.stack(
            [DROPS[SEGMENTS] * (i + 1) for i in range(6)]
        )
    return ScoredRun(finished_run)


def test_of_a_run_each_image_has_its_own_map_and_curves(run, monkeypatch):
    monkeypatch.setattr("xaibench.figures.choice.representative", lambda rows: rows.iloc[[0, 4]])
    ((name, figure),) = superpixels.of_run(run)
    assert name == "superpixels"
    grid = rows(figure)
    assert grid.shape == (2, 5)
    tallest = [max(bar.get_height() for bar in row[3].patches) for row in grid]
    assert tallest == pytest.approx([DROPS.max(), 5 * DROPS.max()])
    # test_0 and test_4 are explained for the class whose curves the run holds
    assert [len(row[4].lines[0].get_xdata()) for row in grid] == [10, 14]


def test_a_run_without_it_has_no_such_figure(run):
    occlusion = run.manifest["explainers"]
    run.manifest["explainers"] = {"cam": {"use": "cam"}}
    assert list(superpixels.of_run(run)) == []
    run.manifest["explainers"] = occlusion
    (run.folder / "maps.h5").unlink()
    assert list(superpixels.of_run(run)) == []


def test_two_of_them_have_a_figure_each(run, monkeypatch):
    monkeypatch.setattr("xaibench.figures.choice.representative", lambda rows: rows.iloc[:1])
    use = {"use": "superpixel_occlusion", "measure": "drop"}
    run.manifest["explainers"] = {"superpixel_occlusion": use, "grad_cam": use}
    names = [name for name, _ in superpixels.of_run(run)]
    assert names == ["superpixels_superpixel_occlusion", "superpixels_grad_cam"]
