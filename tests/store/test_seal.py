"""Checksums of a run's folder: of what, and what renews them."""

from __future__ import annotations

import hashlib
import json

from xaibench.store.seal import resealed, seal, sealed


def test_tables_maps_and_config_are_sealed_and_nothing_else(tmp_path):
    names = ("scores.parquet", "a.csv", "maps.h5", "config.yaml", "roc.md", "leaderboard.tex")
    for name in (*names, "report.html", "manifest.json", ".a.123.csv"):
        (tmp_path / name).write_text(name)
    (tmp_path / "figures").mkdir()
    seal(tmp_path)
    wanted = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    assert sealed(tmp_path) == wanted
    assert json.loads((tmp_path / "checksums.json").read_text()) == wanted


def test_what_is_written_anew_is_sealed_anew_and_what_was_changed_before_is_not(tmp_path):
    for name in ("leaderboard.csv", "scores.parquet", "roc.md"):
        (tmp_path / name).write_text("as it was")
    seal(tmp_path)
    before = sealed(tmp_path)
    (tmp_path / "scores.parquet").write_text("tampered with")
    with resealed(tmp_path):
        (tmp_path / "leaderboard.csv").write_text("made anew")
        (tmp_path / "bands.csv").write_text("new")
    after = sealed(tmp_path)
    assert after["scores.parquet"] == before["scores.parquet"]
    assert after["roc.md"] == before["roc.md"]
    assert after["leaderboard.csv"] == hashlib.sha256(b"made anew").hexdigest()
    assert after["bands.csv"] == hashlib.sha256(b"new").hexdigest()


def test_a_run_without_a_seal_gets_none_by_being_shown_anew(tmp_path):
    with resealed(tmp_path):
        (tmp_path / "leaderboard.csv").write_text("made anew")
    assert sealed(tmp_path) is None
