"""Every explainer and metric on the device beside fp32 on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.stage import Stage
from benchmarks.standard import explainers, metrics
from benchmarks.subjects import Subject
from benchmarks.tables import markdown
from xaibench.explainers.lime import Lime

TOLERANCE = {"fp32": 1e-3, "bf16": 0.3}
"""Largest difference: of maps relative to the largest value of the map on the CPU, of scores (in
[0, 1]) as it is. In fp32 the device sums in another order, and convolutions choose other
algorithms. The untrained network is far from smooth: what bf16 rounds changes its maps by a tenth
on a CPU as well. A wrong path would change them by about 1."""


def correctness(stage: Stage) -> dict[str, object]:
    """Return the section: the largest difference of each, and which exceed the tolerance."""
    expected = {name: values.cpu() for name, values in _outputs(stage.small(torch.device("cpu")))}
    rows, found = [], []
    for backend in stage.backends:
        its = stage.small(stage.device, backend)
        for precision in ("fp32", "bf16"):
            model = its.half if precision == "bf16" else its.model
            for name, values in _outputs(replace(its, model=model)):
                kind = name.partition(" ")[0]
                gap = _gap(expected[name], values.cpu(), relative=kind == "map")
                fine = gap <= TOLERANCE[precision]
                each = {
                    "name": name,
                    "precision": precision,
                    "backend": backend,
                    "difference": gap,
                    "tolerance": TOLERANCE[precision],
                    "fine": fine,
                }
                found.append(each)
                said = "yes" if fine else "NO"
                rows.append([name, precision, backend, f"{gap:.1e}", said])
    wrong = sum(not each["fine"] for each in found)
    title = (
        f"**Correctness**: {stage.device} against fp32 on the CPU, {stage.size.name}; tolerance "
        f"{TOLERANCE['fp32']:g} in fp32, {TOLERANCE['bf16']:g} in bf16; {wrong} outside"
    )
    columns = ["what", "precision", "backend", "largest difference", "within"]
    return {"found": found, "wrong": wrong, "table": f"{title}\n\n{markdown(columns, rows)}"}


def _outputs(its: Subject) -> Iterator[tuple[str, Tensor]]:
    """Yield ``map EXPLAINER`` and ``score METRIC`` with what they give for two images."""
    maps = its.maps[:2]
    # Small batches, so that there are full ones, which alone are accelerated.
    its.model.batch_size = 16
    # LIME keeps all its segments here: which five are the largest may turn on the last bit.
    chosen = explainers(64) | {"lime": Lime(64, "slic", "black")}
    for name, explainer in chosen.items():
        yield f"map {name}", explainer(its.model, its.fresh(2)).maps
    for metric in metrics(16).values():
        for name, values in metric.score(its.model, its.fresh(2), maps).values.items():
            yield f"score {name}", values


def _gap(expected: Tensor, found: Tensor, *, relative: bool) -> float:
    scale = float(expected.abs().max()) if relative else 1.0
    return float((expected - found).abs().max()) / max(scale, 1e-12)
