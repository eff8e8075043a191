"""Conformance: the same checks for our plugins and for everyone's.

``xaibench check my_file.py`` runs them in a process of their own; `checks_for` gives them to
pytest.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence

from xaibench.checks.check import Check, expecting
from xaibench.config.checking import checked
from xaibench.config.document import Document
from xaibench.config.parameters import REQUIRED, parameters_of
from xaibench.errors import UserError, did_you_mean
from xaibench.registry import KINDS


def checks_for(plugin: object, expected: Mapping[str, str] | None = None) -> list[Check]:
    """Return the checks of a plugin of any kind; each is a call that raises AssertionError.

    Args:
        plugin: an instance, or a class whose parameters all have defaults.
        expected: name of a check -> why it fails, and may; beside the plugin's own ``expected``.

    Raises:
        UserError: no plugin, or a class that cannot be made.
    """
    if inspect.isclass(plugin):
        plugin = made(plugin)
    kind = getattr(plugin, "kind", type(plugin).__name__)
    if kind not in KINDS:
        raise UserError(f"a {kind} cannot be checked{did_you_mean(kind, KINDS)}")
    # One kind's contract alone is imported: what the others need takes seconds.
    of_kind = getattr(importlib.import_module(f"xaibench.checks.{kind}s"), f"{kind}_checks")
    own = getattr(plugin, "expected", {})
    return expecting(of_kind(plugin), {**own, **(expected or {})})


def made(cls: type, settings: Sequence[str] = ()) -> object:
    """Return an instance by its defaults, or what ``checked_with`` of its class says instead.

    Args:
        settings: ``key=value`` each, the value as YAML, checked as in a config.

    Raises:
        UserError: a parameter without a default, or one that is not allowed.
    """
    document = Document.said(cls.__name__, dict(getattr(cls, "checked_with", {})), settings)
    if document.data:
        return checked(cls, document.data, document, ())
    lacking = [name for name, p in parameters_of(cls).items() if p.default is REQUIRED]
    if lacking:
        raise UserError(
            f"{cls.__name__}: every parameter needs a default to be checked with, and "
            f"{' and '.join(lacking)} ha{'s' if len(lacking) == 1 else 've'} none; say "
            f"`--set {lacking[0]}=...`"
        )
    try:
        return cls()
    except TypeError as error:
        raise UserError(f"{cls.__name__}: every parameter needs a default: {error}") from None
