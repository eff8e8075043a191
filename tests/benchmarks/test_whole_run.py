"""The command for whole runs: sums, orders, and the flow at sizes that mean nothing."""

from __future__ import annotations

import json

import pytest

from benchmarks import half_precision, whole, whole_run
from benchmarks.whole import CellCost


def test_the_ratio_is_of_sums():
    costs = [CellCost("a", 2.0, 1.0, 10, 0), CellCost("b", 10.0, 9.0, 90, 30)]
    section = whole.summary(costs, 2, "toy")
    assert section["times_limit"] == 12 / 10
    assert "| all | 6 | 50 + 15 | 1.20 |" in section["table"]
    assert "| a | 1 | 5 + 0 | 2.00 |" in section["table"]


def test_cells_without_a_pass_have_no_ratio():
    costs = [CellCost("none", 1.0, 0.0, 0, 0), CellCost("some", 2.0, 1.0, 4, 0)]
    table = whole.summary(costs, 1, "toy")["table"]
    assert "| none | 1 | 0 + 0 | – |" in table


def test_change_is_the_mean_of_absolute_changes():
    areas = {
        "deletion": {"a": [[0.1, 0.3], [0.2, 0.2]], "b": [[0.5, 0.5], [0.5, 0.5]]},
        "insertion": {"a": [[0.4, 0.4], [0.6, 0.6]], "b": [[0.5, 0.5], [0.5, 0.5]]},
    }
    section = half_precision.summary(areas, "toy")
    assert section["deletion"]["mean_change"] == pytest.approx({"a": 0.1, "b": 0.0})
    assert section["deletion"]["same"]
    assert section["insertion"]["orders"] == [["a", "b"], ["b", "a"]]
    assert not section["insertion"]["same"]
    assert "CHANGES" in section["table"]
    assert "change of deletion 5.0e-02, insertion 1.0e-01;" in section["table"]
    assert "| insertion | a | 0.4000 | 0.6000 | 2.0e-01 | 1 → 2 |" in section["table"]


def run(tmp_path, part, monkeypatch):
    monkeypatch.setenv("XAIBENCH_DATA", str(tmp_path / "none"))
    said = ["--quick", "--threads", "1", "--out", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert whole_run.main([*said, "--parts", part]) == 0
    (path,) = tmp_path.glob("*.json")
    return json.loads(path.read_text())[part]


@pytest.mark.slow
def test_limit(tmp_path, monkeypatch, capsys):
    section = run(tmp_path, "limit", monkeypatch)
    assert section["table"] in capsys.readouterr().out
    names = [name for cell in section["cells"] for name in cell["explainers"].split(", ")]
    assert len(names) == 8
    assert all(cell["seconds"] > 0 for cell in section["cells"])
    # Two curves of 7 inner steps for each of 8 maps of each of 2 images, at the least.
    assert sum(cell["forward_passes"] for cell in section["cells"]) > 2 * 8 * 2 * 7
    assert section["times_limit"] > 0


@pytest.mark.slow
def test_scaling(tmp_path, monkeypatch):
    section = run(tmp_path, "scaling", monkeypatch)
    found = {(r["axis"], r[r["axis"]]): r for r in section["runs"]}
    # Whole images and those with nothing left are shared by a block's explainers.
    assert {key: r["passes"] for key, r in found.items()} == {
        ("images", 2): 2 * 7,
        ("images", 4): 4 * 7,
        ("steps", 16): 2 * 15,
        ("explainers", 2): 2 * 2 * 7,
        ("pixels", 48): 2 * 7,
    }
    assert all(r["seconds"] > 0 and r["limit"] > 0 and r["peak_bytes"] > 0 for r in found.values())
    assert section["table"].count("\n| ") == 2 + len(found)


@pytest.mark.slow
def test_half_precision(tmp_path, monkeypatch):
    section = run(tmp_path, "bf16", monkeypatch)
    for part in (section["scores"], section["maps_and_scores"]):
        assert "pcam_synthetic" in part["about"]
        assert "from random weights" in part["about"]
        for metric in ("deletion", "insertion"):
            assert len(part[metric]["mean_change"]) == 8
    # The control's map knows no precision; its score does.
    changes = [section[p]["deletion"]["mean_change"] for p in ("scores", "maps_and_scores")]
    assert changes[0]["random"] == changes[1]["random"] < 0.1
