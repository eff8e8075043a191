"""What tests of the command line share."""

from __future__ import annotations

import sys

import pytest

from xaibench import cli


@pytest.fixture
def xaibench(monkeypatch, capsys):
    """Run a command line in this process; returns exit code, stdout and stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["xaibench", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return call
