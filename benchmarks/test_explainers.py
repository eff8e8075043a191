"""Explainers, each beside its number of bare passes; gradients beside forward passes too."""

from __future__ import annotations

import pytest

from benchmarks.conftest import IMAGES
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.explainers.lime import Lime
from xaibench.explainers.square_occlusion import SquareOcclusion
from xaibench.explainers.superpixel_occlusion import SuperpixelOcclusion

EXPLAINERS = {
    "superpixel occlusion": SuperpixelOcclusion(),
    "square occlusion": SquareOcclusion(32, 16),
    "LIME, 128 samples": Lime(128, "slic", "black"),
    "Integrated Gradients, 16 points": IntegratedGradients(16),
}


@pytest.mark.parametrize("name", EXPLAINERS)
@pytest.mark.parametrize("what", ["bare", "ours"])
def test_explainer(benchmark, its, bare, name, what):
    benchmark.group = f"{name}, {IMAGES} images"
    explain = lambda: EXPLAINERS[name](its.model, its.fresh(IMAGES))
    if what == "bare":
        passes = explain().passes.forward
        assert passes > 0
        benchmark.pedantic(bare, (passes,), rounds=5, warmup_rounds=1)
    else:
        maps = benchmark.pedantic(explain, rounds=5, warmup_rounds=1).maps
        assert maps.isfinite().all()
