"""Time ours and every peer side by side, and compare what they return.

python -m benchmarks.peers [--sizes resnet18_96] [--methods lime] [--brief] [--table]
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch

from benchmarks.bare import Bare, bare_networks
from benchmarks.contest import OURS, Contestant, compete
from benchmarks.figure import draw
from benchmarks.method import HALF, Method
from benchmarks.methods import BRIEF_METHODS, METHODS, methods
from benchmarks.recorded import add_arguments, recorded
from benchmarks.records import Record, row
from benchmarks.sizes import BRIEF, QUICK, SIZES, Size, brief, on_gpu
from benchmarks.subjects import Subject, subject
from benchmarks.tables import line, write_page
from xaibench.engine.network import ForwardNetwork
from xaibench.types import BackendName

# Seconds of each method beside one another, roughly.
_SHARES = dict(zip(METHODS, (10, 8, 6, 6, 5, 20, 20, 20, 4, 2, 20, 15), strict=True))
_WIDTHS = (21, 42, 9, 13, 8, 7, 10, 0)


def measure(
    sizes: Sequence[Size],
    names: Sequence[str],
    device: torch.device,
    record: Record,
    *,
    repeats: int,
    wanted: Callable[[Contestant], bool] = lambda contestant: True,
    backend: BackendName | Literal["auto"] = "auto",
    out_of_time: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda text: print(text, flush=True),
) -> list[dict]:
    """Measure methods on sizes; print and record each row as soon as it is known.

    Returns:
        The rows, those that could not be measured with their reason for a note.
    """
    rows: list[dict] = []
    left = Left([(size, name) for size in sizes for name in names])
    for size in sizes:
        its = subject(size, size.most_images, device, backend)
        say(f"{size.name}: {size.architecture}, {size.pixels} px, {its.source}, {device}")
        say(str(its.choice))
        say(_columns(["method", "implementation", "s/image", "passes", "× limit", "× ours",
                      "difference", "note"]))  # fmt: skip
        networks = bare_networks(its.model)  # compiled once for all methods
        for name in names:
            if out_of_time():
                say(f"{name}: left out, the time is spent")
                continue
            method = methods(its)[name]()
            measured = _method_rows(its, method, networks, device, repeats, wanted)
            record.add_rows(measured)
            rows += measured
            for each in measured:
                say(_columns(line(each)))
            say(f"  {left.after(size, name)}")
    return rows


def _method_rows(
    its: Subject,
    method: Method,
    networks: Mapping[BackendName, ForwardNetwork],
    device: torch.device,
    repeats: int,
    wanted: Callable[[Contestant], bool],
) -> list[dict]:
    contestants = [c for c in method.contestants if c.name == OURS or wanted(c)]
    bare = Bare(its.model, its.batch.images, backward=method.backward, among=networks)
    contest = compete(contestants, bare, repeats, device, backward=method.backward)
    return [row(its, method, result, contest) for result in contest.results]


class Left:
    """Guesses the time left: the rest takes as long for its share of the work as what is done."""

    def __init__(self, plan: Sequence[tuple[Size, str]]) -> None:
        self._plan = list(plan)
        self._begun = time.monotonic()

    def after(self, size: Size, name: str) -> str:
        at = self._plan.index((size, name)) + 1
        done, rest = (
            sum(_SHARES[n] for _, n in part) for part in (self._plan[:at], self._plan[at:])
        )
        spent = time.monotonic() - self._begun
        return f"{spent:.0f} s, {at}/{len(self._plan)}, about {spent / done * rest:.0f} s left"


def _columns(cells: Sequence[str]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 1 where one of ours failed."""
    options = _parser().parse_args(arguments)
    known = QUICK if options.quick else SIZES
    in_brief = options.brief and not options.quick  # which is briefer
    ends = time.monotonic() + 60 * options.minutes
    with recorded(options) as (device, record):
        fitted = on_gpu if device.type == "cuda" else brief if in_brief else lambda size: size
        all_sizes, all_methods = (BRIEF, BRIEF_METHODS) if in_brief else (known, METHODS)
        rows = measure(
            [_changed(fitted(known[name]), options) for name in options.sizes or all_sizes],
            options.methods or all_methods,
            device,
            record,
            repeats=options.repeats,
            wanted=lambda contestant: _wanted(contestant, options),
            backend=options.backend,
            out_of_time=lambda: time.monotonic() > ends,
        )
        draw(record.content, record.path.with_suffix(".png"))
        if options.out:  # a folder of results alone has its tables in the page of benchmarks
            write_page(record.content, record.path.with_suffix(".md"))
    ours = [r for r in rows if r["implementation"].startswith(OURS)]
    return int(any(not r["seconds"] for r in ours))


def _wanted(contestant: Contestant, options: argparse.Namespace) -> bool:
    if contestant.name == HALF:
        return options.precision in ("bf16", "both")
    peers = [p.lower() for p in options.peers or ()]
    return not peers or any(p in contestant.name.lower() for p in peers)


def _changed(size: Size, options: argparse.Namespace) -> Size:
    if options.images:
        size = replace(
            size, images=options.images, lime_images=options.images, cam_images=options.images
        )
    return replace(size, samples=options.samples) if options.samples else size


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=[*SIZES, *QUICK], help="all by default")
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="all by default")
    parser.add_argument("--peers", nargs="+", help="parts of names, such as captum; all by default")
    parser.add_argument("--images", type=int, help="of a repetition of each method")
    parser.add_argument("--samples", type=int, help="of LIME")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--brief", action="store_true", help="little of each method")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing after them")
    parser.add_argument("--precision", choices=("fp32", "bf16", "both"), default="both")
    parser.add_argument(
        "--backend", choices=["auto", *get_args(BackendName)], default="auto", help="of ours"
    )
    return add_arguments(parser)


if __name__ == "__main__":
    sys.exit(main())
