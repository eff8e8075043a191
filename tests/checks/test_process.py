"""Checks in a process of their own, which the plugin ends, or lets hang."""

from __future__ import annotations

import textwrap

import pytest

from xaibench.checks.process import IMPORTED, find_kind, run_checks
from xaibench.errors import UserError

HEAD = '''
    import os, signal, sys, time
    from dataclasses import dataclass
    from xaibench import Explainer, register
    {before}

    @register("explainer")
    @dataclass(frozen=True)
    class Mine(Explainer):
        """A test's plugin."""

        def attribute(self, model, batch):
            {attribute}
            return (batch.images * model.net[0].weight.sum()).mean(1) + batch.targets[:, None, None]
'''
HANGS = "\n    while True: time.sleep(1)"


@pytest.fixture
def plugin(tmp_path):
    def write(before="", attribute="pass"):
        path = tmp_path / "mine.py"
        text = HEAD.format(before=before, attribute=attribute)
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("os._exit(0)", "ended the process (exit code 0)"),
        ("sys.exit()", "failed to import: SystemExit"),
        ("raise SystemExit(3)", "failed to import: SystemExit: 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended the process (signal SIGSEGV)"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
    ],
)
def test_what_ends_the_process_when_it_is_imported_has_failed(plugin, before, why):
    (result,) = run_checks(plugin(before))
    assert (result.name, result.state) == (IMPORTED, "failed")
    assert why in result.why


def test_what_hangs_when_it_is_imported_has_failed(plugin):
    (result,) = run_checks(plugin("time.sleep(1000)"), seconds=1)
    assert (result.name, result.state) == (IMPORTED, "failed")
    assert result.why == "took longer than 1 s; `--seconds` allows more"


@pytest.mark.slow
def test_what_hangs_outside_python_is_ended(plugin):
    before = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); time.sleep(1000)"
    (result,) = run_checks(plugin(before), seconds=1)
    assert (result.name, result.state) == (IMPORTED, "failed")
    assert result.why == "took longer than 1 s; `--seconds` allows more"


@pytest.mark.slow
def test_what_closes_the_line_and_hangs_is_ended(plugin):
    before = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); "
    (result,) = run_checks(plugin(f"{before}os.closerange(3, 256); time.sleep(1000)"), seconds=60)
    assert (result.name, result.state) == (IMPORTED, "failed")
    assert result.why == "closed the line to the checks and did not end"


ENDS = {
    "os._exit(0)": "ended the process (exit code 0)",
    "os.abort()": "ended the process (signal SIGABRT)",
    "sys.exit(0)": "SystemExit: 0: a plugin must not end the process",
}


@pytest.mark.slow
@pytest.mark.parametrize("attribute", ENDS)
def test_what_ends_the_process_has_failed_and_the_others_are_not_passed(plugin, attribute):
    results = list(run_checks(plugin(attribute=attribute)))
    failed = [r for r in results if r.state == "failed"]
    assert len(failed) >= 3
    assert all(ENDS[attribute] in r.why for r in failed if "passed" not in r.why), failed
    assert not [r for r in results if r.state == "passed" and "takes" in r.name[:5]][1:]


@pytest.mark.slow
def test_what_ends_the_process_once_is_found_and_the_rest_goes_on(plugin, tmp_path):
    mark = tmp_path / "mark"
    once = f"os.path.exists({str(mark)!r}) or (open({str(mark)!r}, 'w').close(), os._exit(7))"
    results = list(run_checks(plugin(attribute=once)))
    ended = [r for r in results if r.failed and "ended" in r.why]
    assert [r.why for r in ended] == ["ended the process (exit code 7)"]
    assert ended[0].name.startswith("gives finite maps")
    assert len(results) > 40


@pytest.mark.slow
def test_what_hangs_has_failed_and_is_not_waited_for_forever(plugin):
    results = list(run_checks(plugin(attribute="time.sleep(1000)"), seconds=1))
    late = [r for r in results if r.why == "took longer than 1 s; `--seconds` allows more"]
    assert len(late) == 3
    assert {r.state for r in results[results.index(late[-1]) + 1 :]} == {"not run"}


@pytest.mark.slow
def test_a_parameter_is_set_and_checked():
    (result,) = run_checks("explainer:grad_cam", ["variant=gradcm"])
    assert result.state == "failed"
    assert "variant: must be" in result.why


def test_kinds_are_known_without_an_import(plugin, tmp_path):
    assert find_kind(plugin("os._exit(0)")) == "explainer"
    assert find_kind("gap_cnn") == "model"
    assert find_kind("metric:deletion") == "metric"
    assert find_kind("some.where:Class") is None


def test_an_unknown_plugin_is_one_line():
    with pytest.raises(
        UserError, match=r"unknown plugin 'grdcam' \(did you mean 'grad_cam'.*xaibench list"
    ):
        run_checks("grdcam")
    with pytest.raises(UserError, match="unknown explainer 'deletion'"):
        run_checks("explainer:deletion")
    with pytest.raises(UserError, match=r"plugin file nowhere\.py does not exist"):
        run_checks("nowhere.py")
