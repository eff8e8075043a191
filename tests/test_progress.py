"""What long work says of itself, in a log and on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from xaibench import progress as module
from xaibench.progress import LineProgress, LiveProgress, SilentProgress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_nothing_is_shown_in_silence(capfd):
    progress = SilentProgress()
    with progress.stage("Work", 10) as advance:
        advance(10)
    progress.say("a line")
    assert capfd.readouterr() == ("", "")


def test_a_log_has_a_line_when_a_stage_begins_and_ends(capsys, clock):
    with LineProgress().stage("Work", 10) as advance:
        advance(10)
        clock[0] += 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["Work: 0 s, 0/10", "Work: finished in 3.0 s"]


def test_a_log_tells_the_time_left_now_and_then(capsys, clock):
    with LineProgress(every=10).stage("Work", 100) as advance:
        for _ in range(3):
            clock[0] += 6
            advance(10)
    assert "Work: 12 s, 20/100, about 48 s left" in capsys.readouterr().err.splitlines()


def test_what_was_done_before_does_not_count_for_the_time_left(capsys, clock):
    with LineProgress(every=1).stage("Work", 100, done=80) as advance:
        clock[0] += 10
        advance(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Work: 0 s, 80/100", "Work: 10 s, 90/100, about 10 s left"]


def test_more_than_the_total_leaves_no_time_below_zero(capsys, clock):
    with LineProgress(every=1).stage("Work", 5) as advance:
        clock[0] += 10
        advance(9)
    assert "9/5, about 0 s left" in capsys.readouterr().err


def test_a_stage_that_fails_is_not_said_to_be_finished(capsys, clock):
    with pytest.raises(ValueError, match="broken"), LineProgress().stage("Work", 5):
        raise ValueError("broken")
    assert "finished" not in capsys.readouterr().err


def test_a_terminal_shows_bars_and_lines_as_they_are():
    out = io.StringIO()
    with LiveProgress(Console(file=out, force_terminal=True, width=80)) as progress:
        with progress.stage("Work", 4) as advance:
            advance(4)
        progress.say("a [bold]line[/bold]")
    assert "Work" in out.getvalue()
    assert "4/4" in out.getvalue()
    assert "a [bold]line[/bold]" in out.getvalue()
