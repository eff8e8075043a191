"""The two kinds of error that xaibench raises on purpose."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user can mend: printed as one line, exit code 2, no traceback.

    The message says what is wrong, where, what is allowed, and how to mend it.
    """


class PluginError(Exception):
    """A plugin broke its contract (shape, type, device); the message names the plugin."""


def did_you_mean(got: str, allowed: Iterable[str]) -> str:
    """Return ``; allowed: a, b (did you mean 'a'?)``, to be put behind a message.

    >>> did_you_mean("grdacam", ["grad_cam", "lime"])
    "; allowed: grad_cam, lime (did you mean 'grad_cam'?)"
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"; allowed: {', '.join(names) or 'nothing'}{hint}"
