"""A large run's presentation is timed on files that make every kind of figure it can have."""

from __future__ import annotations

from benchmarks.large_presentation import main


def test_it_is_said_how_long_it_took_and_what_it_held(capsys, tmp_path):
    main(["--explainers", "3", "--metrics", "2", "--images", "14", "--folder", str(tmp_path)])
    out = capsys.readouterr().out
    assert "| images | wall s | CPU s | MiB before | peak MiB |" in out
    images, *_, held, peak = out.splitlines()[-1].strip("| ").split(" | ")
    assert images == "14"
    assert 0 < float(held) <= float(peak)
    drawn = {path.stem for path in (tmp_path / "14" / "figures").glob("*.png")}
    assert {"ranking", "curves", "panels", "agreement", "roc", "critical_difference"} <= drawn
