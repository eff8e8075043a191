"""Our own metrics, models and data sets pass everyone's checks, each in a process of its own.

There, the types of signatures are not enforced, which takes time and memory of its own. Explainers
and the others are two files, so that two processes share the work.
"""

from __future__ import annotations

import pytest
from own_plugins import hold_to_contract, plugins

from xaibench.checks.process import run_checks


@pytest.mark.parametrize(("kind", "name", "settings"), list(plugins("metric", "model", "dataset")))
def test_it_keeps_its_contract(kind, name, settings, tmp_path):
    hold_to_contract(kind, name, settings, tmp_path)


def test_what_must_be_said_is_asked_for():
    (result,) = run_checks("model:exported")
    assert result.failed
    assert result.why == (
        "Exported: every parameter needs a default to be checked with, and file has none; say "
        "`--set file=...`"
    )
