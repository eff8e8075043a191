"""What takes too long, too much memory, or the process with it, becomes rows; the run goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from test_run import Lab
from test_ways_in import METRIC

from xaibench.config.sections import LimitOptions
from xaibench.runs import limits
from xaibench.runs.limits import HUNG, OverLimitError, Watch
from xaibench.runs.rows import Outcome

SHORT = LimitOptions(seconds=0.2)
LATE = Outcome("failed", "took longer than 0.2 s (limits.seconds)")
GIB = 2**30


def busy(seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


@pytest.mark.parametrize("act", [busy, lambda: time.sleep(60)], ids=["busy", "asleep"])
def test_a_call_that_hangs_is_ended(act):
    begun = time.monotonic()
    with Watch(SHORT) as watch:
        assert watch.attempt("it", act) == LATE
        assert watch.attempt("next", lambda: 7) == 7
    assert time.monotonic() - begun < 20


def test_what_hangs_and_swallows_is_interrupted_again(monkeypatch):
    monkeypatch.setattr(limits, "_AGAIN", 0.1)
    swallowed = []

    def stubborn():
        for _ in range(3):
            try:
                time.sleep(60)
            except BaseException as error:
                swallowed.append(type(error))
        time.sleep(60)

    with Watch(SHORT) as watch:
        assert watch.attempt("it", stubborn) == LATE
    assert swallowed == [OverLimitError] * 3


@pytest.mark.parametrize("error", [None, ValueError, SystemExit])
def test_what_swallows_and_then_ends_otherwise_is_late_all_the_same(error):
    def forgiving():
        with contextlib.suppress(BaseException):
            time.sleep(60)
        if error:
            raise error
        return "done"

    with Watch(SHORT) as watch:
        assert watch.attempt("it", forgiving) == LATE


def test_a_plugins_except_exception_does_not_catch_it():
    def careless():
        while True:
            with contextlib.suppress(Exception):
                time.sleep(60)

    with Watch(SHORT) as watch:
        assert watch.attempt("it", careless) == LATE


def test_a_hog_of_memory_is_ended_and_leaves_none_behind():
    import psutil

    held = psutil.Process().memory_info().rss
    limit = LimitOptions(seconds=60, memory_gb=held / GIB + 0.3)

    def hog():
        kept = []
        while True:
            kept.append(np.ones(2**21))  # 16 MiB
            time.sleep(0.005)

    with Watch(limit) as watch:
        found = watch.attempt("it", hog)
        assert found.status == "failed"
        assert found.reason.startswith("brought the process to ")
        assert found.reason.endswith("(limits.memory_gb)")
        assert psutil.Process().memory_info().rss < held + 0.15 * GIB
        assert watch.attempt("next", lambda: 7) == 7


def test_who_did_not_take_the_memory_is_let_be():
    """A process that holds more than its limit before a call: that call is not to blame."""
    with Watch(LimitOptions(seconds=60, memory_gb=0.01)) as watch:
        assert watch.attempt("it", lambda: time.sleep(0.3) or 7) == 7


def test_without_limits_nothing_is_watched():
    with Watch(LimitOptions(seconds=None)) as watch:
        assert watch.attempt("it", lambda: time.sleep(0.3) or 7) == 7
    assert Watch().attempt("it", lambda: 7) == 7


def test_the_memory_of_the_machine_is_the_limit_where_none_is_named():
    import psutil

    assert 0 < limits._memory_limit(LimitOptions()) <= 0.9 * psutil.virtual_memory().total


def test_an_error_of_the_call_passes_through():
    with Watch(SHORT) as watch:
        for error in (ValueError, SystemExit, KeyboardInterrupt):
            with pytest.raises(error):
                watch.attempt("it", lambda error=error: (_ for _ in ()).throw(error("x")))


def test_ctrl_c_passes_through():
    with Watch(LimitOptions(seconds=60)) as watch, pytest.raises(KeyboardInterrupt):
        watch.attempt("it", lambda: os.kill(os.getpid(), signal.SIGINT) or time.sleep(60))


def test_gradients_are_as_they_were_before():
    def off():
        torch.set_grad_enabled(False)
        time.sleep(60)

    with Watch(SHORT) as watch:
        watch.attempt("it", off)
    assert torch.is_grad_enabled()


def test_signal_and_threads_are_left_as_found():
    before = signal.getsignal(signal.SIGUSR2), threading.active_count()
    with Watch(SHORT) as watch:
        watch.attempt("it", busy)
    assert (signal.getsignal(signal.SIGUSR2), threading.active_count()) == before


@pytest.mark.parametrize("where", ["a thread", "a signal in use"])
def test_without_the_signal_python_raises_the_error(where, monkeypatch):
    found = []

    def work():
        with Watch(SHORT) as watch:
            found.append(watch.attempt("it", busy))
            found.append(watch.attempt("next", lambda: busy(0.05) or 7))

    if where == "a thread":
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
    else:
        before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        work()
        assert signal.signal(signal.SIGUSR2, before) is signal.SIG_IGN
    assert found == [LATE, 7]


HANGS = {
    # The signal waits for ever: as in native code that gave the interpreter's lock away.
    "native": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]) or time.sleep(60)",
        HUNG,
    ),
    "with the lock": ("ctypes.PyDLL(None).sleep(60)", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", HANGS)
def test_a_call_that_never_comes_back_is_written_down(how, tmp_path):
    act, code = HANGS[how]
    script = (
        "import ctypes, pathlib, signal, sys, time\n"
        "from xaibench.config.sections import LimitOptions\n"
        "from xaibench.runs.limits import Watch\n"
        "with Watch(LimitOptions(seconds=0.2), pathlib.Path(sys.argv[1]), grace=2) as watch:\n"
        "    watch.attempt('the first', lambda: 1)\n"
        f"    watch.attempt('the second', lambda: {act})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    if code == HUNG:
        assert "xaibench: the second took longer than 0.2 s" in done.stderr
        assert "the same command goes on after it" in done.stderr
    asked = []
    for _ in range(2):  # what was written down stays so
        with Watch(SHORT, tmp_path) as watch:
            found = watch.attempt("the second", lambda: asked.append("the second"))
            assert found == Outcome("failed", f"{LATE.reason}; it never came back to Python")
            assert watch.attempt("the first", lambda: 1) == 1
    assert asked == []


def test_a_run_that_was_killed_meanwhile_tries_again(tmp_path):
    """Its last call is known, and nothing speaks against it."""
    (tmp_path / "under_way.txt").write_text("the second\n")
    with Watch(SHORT, tmp_path) as watch:
        assert watch.attempt("the second", lambda: 2) == 2
    assert not (tmp_path / "under_way.txt").exists()


BODIES = {
    "hangs": "time.sleep(600)",
    "swallows": "\n        ".join(
        ["while True:", "    try:", "        time.sleep(600)", "    except BaseException:",
         "        raise ValueError('no') from None"]
    ),
    "quits": "raise SystemExit(0)",
    "quits_batches": "if len(batch) > 1: raise SystemExit('no')",
}  # fmt: skip


def plugin(name: str, body: str) -> str:
    return (
        "import time\nfrom dataclasses import dataclass\n\n"
        "from xaibench.explainers.base import Explainer\n"
        "from xaibench.registry import register\n\n\n"
        '@register("explainer")\n@dataclass(frozen=True)\nclass Odd(Explainer):\n'
        f'    """{name}."""\n\n    def attribute(self, model, batch):\n        {body}\n'
        "        return batch.images.mean(1)\n"
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for slow in ("draw_all", "write_page"):
            patch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)
        lab = Lab(tmp_path_factory.mktemp("limits"))
        for name, body in BODIES.items():
            lab.plugins.append(lab.folder / f"{name}.py")
            lab.plugins[-1].write_text(plugin(name, body))
        metrics = {
            "stuck": "time.sleep(600)",
            "leaves": "raise SystemExit",
            "picky": "if len(maps) > 2: raise ValueError('too many')",
        }
        for name, body in metrics.items():
            lab.plugins.append(lab.folder / f"{name}.py")
            source = METRIC.replace(
                "        return Scores", f"        {body}\n        return Scores"
            )
            lab.plugins[-1].write_text(f"import time\n{source}")
        yield lab


@pytest.fixture(scope="module")
def rows(lab) -> pd.DataFrame:
    names = ", ".join(f"{name}: " for name in ("random", *BODIES, "darkness"))
    folder = lab.run(
        "out",
        f"explainers={{{names}}}",
        "metrics={deletion: {steps: 2}, stuck: , leaves: , picky: }",
        "images.count=2",
        "limits.seconds=4",
        "batch_size=512",  # all explainers are scored together
    )
    return pd.read_parquet(folder / "scores.parquet")


def told(rows: pd.DataFrame, **where: str) -> list[tuple[str, str]]:
    its = rows[np.logical_and.reduce([rows[k] == v for k, v in where.items()])]
    return list(zip(its["status"], its["reason"].fillna(""), strict=True))


SLOW = ("failed", "took longer than 4 s (limits.seconds)")


def test_every_explainer_has_its_rows(rows):
    counts = rows.groupby("explainer").size()
    assert set(counts) == {8}  # images x metrics
    assert set(counts.index) == {"random", *BODIES, "darkness"}
    assert rows.loc[rows["status"] == "failed", "value"].isna().all()


def test_a_hanging_explainer_is_failed_rows(rows):
    assert told(rows, explainer="hangs", metric="deletion") == [SLOW] * 2


def test_one_that_makes_another_error_of_it_is_so_too(rows):
    """It is not tried again image by image, each as long as the whole block."""
    assert told(rows, explainer="swallows", metric="deletion") == [SLOW] * 2


def test_an_explainer_that_ends_the_process_is_failed_rows(rows):
    assert told(rows, explainer="quits", metric="deletion") == [("failed", "SystemExit: 0")] * 2
    alone = told(rows, explainer="quits_batches", metric="deletion")
    assert alone == [("ok", "")] * 2


def test_a_hanging_metric_is_failed_rows(rows):
    for explainer in ("random", "darkness"):
        assert told(rows, explainer=explainer, metric="stuck") == [SLOW] * 2


def test_a_metric_that_ends_the_process_is_failed_rows(rows):
    assert told(rows, explainer="darkness", metric="leaves") == [("failed", "SystemExit: ")] * 2


def test_a_metric_that_fails_is_asked_for_each_explainer_alone(rows):
    assert told(rows, explainer="darkness", metric="picky") == [("ok", "")] * 2


def test_the_other_rows_are_there(rows):
    assert told(rows, explainer="random", metric="deletion") == [("ok", "")] * 2
    assert told(rows, explainer="darkness", metric="deletion") == [("ok", "")] * 2


def test_warnings_are_not_touched():
    before = list(warnings.filters)
    with Watch(SHORT) as watch:
        watch.attempt("it", busy)
    assert warnings.filters == before


def test_the_limits_are_part_of_the_config(lab, tmp_path):
    from test_run import TINY

    from xaibench.config.reading import load_config
    from xaibench.errors import UserError

    config = load_config(TINY, lab.settings("limits={seconds: null, memory_gb: 2}"))
    assert config.resolved()["limits"] == {"seconds": None, "memory_gb": 2.0}
    with pytest.raises(UserError, match=r"limits.seconds: must be greater than 0, got -1"):
        load_config(TINY, lab.settings("limits.seconds=-1"))
