"""Patients by a pattern or a table, and what is said where neither tells them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from xaibench.errors import UserError
from xaibench.imaging.patients import by_pattern, by_table, check_pattern

PATHS = ["cat/p01_1.png", "dog/p01_2.png", "dog/p22_1.png"]


@pytest.mark.parametrize(
    "pattern", [r"(p\d+)_", r"p\d+", r"(cat|dog)/(?P<patient>p\d+)", r"(?:cat|dog)/(p\d+)"]
)
def test_the_pattern_finds_them(pattern):
    check_pattern(pattern)
    assert by_pattern(PATHS, pattern) == ["p01", "p01", "p22"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(p", "patient: '(p' is no regular expression (missing )"),
        (r"(a)(b)", "has 2 groups; keep one, or name the one that is the patient"),
    ],
)
def test_a_pattern_that_is_none_is_told(pattern, said):
    with pytest.raises(UserError) as caught:
        check_pattern(pattern)
    assert said in str(caught.value)


def test_a_path_without_a_patient_is_told():
    with pytest.raises(UserError, match=r"finds nothing in 1 of 3 paths \(dog/p22_1.png\); mend"):
        by_pattern(PATHS, "p01")
    with pytest.raises(UserError, match="finds nothing in 3 of 3"):
        by_pattern(PATHS, "(q?)")  # an empty patient is none


def table(**changes) -> pd.DataFrame:
    return pd.DataFrame({"path": PATHS, "patient": ["a", "a", "b"], **changes})


def test_the_table_names_them():
    assert by_table(PATHS[::-1], table(), Path("g.csv")) == ["b", "a", "a"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (table().drop(columns="patient"), "groups: g.csv lacks the column 'patient'; has path"),
        (table().iloc[:2], r"groups: g.csv lacks 1 of 3 images (dog/p22_1.png)"),
        (pd.concat([table(), table(patient=["a", "a", "c"])]), "dog/p22_1.png two patients"),
    ],
)
def test_a_table_that_does_not_is_told(rows, said):
    with pytest.raises(UserError) as caught:
        by_table(PATHS, rows, Path("g.csv"))
    assert said in str(caught.value)
