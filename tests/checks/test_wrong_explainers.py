"""Each wrong explainer is found by the check whose name promises it, and by no other."""

from __future__ import annotations

import pytest
import wrong_explainers
from wrong_explainers import DECLARED, WRONG, Sound, explainer

from xaibench.checks.plugins import checks_for

ALL = [
    *(
        pytest.param(promise, explainer(attribute), id=attribute.__name__)
        for promise, functions in WRONG.items()
        for attribute in functions
    ),
    *(pytest.param(promise, plugin, id=promise) for promise, plugin in DECLARED.items()),
]


@pytest.fixture(autouse=True)
def nothing_kept():
    yield
    for kept in wrong_explainers.KEPT:
        if hasattr(kept, "close"):
            kept.close()
    wrong_explainers.KEPT.clear()


def results(plugin, promise=None):
    return [c.run() for c in checks_for(plugin) if promise in (None, c.promise)]


@pytest.mark.parametrize(("promise", "plugin"), ALL)
def test_a_wrong_explainer_is_found(promise, plugin):
    found = results(plugin, promise)
    assert any(result.state == "failed" for result in found), found


@pytest.mark.slow
def test_a_sound_one_passes():
    assert [r for r in results(explainer(Sound.attribute)) if r.failed] == []
