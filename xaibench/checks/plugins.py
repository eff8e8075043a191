"""Conformance: the same checks for our plugins and for everyone's.

``xaibench check my_file.py`` runs them; so do our own tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xaibench.checks.checking import CheckResult
from xaibench.checks.explainers import check_explainer
from xaibench.checks.metrics import check_metric
from xaibench.errors import UserError, did_you_mean
from xaibench.registry import Registry

CHECKS = {"explainer": check_explainer, "metric": check_metric}


def checks_for(plugin: object) -> Iterator[CheckResult]:
    """Check an explainer or a metric against its contract, one result after the other.

    Raises:
        UserError: a plugin of another kind.
    """
    kind = getattr(plugin, "kind", type(plugin).__name__)
    if kind not in CHECKS:
        raise UserError(f"a {kind} cannot be checked yet{did_you_mean(kind, CHECKS)}")
    yield from CHECKS[kind](plugin)


def check_plugin(named: str) -> Iterator[CheckResult]:
    """Check a plugin file, or an installed plugin named ``KIND:NAME``, with its defaults."""
    kind, colon, name = named.partition(":")
    if colon and not Path(named).exists():
        plugin = Registry().load(kind, name)
    else:
        path = Path(named)
        found = [p for p in Registry([path]).plugins() if p.source == str(path)]
        plugin = found[0].load()
    try:
        instance = plugin()
    except TypeError as error:
        raise UserError(f"{named}: every parameter needs a default: {error}") from None
    yield from checks_for(instance)
