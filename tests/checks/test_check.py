"""One check: its states, its limit of seconds, and how pytest sees it."""

from __future__ import annotations

import time
import unittest

import pytest

import xaibench
from xaibench.checks.check import (
    Check,
    NotApplicableError,
    Note,
    NotRunError,
    RefusedError,
    expecting,
)
from xaibench.checks.plugins import checks_for
from xaibench.errors import UserError
from xaibench.registry import Registry


def raising(error):
    def act():
        raise error

    return act


@pytest.mark.parametrize(
    ("act", "state", "why"),
    [
        (lambda: None, "passed", None),
        (lambda: Note("100 calls"), "passed", "100 calls"),
        (lambda: "is wrong", "failed", "is wrong"),
        (raising(ValueError("two\n lines")), "failed", "ValueError: two lines"),
        (raising(SystemExit(0)), "failed", "SystemExit: 0: a plugin must not end the process"),
        (raising(NotApplicableError("a control")), "not applicable", "a control"),
        (raising(RefusedError("needs tokens")), "refused", "needs tokens"),
        (raising(NotRunError("no maps")), "not run", "no maps"),
        (lambda: time.sleep(60), "failed", "took longer than 0.2 s; `--seconds` allows more"),
    ],
)
def test_states(act, state, why):
    result = Check("keeps it", act).run(seconds=0.2)
    assert (result.name, result.state, result.why) == ("keeps it", state, why)
    assert result.failed == (state in ("failed", "not run"))


def test_a_plugin_cannot_swallow_the_end_of_its_time():
    def act():
        while True:
            try:
                time.sleep(60)
            except Exception:
                continue

    assert Check("keeps it", act).run(seconds=0.2).state == "failed"


def test_expected_failures_are_told_by_promise_or_name_and_must_fail():
    checks = [
        Check("keeps it", lambda: "is wrong", "one"),
        Check("keeps it", lambda: None, "two"),
        Check("else", lambda: None),
    ]
    results = [c.run() for c in expecting(checks, {"keeps it": "we know"})]
    assert [r.state for r in results] == ["expected failure", "failed", "passed"]
    assert results[0].why == "we know (is wrong)"
    assert results[1].why == "expected to fail (we know), and passes: remove it from `expected`"
    results = [c.run() for c in expecting(checks, {"keeps it (one)": "we know"})]
    assert [r.state for r in results] == ["expected failure", "passed", "passed"]
    with pytest.raises(UserError, match="`expected` names no check: keeps that"):
        expecting(checks, {"keeps that": "we know"})


def test_a_call_raises_or_skips_with_the_reason():
    Check("keeps it", lambda: None)()
    with pytest.raises(AssertionError, match="keeps it: is wrong"):
        Check("keeps it", lambda: "is wrong")()
    with pytest.raises(unittest.SkipTest, match="not applicable: a control"):
        Check("keeps it", raising(NotApplicableError("a control")))()
    with pytest.raises(unittest.SkipTest, match=r"expected failure: we know \(is wrong\)"):
        Check("keeps it", lambda: "is wrong", expected="we know")()


@pytest.mark.parametrize("check", [Check("keeps it", lambda: None, "on that")])
def test_pytest_calls_it_by_its_name(check, request):
    assert request.node.name.endswith("[keeps it (on that)]")


@pytest.mark.parametrize("kind", ["explainer", "metric", "model", "dataset"])
def test_every_kind_has_checks_of_an_instance_and_of_a_class(kind):
    name = {"explainer": "random", "metric": "deletion", "model": "timm", "dataset": "pcam"}[kind]
    cls = Registry().load(kind, name)
    promises = [c.name for c in xaibench.checks_for(cls)]
    assert promises[0] == "is a frozen dataclass with a docstring"
    assert len(promises) > 20
    assert len(set(promises)) == len(promises)
    assert [c.name for c in checks_for(cls())] == promises


def test_what_is_no_plugin_is_refused():
    with pytest.raises(UserError, match="a str cannot be checked; allowed: dataset, explainer, m"):
        checks_for("random")
