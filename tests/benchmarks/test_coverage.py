"""A short version of the benchmark of coverage: what a few tables show, and its own parts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.coverage import (
    EXPLAINERS,
    GRADED,
    KINDS,
    NONE,
    Setting,
    draw,
    main,
    settings,
    study,
    truth,
    truths,
)

TABLES = 100


def least(share: float) -> float:
    """Return what so many tables may show of a share by chance: three standard errors less."""
    return share - 3 * np.sqrt(share * (1 - share) / TABLES)


@pytest.mark.parametrize(
    "setting",
    [Setting("normal", 8), Setting("bounded", 16, equal=False), Setting("ties", 16)],
    ids=str,
)
def test_intervals_hold_marks_are_true_and_images_are_no_patients(setting):
    found = study(setting, TABLES)
    assert found["means"] > least(0.95)
    for what in ("control", "pairs", "ranks"):
        assert found[what] > least(0.95)
    assert found["false_marks"] < 1 - least(0.95)
    assert found["tested"] == 1
    # Eight explainers a table: far more than chance.
    if setting.kind != "ties":
        assert found["naive_means"] < 0.92
    assert found["naive_false_marks"] > 0.1


def test_three_models_are_not_three_times_the_images():
    found = study(Setting("normal", 16, seeds=3), TABLES)
    assert found["means"] > least(0.95)
    assert found["false_marks"] < 1 - least(0.95)
    assert found["naive_means"] < 0.8
    assert found["naive_false_marks"] > 0.4


def test_a_difference_of_a_standard_deviation_is_found_with_40_groups():
    assert study(Setting("normal", 40), 40)["found"] > 0.9


def test_four_groups_are_refused():
    found = study(Setting("skewed", 4), 5)
    assert found["tested"] == 0
    assert found["means_given"] == 0
    assert np.isnan([found[w] for w in ("means", "pairs", "ranks", "false_marks")]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_the_mean_of_many(kind):
    setting = Setting(kind, 4000)
    rows = draw(setting, GRADED, np.random.default_rng(0), these=False)
    assert np.isnan(rows.values).mean() == pytest.approx(0.2 * (kind == "missing"), abs=0.01)
    np.testing.assert_allclose(
        np.nanmean(rows.values, axis=0), truths(setting, GRADED, these=False), atol=0.05
    )
    assert rows.values.shape == (12_000, len(EXPLAINERS))


def test_the_truth_of_some_models_and_of_all():
    setting = Setting("bounded", 3000, seeds=3)
    rng = np.random.default_rng(1)
    rows = draw(setting, NONE, rng, these=True)
    np.testing.assert_allclose(
        rows.values.mean(axis=0), truths(setting, NONE, these=True), atol=0.015
    )
    means = [
        draw(Setting("bounded", 40, seeds=3), NONE, rng, these=False).values.mean()
        for _ in range(60)
    ]
    assert np.mean(means) == pytest.approx(truths(setting, NONE, these=False)[0], abs=0.01)
    assert truth("skewed", 0.0) == pytest.approx(1.0, abs=1e-3)
    assert truth("bounded", 0.0) == pytest.approx(0.2, abs=1e-4)
    assert truth("ties", 0.0) == pytest.approx(0.8)


def test_images_of_a_group_are_alike():
    rows = draw(Setting("normal", 3000), NONE, np.random.default_rng(2), these=False)
    first, second = rows.values[::3].ravel(), rows.values[1::3].ravel()
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.3, abs=0.02)


def test_a_file_and_a_table_are_written(tmp_path, capsys):
    main(["--tables", "3", "--kinds", "normal", "--groups", "4", "8", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "coverage.json").read_text())["coverage"]["rows"]
    assert len(rows) == len(settings(["normal"], [4, 8])) == 8
    text = (tmp_path / "coverage.md").read_text()
    assert text.count("\n") == 10
    assert "refused" in text
    assert "8 of 8" in capsys.readouterr().out
