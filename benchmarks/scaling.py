"""Seconds and peak memory of deletion as a run grows, each amount of work in a fresh process.

Images come in blocks, as a run takes them: the same ones again and again. What grows is the number
of images, of steps of the curve, of explainers whose maps are scored, or of pixels along a side.

python -m benchmarks.scaling --images 256
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from benchmarks.bare import Bare
from benchmarks.contest import limit
from benchmarks.sizes import QUICK, SIZES
from benchmarks.subjects import ROOT, Subject, subject
from benchmarks.tables import markdown, number
from benchmarks.timing import timed
from xaibench.engine.costs import peak_memory
from xaibench.metrics.deletion import Deletion

_BLOCK = 16  # images; see xaibench.runs.blocks.blocks_of


@dataclass(frozen=True)
class Load:
    """An amount of work: ``pixels`` along a side of each image."""

    images: int = 16
    steps: int = 48
    explainers: int = 1
    pixels: int = 96

    @property
    def options(self) -> list[str]:
        return [word for name, value in asdict(self).items() for word in (f"--{name}", str(value))]


AXES = {
    "images": (16, 64, 256),
    "steps": (24, 96, 384),
    "explainers": (1, 4, 16),
    "pixels": (64, 128, 224),
}
"""What grows, and its amounts."""


def one(size_name: str, load: Load, device: torch.device) -> dict[str, object]:
    """Return what a load takes in this process: seconds, passes, those as bare ones, and memory."""
    size = replace((SIZES | QUICK)[size_name], pixels=load.pixels)
    its = subject(size, min(load.images, _BLOCK), device, "auto")
    _score(its, replace(load, images=min(load.images, _BLOCK), explainers=1))
    bare = Bare(its.model, its.batch.images, backward=False)
    floor = [timed(bare.forward, device) / bare.count]
    before = its.model.passes.copy()
    with peak_memory(device) as peak:
        seconds = timed(lambda: _score(its, load), device)
    passes = its.model.passes.since(before)
    floor.append(timed(bare.forward, device) / bare.count)
    return asdict(load) | {
        "seconds": seconds,
        "passes": passes.forward,
        "limit": limit(passes, sum(floor) / 2, None),
        "peak_bytes": peak.bytes,
    }


def _score(its: Subject, load: Load) -> None:
    metric, generator = Deletion(load.steps), torch.Generator().manual_seed(0)
    for first in range(0, load.images, _BLOCK):
        count = min(_BLOCK, load.images - first)
        batch, maps = its.fresh(count), its.maps[:count]
        for _ in range(load.explainers):
            metric.score(its.model, batch, maps)
            # Other orders of the pixels, as distinct as they were.
            order = torch.randperm(load.pixels**2, generator=generator).to(maps.device)
            maps = maps.flatten(1)[:, order].view_as(maps)


def compare(
    size_name: str,
    device: torch.device,
    axes: Mapping[str, Sequence[int]] = AXES,
    start: Load = Load(),
) -> dict[str, object]:
    """Return the section of the JSON file: each axis from ``start`` on, amount by amount."""
    found, rows = [], []
    for axis, amounts in axes.items():
        for amount in amounts:
            load = replace(start, **{axis: amount})
            took = _in_fresh_process(size_name, load, device)
            found.append({"axis": axis} | took)
            rows.append(
                [
                    axis if amount == amounts[0] else "",
                    str(amount),
                    str(took["passes"]),
                    number(took["seconds"]),
                    number(took["seconds"] / took["passes"] * 1000),
                    number(took["seconds"] / took["limit"], ".2f"),
                    _mebibytes(took["peak_bytes"]),
                ]
            )
    columns = ["what grows", "to", "passes", "s", "ms a pass", "× limit", "peak MiB"]
    said = ", ".join(f"{value} {name}" for name, value in asdict(start).items())
    title = f"**Growth of deletion**, {size_name}, from {said}, in blocks of {_BLOCK}"
    return {"runs": found, "table": f"{title}\n\n{markdown(columns, rows)}"}


def quick(device: torch.device) -> dict[str, object]:
    """Return the section of loads so small that they try the flow and say nothing."""
    axes = {"images": (2, 4), "steps": (16,), "explainers": (2,), "pixels": (48,)}
    return compare("quick_rgb", device, axes, Load(2, 8, 1, 64))


def _in_fresh_process(size_name: str, load: Load, device: torch.device) -> dict:
    words = [
        *(sys.executable, "-m", "benchmarks.scaling", "--size", size_name, *load.options),
        *("--device", str(device), "--threads", str(torch.get_num_threads())),
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[1:])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _mebibytes(count: int | None) -> str:
    return "–" if count is None else f"{count / 2**20:.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--size", default="resnet18_96", choices=[*SIZES, *QUICK])
    for name, value in asdict(Load()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    load = Load(**{name: getattr(options, name) for name in asdict(Load())})
    print(json.dumps(one(options.size, load, torch.device(options.device))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
