"""Costs stand in every table: as text, with the hardware, and a dash where they are missing."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from cost_runs import block, scores, write

from xaibench.leaderboards.board import make
from xaibench.leaderboards.cost_columns import CostColumns, mib_text, passes_text, seconds_text
from xaibench.leaderboards.tables import TEX_METRICS

EXPLAINERS = {"random": (0, 0), "lime": (100, 3)}
A = [block("random", 4, 0.002), block("lime", 4, 8.0)]


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "run", scores(EXPLAINERS), A)


@pytest.fixture
def merged(folder, tmp_path):
    """Markdown and LaTeX of two runs on two machines."""
    again = [block("lime", 4, 80.0, device="GPU B")]
    other = write(tmp_path / "other", scores({"lime": (100, 3)}), again)
    text = make(folder, other, out=tmp_path / "merged")
    return text, (tmp_path / "merged" / "leaderboard.tex").read_text()


def rows_of(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_markdown_has_costs_beside_scores_and_what_scoring_cost(folder):
    text = make(folder)
    rows = rows_of(text)
    assert rows[0][3:] == ["forward passes", "backward passes", "seconds", "peak MiB"]
    lime, _, scored = (row for row in rows if row[0] == "`lime`")
    assert lime[3:] == ["101", "3", "2.00", "100"]
    assert scored[1:] == ["5", "1", "20.0", "300"]
    random = next(row for row in rows if row[0] == "`random` (control)")
    assert random[3:] == ["1", "0", "0.000500", "100"]
    assert "Cost of scoring one map by all metrics of its run:" in text
    assert "\n- seconds and memory on GPU A\n" in text + "\n"
    assert re.search(r"peak MiB: .* whole process on a CPU", text)


def test_csv_has_costs_in_its_last_columns(folder):
    make(folder)
    table = pd.read_csv(folder / "leaderboard.csv").set_index(["explainer", "metric"])
    assert list(table.columns[-9:]) == [
        *("forward_passes", "backward_passes", "seconds", "peak_mib"),
        *("score_forward_passes", "score_backward_passes", "score_seconds", "score_peak_mib"),
        "device",
    ]
    assert table.loc[("lime", "insertion"), "seconds"] == 2.0
    assert set(table["device"]) == {"GPU A"}


def test_latex_has_costs_beside_scores_where_they_fit(folder):
    make(folder)
    scored, _, scoring = (folder / "leaderboard.tex").read_text().split("\n\n\\begin{table}")
    grids = re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", scored, re.S)
    assert [columns for columns, _ in grids] == ["lcc", "lrrrr"]  # two metrics leave no room
    assert r"lime & 101 & 3 & 2.00 & 100 \\" in grids[1][1]
    assert r"lime & 5 & 1 & 20.0 & 300 \\" in scoring
    assert "Cost of scoring one map" in scoring
    assert r"\label{tab:scoring:toy-net}" in scoring
    assert (scored + scoring).isascii()


@pytest.mark.parametrize("metrics", range(1, 8))
def test_latex_is_no_wider_than_the_text(tmp_path, metrics):
    rows = scores(EXPLAINERS)
    deletion = rows[rows["metric"] == "deletion"]
    many = [deletion.assign(metric=f"m{i}", protocol=f"m{i}[]") for i in range(metrics)]
    folder = write(tmp_path / "run", pd.concat(many), A)
    make(folder)
    text = (folder / "leaderboard.tex").read_text()
    kinds = re.findall(r"\\begin\{tabular\}\{l(c*)(r*)\}", text)
    assert sum(len(c) for c, _ in kinds) == metrics
    assert sum(len(r) for _, r in kinds) == 8
    # Four numbers take the room of two columns of scores.
    assert max(len(c) + len(r) / 2 for c, r in kinds) <= TEX_METRICS


def test_two_machines_are_told_apart_and_never_pooled(merged):
    text, tex = merged
    lime, _, scored = (row for row in rows_of(text) if row[0] == "`lime`")
    assert lime[3:] == ["101", "3", "2.00 (a) / 20.0 (b)", "100 (a) / 100 (b)"]
    assert scored[3] == "20.0 (a) / 200 (b)"
    random = next(row for row in rows_of(text) if row[0] == "`random` (control)")
    assert random[5] == "0.000500 (a)"
    assert "- seconds and memory on (a) GPU A; (b) GPU B" in text
    assert r"2.00 (a) / 20.0 (b)" in tex
    assert "on (a) GPU A; (b) GPU B" in tex


def test_an_older_run_has_dashes(tmp_path):
    folder = write(tmp_path / "old", scores(EXPLAINERS), A, old=True)
    text = make(folder)
    lime, _, scored = (row for row in rows_of(text) if row[0] == "`lime`")
    assert lime[3:] == ["101", "3", "2.00", "–"]
    assert scored[1:] == ["–", "–", "20.0", "–"]
    assert "- seconds and memory on Chip, 4 threads" in text


def test_without_any_measure_no_hardware_is_named(tmp_path):
    folder = write(tmp_path / "bare", scores(EXPLAINERS), None)
    text = make(folder)
    assert next(r for r in rows_of(text) if r[0] == "`lime`")[3:] == ["101", "3", "–", "–"]
    assert "memory on" not in text


def test_hardware_without_a_name_is_said_so(tmp_path):
    folder = write(tmp_path / "run", scores(EXPLAINERS), [A[1] | {"device": None}])
    (folder / "manifest.json").unlink()
    assert "seconds and memory on hardware that the run does not name" in make(folder)


def test_a_table_without_costs_has_no_such_column():
    columns = CostColumns(None)
    assert (columns.explaining, columns.scoring, columns.notes()) == ([], [], [])


@pytest.mark.parametrize(
    ("write_it", "value", "text"),
    [
        (seconds_text, 0.000178351, "0.000178"),
        (seconds_text, 0.86, "0.860"),
        (seconds_text, 2171.0, "2170"),
        (seconds_text, 0.0, "0.00"),
        (passes_text, 1000.0, "1000"),
        (passes_text, 49.26, "49.3"),
        (mib_text, 2048.4, "2048"),
        (mib_text, 3.14, "3.1"),
    ],
)
def test_numbers_are_short_and_without_exponent(write_it, value, text):
    assert write_it(value) == text
