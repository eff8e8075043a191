"""The two kinds of error that xaibench raises on purpose."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONG = 12  # names; more are read by nobody
_ALIKE = 0.5


class UserError(Exception):
    """Something that the user can mend: printed as one line, exit code 2, no traceback.

    The message says what is wrong, where, what is allowed, and how to mend it. What breaks lines in
    it, or steers a terminal, may come from a user's file: it is written out, as in ``\\x85``.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_CONTROL.sub(_written_out, message.strip()))


class PluginError(Exception):
    """A plugin broke its contract (shape, type, device); the message names the plugin."""


def did_you_mean(got: str, allowed: Iterable[str], shown_by: str = "") -> str:
    """Return ``; allowed: a, b (did you mean 'a'?)``, to be put behind a message.

    Args:
        shown_by: the command that shows all that are allowed, said instead of a long list.

    >>> did_you_mean("grdacam", ["grad_cam", "lime"])
    "; allowed: grad_cam, lime (did you mean 'grad_cam'?)"
    """
    names = sorted(allowed)
    if shown_by and len(names) > _LONG:
        return f"{nearest(got, names, 3)}; `{shown_by}` shows the {len(names)} there are"
    return f"; allowed: {', '.join(names) or 'nothing'}{nearest(got, names)}"


def nearest(got: str, names: Iterable[str], count: int = 1) -> str:
    """Return `` (did you mean 'a' or 'b'?)`` of the names most like it; nothing where none is.

    Of a name with a family before a dot the last part alone counts as well.
    """
    likeness = {}
    for name in sorted(names):
        whole = _alike(got, name)
        likeness[name] = max(whole, _alike(got, name.rpartition(".")[2])), whole
    likely = sorted(likeness, key=likeness.get, reverse=True)
    near = [repr(name) for name in likely if likeness[name][0] >= _ALIKE][:count]
    *others, last = near or [""]
    return f" (did you mean {', '.join(others)}{' or ' * bool(others)}{last}?)" if near else ""


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, one).ratio()


def _written_out(found: re.Match[str]) -> str:
    return " " if found[0] in "\n\t" else repr(found[0])[1:-1]
