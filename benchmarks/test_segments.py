"""Label maps of one image: SLIC and LIME's own quickshift, at 96 and 224 px."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.sizes import SIZES
from benchmarks.subjects import smooth_noise
from xaibench.config.sections import SegmentOptions
from xaibench.explainers.lime import Lime
from xaibench.segmentation.slic import Slic

SEGMENTATIONS = {
    "slic": Slic(**SegmentOptions().model_dump()),
    "quickshift": Lime(segmentation="quickshift").own_segmentation(),
}


@pytest.mark.parametrize("pixels", [96, 224])
@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_segmentation(benchmark, name, pixels):
    benchmark.group = f"segments of one image, {pixels} px"
    image = smooth_noise(replace(SIZES["resnet18_96"], pixels=pixels), 1)[0].numpy()
    labels = benchmark.pedantic(SEGMENTATIONS[name], (image, 0), rounds=5, warmup_rounds=1)
    assert labels.max() > 0
