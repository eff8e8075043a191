"""Write ``docs/errors.md``: what is told of each mistake that the tests make.

``python docs/site/errors.py`` after a change of ``tests/bad_*.py``; a test says when it is due.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "errors.md"
HEAD = """\
# Errors

A mistake that you can mend is one sentence that begins with `xaibench:`, and exit code 2. It says
what is wrong, where, what is allowed, and how to mend it. Here is every one that the tests make; an
ellipsis (…) stands for what differs from machine to machine.
"""


def page() -> str:
    """Return the page's text."""
    sys.path.insert(0, str(ROOT / "tests"))
    from bad_case import tables

    said = [HEAD]
    for title, cases in tables().items():
        said.append(f"## {title}\n")
        for case in cases:
            words = shlex.join(("xaibench", *case.words))
            what = case.what[:1].upper() + case.what[1:]
            said.append(f"{what}: `{words}`\n\n```text\nxaibench: {case.said}\n```\n")
    return "\n".join(said)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
