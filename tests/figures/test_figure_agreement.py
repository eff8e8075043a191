"""Agreement against scipy's own rank correlation and a literal IoU, one image at a time."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from scipy.stats import spearmanr

from xaibench.figures.agreement import _top, agreement, draw


def pair(table, first, second):
    return table.set_index(["first", "second"]).loc[(first, second)]


def literal_iou(a, b, k):
    top = [set(np.argsort(-m.ravel())[:k].tolist()) for m in (a, b)]
    return len(top[0] & top[1]) / len(top[0] | top[1])


@pytest.fixture
def untied():
    rng = np.random.default_rng(4)
    base = rng.random((5, 9, 7))
    return {"a": base, "b": base + 0.5 * rng.random((5, 9, 7)), "c": -base}


def test_it_is_its_literal_twin(untied):
    table = agreement(untied)
    for first, second in [("a", "b"), ("b", "c"), ("a", "c")]:
        row = pair(table, first, second)
        images = list(zip(untied[first], untied[second], strict=True))
        rho = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in images]
        assert row["spearman"] == pytest.approx(np.mean(rho))
        assert row["iou"] == pytest.approx(np.mean([literal_iou(x, y, 6) for x, y in images]))
    assert pair(table, "a", "c")["spearman"] == pytest.approx(-1)


def test_ties_have_scipys_ranks():
    rng = np.random.default_rng(0)
    maps = {"a": rng.integers(0, 4, (3, 6, 6)), "b": rng.integers(0, 3, (3, 6, 6))}
    rho = [spearmanr(maps["a"][i].ravel(), maps["b"][i].ravel()).statistic for i in range(3)]
    assert pair(agreement(maps), "a", "b")["spearman"] == pytest.approx(np.mean(rho))


def test_a_map_agrees_with_itself(untied):
    table = agreement(untied)
    same = table[table["first"] == table["second"]]
    assert same["spearman"].to_numpy() == pytest.approx(1)
    assert (same["iou"] == 1).all()


def test_constant_maps_agree_by_chance_alone():
    maps = {"a": np.zeros((40, 20, 20)), "b": np.zeros((40, 20, 20))}
    row = pair(agreement(maps), "a", "b")
    assert np.isnan(row["spearman"])
    assert row["n_spearman"] == 0
    assert row["iou"] == pytest.approx(0.1 / 1.9, abs=0.02)


def test_failed_maps_are_left_out_and_counted(untied):
    untied["b"][2, 0, 0] = np.nan
    row = pair(agreement(untied), "a", "b")
    left = {name: np.delete(m, 2, axis=0) for name, m in untied.items()}
    assert (row["n_spearman"], row["n_iou"]) == (4, 4)
    assert row["spearman"] == pytest.approx(pair(agreement(left), "a", "b")["spearman"])


def test_a_pair_does_not_depend_on_the_others():
    maps = {
        name: np.random.default_rng(i).integers(0, 3, (4, 8, 8)) for i, name in enumerate("abc")
    }
    all_three = pair(agreement(maps), "a", "c")
    only_two = pair(agreement({"c": maps["c"], "a": maps["a"]}), "c", "a")
    assert all_three["iou"] == only_two["iou"]
    assert all_three["spearman"] == pytest.approx(only_two["spearman"])


def test_figure(maps, legible):
    figure = draw(agreement(maps), "pcam_synthetic (generated)", controls=["random"])
    left, right = figure.axes[:2]
    assert left.get_title() == "Spearman rank correlation"
    assert right.get_title() == "IoU of the top 10 % of pixels"
    assert len(left.texts) == len(right.texts) == 16
    assert left.texts[0].get_text() == "1.00"
    assert left.get_yticklabels()[0].get_text().startswith("random (control)")
    assert "pcam_synthetic (generated)" in figure.get_suptitle()
    assert "4 to 6 images" in figure.get_suptitle()
    legible(figure)


def test_many_explainers_stand_below_each_other(legible):
    maps = {f"explainer_{i:02d}": np.random.default_rng(i).random((1, 5, 5)) for i in range(12)}
    figure = draw(agreement(maps), "nih_chestxray14")
    assert figure.get_figheight() > figure.get_figwidth()
    legible(figure)


@pytest.mark.parametrize("count", [24, 25])
def test_cells_of_more_than_24_explainers_hold_no_figures(count, legible):
    rng = np.random.default_rng(0)
    maps = {f"family.explainer_{i:02d}": rng.random((1, 5, 5)) for i in range(count)}
    figure = draw(agreement(maps), "pcam")
    assert len(figure.axes[0].texts) == (count**2 if count == 24 else 0)
    if count == 25:
        legible(figure)
        numbers = [label.get_text() for label in figure.axes[0].get_xticklabels()]
        assert numbers == ["5", "10", "15", "20", "25"]
        assert len(figure.axes[0].get_yticklabels()) == count


def test_ties_at_the_edge_of_the_top_are_drawn_as_a_full_sort_would_draw_them():
    rng = np.random.default_rng(3)
    values = np.stack([rng.integers(0, levels, 200) for levels in (1, 3, 12, 5000)]).astype(float)
    names = ["a", "b", "c", "d"]
    chosen = _top(values, names, seed=1, image=7)
    for row, name in enumerate(names):
        draws = np.random.default_rng([1, 7, zlib.crc32(name.encode())]).random(200)
        whole = np.lexsort((draws, values[row]))
        assert set(np.flatnonzero(chosen[row])) == set(whole[-20:])


def test_only_the_first_images_count():
    maps = {name: np.random.default_rng(i).random((130, 4, 4)) for i, name in enumerate("ab")}
    row = pair(agreement(maps), "a", "b")
    assert row["n_iou"] == 128
    first = {name: values[:128] for name, values in maps.items()}
    assert row["spearman"] == pair(agreement(first), "a", "b")["spearman"]
