"""Whatever a user gives: one sentence, exit code 2, no traceback, and nothing half-written."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from bad_case import Case, tables

from xaibench import cli

ROOT = Path(__file__).resolve().parents[1]
CASES = [
    pytest.param(case, id=f"{title}: {case.what}")
    for title, cases in tables().items()
    for case in cases
]


@pytest.mark.parametrize("case", CASES)
def test_it_is_told_in_a_sentence(case: Case, tmp_path, monkeypatch, capsys):
    case.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["xaibench", *case.words])
    monkeypatch.setenv("COLUMNS", "200")
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("xaibench: ")]
    assert code == 2
    assert len(told) == 1
    assert case.is_said(told[0]), told[0]
    drafts = [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    assert drafts == []
    assert [*tmp_path.rglob("out/**/leaderboard*"), *tmp_path.rglob("out/**/report.html")] == []


def test_there_are_many_and_none_is_there_twice():
    names = [case.id for case in CASES]
    assert len(names) == len(set(names)) >= 40


def test_the_page_of_them_is_current():
    spec = importlib.util.spec_from_file_location("errors", ROOT / "docs" / "site" / "errors.py")
    errors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(errors)
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert page == errors.page(), "make it anew: python docs/site/errors.py"
