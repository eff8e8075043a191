"""What the commands that time and record share: their arguments, the device, the JSON file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.records import RESULTS, Record, machine, slug
from benchmarks.tables import renew
from xaibench.engine.device import choose_device, reproducible


def add_arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the arguments that ``recorded`` reads; returns the parser."""
    parser.add_argument("--threads", type=int, help="torch's default if not given")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="tiny: tries the flow")
    parser.add_argument("--table", action="store_true", help="renew the tables of README.md")
    parser.add_argument("--out", type=Path, help="folder of the JSON file")
    return parser


@contextmanager
def recorded(options: argparse.Namespace) -> Iterator[tuple[torch.device, Record]]:
    """Give the device and the machine's record; kernels do not vary inside, tables are renewed."""
    if options.threads:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    about = machine(device)
    folder = options.out or (RESULTS / "cache" if options.quick else RESULTS)
    record = Record(folder / f"{slug(about)}.json", about)
    with reproducible(0):
        yield device, record
    print(f"written: {record.path}")
    if options.table:
        renew(Path(__file__).with_name("README.md"), RESULTS)
