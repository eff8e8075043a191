"""The process in which a plugin is checked: ``python -m xaibench.checks.child``.

A line of JSON an event on what was standard output: ``ready`` (our own code is there), ``checks``
(the plugin, too; their names), ``begin`` and ``end`` of each check. Whatever the plugin prints
goes to standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import sys
from typing import TextIO

from xaibench.checks.check import CheckResult, OutOfTimeError, time_limit, told, took_too_long
from xaibench.checks.plugins import checks_for, made
from xaibench.checks.process import IMPORTED
from xaibench.errors import UserError
from xaibench.registry import find_named


def main() -> None:
    """Load a plugin and run its checks from a number on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("named")
    parser.add_argument("--kind", type=lambda kind: kind or None)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    line = _own_line()
    if asked.kind:
        importlib.import_module(f"xaibench.checks.{asked.kind}s")
    _say(line, "ready")
    result = CheckResult(IMPORTED, "passed")
    try:
        with time_limit(asked.seconds):
            plugin = find_named(asked.named, asked.kind).load()
            checks = checks_for(made(plugin, asked.set))
    except SystemExit as end:
        result = CheckResult(IMPORTED, "failed", f"{told(end)}: a plugin must not end the process")
    except OutOfTimeError:
        result = CheckResult(IMPORTED, "failed", took_too_long(asked.seconds))
    except UserError as error:
        result = CheckResult(IMPORTED, "failed", str(error))
    except Exception as error:
        result = CheckResult(IMPORTED, "failed", told(error))
    _say(line, "end", **dataclasses.asdict(result))
    if result.failed:
        return
    _say(line, "checks", names=[check.name for check in checks])
    for number, check in enumerate(checks[asked.first :], asked.first):
        _say(line, "begin", number=number)
        _say(line, "end", **dataclasses.asdict(check.run(asked.seconds)))


def _own_line() -> TextIO:
    line = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return line


def _say(line: TextIO, event: str, **what: object) -> None:
    print(json.dumps({"event": event, **what}), file=line, flush=True)


if __name__ == "__main__":
    main()
