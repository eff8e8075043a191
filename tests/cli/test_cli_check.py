"""The command ``check``: states, counts and exit codes of plugins in files and packages."""

from __future__ import annotations

import json

import pytest

from xaibench.checks.process import IMPORTED

HEAD = '''
import os
from dataclasses import dataclass
import torch
from xaibench import Explainer, register

@register("explainer")
@dataclass(frozen=True)
class Mine(Explainer):
    """Gradient."""

    def attribute(self, model, batch):
        images = batch.images.clone().requires_grad_()
        score = model.score(images, batch.targets, "logit").sum()
        maps = torch.autograd.grad(score, images)[0].sum(1)
'''


@pytest.fixture
def plugin(tmp_path):
    def write(end: str, name: str = "mine.py") -> str:
        (tmp_path / name).write_text(f"{HEAD}        {end}\n")
        return str(tmp_path / name)

    return write


def test_a_plugin_that_ends_the_process_fails_with_exit_code_1(xaibench, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(HEAD.replace("import os", "import os; os._exit(0)") + "        return maps\n")
    code, out, _ = xaibench("check", file)
    lines = out.splitlines()
    assert code == 1
    assert lines == [f"FAILED            {IMPORTED}: ended the process (exit code 0)", "1 failed"]
    assert "Traceback" not in out


@pytest.mark.slow
def test_a_good_plugin_passes_with_states_and_counts(xaibench, plugin):
    code, out, err = xaibench("check", plugin("return maps"))
    *lines, counts = out.splitlines()
    assert code == 0, out
    assert lines[0] == f"passed            {IMPORTED}"
    assert {line[:16].strip() for line in lines} == {"passed", "not applicable"}
    assert counts == f"{len(lines) - 5} passed, 5 not applicable"
    assert "checking: finished" in err


@pytest.mark.slow
def test_a_plugin_that_depends_on_its_batch_fails_in_json_too(xaibench, plugin):
    code, out, _ = xaibench("check", plugin("return maps / maps.max()"), "--json")
    assert code == 1
    failed = [r for r in json.loads(out) if r["state"] == "failed"]
    assert {r["name"].partition(" (")[0] for r in failed} == {"whole batch = one by one = permuted"}
    assert "whole batch and one by one differ by" in failed[0]["why"]


@pytest.mark.slow
def test_a_dotted_path_is_checked(xaibench, monkeypatch, plugin, tmp_path):
    plugin("os._exit(4)", "my_package.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, out, _ = xaibench("check", "my_package:Mine")
    assert code == 1
    assert "passed            can be imported" in out
    assert "ended the process (exit code 4)" in out
    code, out, _ = xaibench("check", "my_package:Yours")
    assert code == 1
    assert "write `package.module:Class`" in out
