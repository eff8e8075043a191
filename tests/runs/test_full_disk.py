"""A disk that is full at any moment of a run: one sentence, no drafts, and the run goes on."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from xaibench import cli

pytestmark = pytest.mark.slow

CONFIG = """\
name: small
segments: {n_segments: 20}
images: {count: 4}
images_per_block: 2
dataset:
  use: pcam
  when_missing: synthesize
  synthetic: {root: patches, train: 24, valid: 12, test: 12}
model: {use: gap_cnn, width: 8}
training: {epochs: 1, batch_size: 8}
explainers: {random: {draws: 2}, grad_cam: }
metrics: {deletion: {steps: 4}}
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the config; returns exit code and the lines that begin with ``xaibench:``."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(CONFIG)

    def run() -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["xaibench", "run", "config.yaml", "--out", "out"])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr().err.splitlines()
        return code, [line for line in said if line.startswith("xaibench: ")]

    return run


def test_it_is_told_leaves_nothing_half_and_goes_on(call, tmp_path, monkeypatch):
    rename, room = os.replace, [0]

    def replace(source: object, target: object) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    failed = 0
    for renames in (0, 1, 2, 3, 5, 8, 13, 21, 34):
        room[0] = renames
        code, said = call()
        if code == 0:
            break
        failed += 1
        assert code == 2
        assert len(said) == 1, said
        assert "No space left on device; make room, and the same command goes on" in said[0]
        inside = [path for path in tmp_path.rglob(".*") if path.name != ".calls"]
        assert inside == []
    assert failed > 4
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert call()[0] == 0
    (run,) = (tmp_path / "out" / "small").iterdir()
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("code", [errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_any_refusal_while_cells_are_written_is_told(call, monkeypatch, code):
    from xaibench.store import run_folder

    def save(file: Path, *_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), str(file))

    monkeypatch.setattr(run_folder.np, "save", save)
    status, said = call()
    assert status == 2
    assert len(said) == 1
    assert os.strerror(code) in said[0]
