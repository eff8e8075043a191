"""Our own explainers pass everyone's checks, each in a process of its own.

There, the types of signatures are not enforced, which takes time and memory of its own. Explainers
and the others are two files, so that two processes share the work.
"""

from __future__ import annotations

import pytest
from own_plugins import hold_to_contract, plugins


@pytest.mark.parametrize(("kind", "name", "settings"), list(plugins("explainer")))
def test_it_keeps_its_contract(kind, name, settings, tmp_path):
    hold_to_contract(kind, name, settings, tmp_path)
