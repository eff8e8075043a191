"""Records on disk, and the tables made of them."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from PIL import Image

from benchmarks.figure import draw, package
from benchmarks.records import RESULTS, Record, slug
from benchmarks.tables import BEGIN, END, number, render, renew

ABOUT = {"name": "Some(R) CPU @ 2 GHz", "device": "cpu", "threads": 2, "versions": {"torch": "9"}}
ROW = {
    "size": "small",
    "method": "lime",
    "implementation": "xaibench",
    "parameters": "10 samples",
    "images": 2,
    "source": "noise",
    "seconds_an_image": 0.125,
    "forward_passes": 10.0,
    "backward_passes": 0.0,
    "times_limit": 1.25,
    "times_ours": 1.0,
    "difference": 0.0,
    "note": "",
    "seconds": [0.25, 0.25],
    "bare": [0.01, 0.01],
}
MISSING = ROW | {
    "implementation": "peer",
    "note": "not installed: peer",
    "seconds": [],
    **dict.fromkeys(
        ("seconds_an_image", "forward_passes", "backward_passes", "times_limit", "times_ours")
    ),
    "difference": None,
}


@pytest.fixture
def record(tmp_path):
    record = Record(tmp_path / "machine.json", ABOUT)
    record.add_rows([ROW, MISSING])
    return record


def test_file_names_hold_the_machine():
    assert slug(ABOUT) == "some-cpu-2-ghz-2-threads"
    assert slug({"name": "NVIDIA H100", "device": "cuda", "threads": 2}) == "nvidia-h100"


def test_a_new_row_takes_the_place_of_the_old_one(record):
    again = Record(record.path, ABOUT)
    again.add_rows([ROW | {"times_limit": 2.0}, ROW | {"method": "other"}])
    rows = json.loads(record.path.read_text())["rows"]
    found = {(r["method"], r["implementation"]): r["times_limit"] for r in rows}
    assert found == {
        ("lime", "peer"): None,
        ("lime", "xaibench"): 2.0,
        ("other", "xaibench"): 1.25,
    }


def test_no_number_is_null(record):
    record.put("section", {"value": math.nan, "inside": [math.inf, 1.0]})
    section = json.loads(record.path.read_text())["section"]
    assert (section["value"], section["inside"]) == (None, [None, 1.0])


def test_table_has_every_row(record):
    text = render(record.content)
    assert "### Some(R) CPU @ 2 GHz, 2 threads" in text
    assert "bare passes a second 100-100; 2 repetitions" in text
    assert "| lime | xaibench | 0.125 | 10 | 1.25 | 1.00 | 0.0e+00 |  |" in text
    assert "| lime | peer | – | – | – | – | – | not installed: peer |" in text


def test_passes_backward_are_told(record):
    record.add_rows([ROW | {"backward_passes": 10.0}])
    assert "| 10 + 10 back |" in render(record.content)


def test_sections_stand_behind_the_rows(record):
    record.put("limit", {"table": "**Whole**"})
    assert render(record.content).endswith("**Whole**")


def test_page_is_renewed_between_the_markers_only(record, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    renew(page, tmp_path)
    renew(page, tmp_path)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert text.count("### Some") == 1


def test_a_record_with_a_page_of_its_own_is_not_in_it(record, tmp_path):
    (tmp_path / "other.json").write_text('{"machine": {"name": "Another"}}')
    (tmp_path / "other.md").touch()
    page = tmp_path / "README.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    renew(page, tmp_path)
    assert page.read_text().count("### ") == 1


def test_the_committed_page_has_the_committed_figures(tmp_path):
    page = RESULTS.parent / "README.md"
    copy = tmp_path / "README.md"
    copy.write_text(page.read_text())
    shutil.copytree(RESULTS, tmp_path / RESULTS.name)  # the page links to figures beside it
    renew(copy, tmp_path / RESULTS.name)
    assert copy.read_text() == page.read_text()


def test_page_without_results_says_so(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    renew(page, tmp_path / "nothing")
    assert "No figures yet." in page.read_text()


def test_page_without_markers_is_refused(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="lacks the lines <!-- figures: begin"):
        renew(page, tmp_path)
    assert page.read_text() == "nothing"


@pytest.mark.parametrize(("value", "said"), [(None, "–"), (0.0, "0"), (1.23456, "1.23")])
def test_number(value, said):
    assert number(value) == said


def test_a_machines_figure_is_on_the_page_where_there_is_one(record, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    renew(page, tmp_path)
    assert "![" not in page.read_text()
    assert draw(record.content, record.path.with_suffix(".png")) == tmp_path / "machine.png"
    renew(page, tmp_path)
    assert "](machine.png)" in page.read_text()
    with Image.open(tmp_path / "machine.png") as figure:
        assert len(figure.convert("RGB").getcolors(2**24)) > 20


def test_nothing_is_drawn_of_what_was_not_measured(tmp_path):
    assert draw({"rows": [MISSING]}, tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()


def test_whose_an_implementation_is():
    found = {
        name: package(name) for name in ("xaibench bf16", "Quantus PixelFlipping", "all masks")
    }
    assert list(found.values()) == ["xaibench", "Quantus", "loop"]
