"""A whole run beside its limit, its growth with the number of images, and what bf16 changes.

python -m benchmarks.whole_run [--parts limit scaling bf16] [--table]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import half_precision, scaling, whole
from benchmarks.recorded import add_arguments, recorded
from benchmarks.sizes import QUICK, SIZES
from benchmarks.subjects import ROOT, subject
from xaibench.progress import LineProgress

PARTS = ("limit", "scaling", "bf16")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: each part's table is printed and recorded as soon as it is known."""
    options = _parser().parse_args(arguments)
    parts = {"limit": _limit, "scaling": _scaling, "bf16": _half}
    with recorded(options) as (device, record):
        for name in options.parts:
            section = parts[name](options, device)
            record.put(name, section)
            print(f"\n{section['table']}\n", flush=True)
    return 0


def _limit(options: argparse.Namespace, device: torch.device) -> dict[str, object]:
    size = QUICK["quick_rgb"] if options.quick else SIZES["resnet18_96"]
    images = options.images or (2 if options.quick else 16)
    its = subject(replace(size, images=images), images, device)
    whole.warm_up(its)
    samples, steps = (30, 8) if options.quick else (options.samples, 100)
    costs = whole.explain_and_score(its, images, samples=samples, steps=steps)
    said = f"{size.name}, {its.source}, LIME of {samples} samples, curves of {steps} steps"
    return whole.summary(costs, images, said)


def _scaling(options: argparse.Namespace, device: torch.device) -> dict[str, object]:
    return scaling.quick(device) if options.quick else scaling.compare("resnet18_96", device)


def _half(options: argparse.Namespace, device: torch.device) -> dict[str, object]:
    amount = half_precision.Amount()
    if options.quick:
        amount = half_precision.Amount(2, 30, 8, 0)
    cache, progress = options.cache, LineProgress()
    data = half_precision.open_data(cache, amount, progress)
    model, said = half_precision.trained(data, options.weights, amount, device, cache, progress)
    batch = half_precision.batch_of_test_images(data, model, options.images or amount.images)
    about = f"{said}; {len(batch)} test images of {data.name}; {amount.steps} steps"
    return half_precision.compare(model, batch, amount, about)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_run", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--images", type=int, help="of the parts limit and bf16; 16 each")
    parser.add_argument("--samples", type=int, default=1000, help="of LIME in the part limit")
    parser.add_argument("--weights", type=Path, help="trained tf_efficientnet_lite0 for bf16")
    parser.add_argument("--cache", type=Path, default=ROOT / "results" / "cache")
    return add_arguments(parser)


if __name__ == "__main__":
    sys.exit(main())
