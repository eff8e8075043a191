"""The command that times and compares peers, at sizes that mean nothing."""

from __future__ import annotations

import importlib.util
import json

import pytest

from benchmarks import peers
from benchmarks.method import HALF
from benchmarks.methods import METHODS
from benchmarks.sizes import QUICK, SIZES, brief

TOLERANCE = 1e-4


def run(tmp_path, *said):
    code = peers.main(["--quick", "--threads", "1", "--out", str(tmp_path), *said])
    (path,) = tmp_path.glob("*.json")
    return code, json.loads(path.read_text())["rows"]


def test_one_method_prints_and_records_its_rows(tmp_path, capsys):
    code, rows = run(
        tmp_path,
        *("--sizes", "quick_rgb", "--methods", "superpixel_occlusion", "--peers", "one call"),
        *("--repeats", "2", "--images", "1", "--precision", "both"),
    )
    assert code == 0
    names = ["xaibench", HALF, "one call a segment (system B)"]
    assert [r["implementation"] for r in rows] == names
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    assert "s left" in printed
    for row in rows:
        assert len(row["seconds"]) == len(row["limits"]) == len(row["bare"]) == 2
        assert row["images"] == 1
        assert row["seconds_an_image"] > 0
    ours, half, loop = rows
    assert ours["times_ours"] == 1.0
    assert ours["difference"] == 0.0
    assert 0 < half["difference"] < 0.1
    assert loop["difference"] < TOLERANCE
    assert loop["forward_passes"] == ours["forward_passes"] + 1  # of the image itself


def test_fp32_alone_leaves_bf16_out(tmp_path):
    _, rows = run(
        tmp_path,
        *("--sizes", "quick_grey", "--methods", "cumulative_drop", "--precision", "fp32"),
        *("--repeats", "1"),
    )
    assert HALF not in [r["implementation"] for r in rows]


def test_nothing_is_begun_when_the_time_is_spent(tmp_path, capsys):
    said = ("--sizes", "quick_rgb", "--methods", "superpixel_occlusion", "--minutes", "0")
    assert peers.main(["--quick", "--out", str(tmp_path), *said]) == 0
    assert "superpixel_occlusion: left out, the time is spent" in capsys.readouterr().out


def test_a_folder_of_its_own_gets_page_and_figure(tmp_path):
    run(tmp_path, "--sizes", "quick_rgb", "--methods", "superpixel_occlusion", "--repeats", "1",
        "--peers", "one call", "--precision", "fp32")  # fmt: skip
    (page,), (figure,) = tmp_path.glob("*.md"), tmp_path.glob("*.png")
    assert "| superpixel_occlusion | xaibench |" in page.read_text()
    assert f"]({figure.name})" in page.read_text()


@pytest.mark.parametrize("size", SIZES.values(), ids=lambda size: size.name)
def test_brief_sizes_keep_what_peers_need(size):
    few = brief(size)
    assert few.pixels**2 % few.steps == 0
    assert few.flip_steps == size.flip_steps
    assert few.most_images <= size.most_images


def test_samples_are_those_asked_for(tmp_path):
    _, rows = run(
        tmp_path,
        *("--sizes", "quick_rgb", "--methods", "lime", "--samples", "12", "--peers", "lime lime"),
        *("--repeats", "1", "--precision", "fp32"),
    )
    found = {r["implementation"]: r["forward_passes"] for r in rows}
    assert found == {"xaibench": 12.0, "lime LimeImageExplainer": 12.0}


@pytest.mark.slow
@pytest.mark.parametrize("size", QUICK)
def test_outputs_of_all_peers_agree(tmp_path, size):
    code, rows = run(tmp_path, "--sizes", size, "--repeats", "1")
    assert code == 0
    assert {r["method"] for r in rows} == set(METHODS)
    for row in rows:
        name = row["implementation"]
        if row["note"].startswith("not installed"):
            missing = row["note"].removeprefix("not installed: ")
            assert importlib.util.find_spec(missing) is None
            continue
        assert row["seconds"], f"{name}: {row['note']}"
        if name == HALF:
            assert row["difference"] < 0.1
        elif row["difference"] is None:
            assert "not compared" in row["note"]
        else:
            assert row["difference"] < TOLERANCE, name
