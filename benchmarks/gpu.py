"""One command for a machine with a GPU: what it has, whether results are right, how fast it is.

    python benchmarks/gpu.py [--wheels FOLDER] [--minutes 9] [--out FOLDER]

Runs from a plain checkout. Sections go in the order of their importance; each is recorded when it
is finished, and left out, with the reason, when the time is spent.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.stage import Stage

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def importable(wheels: Path | None) -> Iterator[Path]:
    """Make the checkout and the wheels of a folder importable; yields a folder for scratch files.

    What the machine has installed itself goes before the wheels. Nothing is installed in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder) / "packages"
        packages.mkdir()
        files = sorted(map(str, wheels.glob("*.whl"))) if wheels else []
        if files:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
            subprocess.run([*pip, "--target", str(packages), *files], check=True)
        added = [str(ROOT), str(packages)]
        before, said = list(sys.path), os.environ.get("PYTHONPATH")
        # Not the script's own folder: its modules are those of the package `benchmarks`.
        others = [p for p in before if Path(p or ".").resolve() != ROOT / "benchmarks"]
        sys.path[:] = [added[0], *others, added[1]]
        # For processes that are started from here.
        os.environ["PYTHONPATH"] = os.pathsep.join([*added, *filter(None, [said])])
        try:
            yield Path(folder)
        finally:
            sys.path[:] = before
            os.environ.pop("PYTHONPATH")
            os.environ |= {"PYTHONPATH": said} if said else {}


SECTIONS = {
    "environment": ("gpu_environment", 0),
    "correctness": ("gpu_correctness", 20),
    "throughput": ("gpu_throughput", 20),
    "projection": ("gpu_projection", 40),
    "peers": ("gpu_peers", 60),
    "training": ("gpu_runs", 40),
    "whole_run": ("gpu_runs", 40),
    "memory": ("gpu_runs", 40),
}
"""Name -> module whose function of that name does it, and the seconds below which it is not begun.

In the order of importance. Imported one by one: a missing package takes only what needs it.
"""


def run_sections(names: Sequence[str], stage: Stage) -> list[str]:
    """Run each section that there is time for and record it; returns those that failed."""
    failed, skipped, record = [], {}, stage.record
    record.put("left_out", {"sections": skipped})
    for name in names:
        module, least = SECTIONS[name]
        if stage.deadline.left() < least:
            left = max(0, stage.deadline.left())
            skipped[name] = f"needs about {least:.0f} s, and {left:.0f} s are left"
            print(f"\n== {name}: left out: {skipped[name]}", flush=True)
            record.put("left_out", {"sections": skipped})
            continue
        print(f"\n== {name} ({stage.deadline.left():.0f} s left)", flush=True)
        begun = time.monotonic()
        try:
            section = getattr(importlib.import_module(f"benchmarks.{module}"), name)
            found = section(stage)
        except Exception as error:  # the sections after it must not be lost
            traceback.print_exc()
            failed.append(name)
            found = {"table": f"**{name}** failed: {type(error).__name__}: {error}"}
        record.put(name, {**found, "section_seconds": time.monotonic() - begun})
        print(f"{found.get('table', '')}\n({time.monotonic() - begun:.0f} s)", flush=True)
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 1 where a section failed or a result was not right."""
    options = _parser().parse_args(arguments)
    begun = time.monotonic()
    with importable(options.wheels) as scratch:
        import torch  # the wheels must be there first

        from benchmarks.records import Record, machine, slug
        from benchmarks.stage import Deadline, Stage
        from benchmarks.tables import write_page
        from xaibench.engine.device import choose_device, reproducible

        if options.threads:
            torch.set_num_threads(options.threads)
        device = choose_device(options.device)
        about = machine(device)
        name = f"{slug(about)}{'-tiny' if options.tiny else ''}"
        record = Record(options.out / f"{name}.json", about)
        deadline = Deadline(60 * options.minutes - (time.monotonic() - begun))
        stage = Stage(device, options.tiny, deadline, record, scratch)
        chosen = [name for name in SECTIONS if name in (options.sections or SECTIONS)]
        with reproducible(0):
            failed = run_sections(chosen, stage)
        page = write_page(record.content, record.path.with_suffix(".md"))
        print(f"\nwritten: {record.path} and {page}")
        for each in failed:
            print(f"failed: {each}")
        wrong = record.content.get("correctness", {}).get("wrong", 0)
        return int(bool(failed or ("correctness" in chosen and wrong)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python benchmarks/gpu.py", description=__doc__)
    parser.add_argument("--wheels", type=Path, help="folder of .whl files for what is missing")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to try the flow")
    parser.add_argument("--threads", type=int, help="torch's default if not given")
    parser.add_argument(
        "--sections", nargs="+", choices=SECTIONS, help="all by default, in their own order"
    )
    parser.add_argument("--tiny", action="store_true", help="tiny sizes: tries the flow")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
