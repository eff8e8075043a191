"""The benchmark of a large leaderboard, small."""

from __future__ import annotations

from benchmarks.large_board import main, rows, timed


def test_every_pair_of_every_metric_is_tested():
    scores = rows(4, 3, 20)
    assert len(scores) == 4 * 3 * 20
    found, seconds = timed(scores)
    assert len(found.pairs) == 3 * 6
    assert found.pairs["p"].notna().all()
    assert seconds > 0


def test_it_is_said_how_long_it_took(capsys):
    main(["--explainers", "3", "--metrics", "2", "--images", "14"])
    assert capsys.readouterr().out.startswith("84 rows, 6 pairs: ")
