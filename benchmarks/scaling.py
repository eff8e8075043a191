"""Seconds an image and peak memory at two numbers of images, each in a fresh process.

Images come in blocks, as a run takes them: the same ones again and again.

python -m benchmarks.scaling --method deletion --images 256
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

import torch

from benchmarks.sizes import QUICK, SIZES
from benchmarks.subjects import ROOT, subject
from benchmarks.tables import markdown
from benchmarks.timing import timed
from xaibench.engine.costs import peak_memory
from xaibench.explainers.superpixel_occlusion import SuperpixelOcclusion
from xaibench.metrics.deletion import Deletion

METHODS = ("deletion", "superpixel_occlusion")
_BLOCK = 16  # images; see xaibench.runs.blocks.blocks_of


def one(size_name: str, method: str, images: int, steps: int, device: torch.device) -> dict:
    """Return seconds and peak memory of a method on so many images, block by block."""
    its = subject((SIZES | QUICK)[size_name], min(images, _BLOCK), device)

    def work(count: int) -> None:
        for first in range(0, count, _BLOCK):
            batch = its.fresh(min(_BLOCK, count - first))
            if method == "deletion":
                Deletion(steps).score(its.model, batch, its.maps[: len(batch)])
            else:
                SuperpixelOcclusion()(its.model, batch)

    work(min(images, _BLOCK))
    with peak_memory(device) as peak:
        seconds = timed(lambda: work(images), device)
    return {
        "method": method,
        "images": images,
        "seconds_an_image": seconds / images,
        "peak_bytes": peak.bytes,
    }


def compare(
    size_name: str, counts: tuple[int, int], steps: int, device: torch.device
) -> dict[str, object]:
    """Return the section of the JSON file: both numbers of images, method by method."""
    found, rows = [], []
    for method in METHODS:
        few, many = (_in_fresh_process(size_name, method, n, steps, device) for n in counts)
        found += [few, many]
        slower = many["seconds_an_image"] / few["seconds_an_image"]
        memory = "–"
        if few["peak_bytes"] and many["peak_bytes"]:
            memory = f"{many['peak_bytes'] / few['peak_bytes']:.2f}"
        cells = [f"{x['seconds_an_image']:.3g}" for x in (few, many)]
        cells += [_mebibytes(x["peak_bytes"]) for x in (few, many)]
        rows.append([method, *cells, f"{slower:.2f}", memory])
    few, many = counts
    columns = ["method", f"s/image at {few}", f"at {many}", f"peak MiB at {few}", f"at {many}",
               "× time", "× memory"]  # fmt: skip
    what = f"{size_name}, deletion of {steps} steps"
    title = f"**{few} and {many} images, in blocks of {_BLOCK}**, {what}"
    return {"runs": found, "steps": steps, "table": f"{title}\n\n{markdown(columns, rows)}"}


def _in_fresh_process(
    size_name: str, method: str, images: int, steps: int, device: torch.device
) -> dict:
    words = [
        *(sys.executable, "-m", "benchmarks.scaling", "--size", size_name, "--method", method),
        *("--images", str(images), "--steps", str(steps), "--device", str(device)),
        *("--threads", str(torch.get_num_threads())),
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
    parser.add_argument("--method", default="deletion", choices=METHODS)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    print(json.dumps(one(options.size, options.method, options.images, options.steps, device)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
