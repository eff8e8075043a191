"""The subject of the pytest-benchmark suites: ResNet-18 at 96 px."""

from __future__ import annotations

import pytest
import torch

from benchmarks.sizes import SIZES
from benchmarks.subjects import Subject, subject

IMAGES = 4


def pytest_benchmark_update_machine_info(config, machine_info) -> None:
    """What is committed names the processor, not the machine."""
    for name in ("node", "release"):
        machine_info.pop(name, None)


@pytest.fixture(scope="session")
def its() -> Subject:
    return subject(SIZES["resnet18_96"], IMAGES, torch.device("cpu"))


@pytest.fixture
def bare(its):
    """A function that passes so many images through the bare model, in full batches."""
    size = its.model.batch_size
    images = its.batch.images.repeat(size // IMAGES, 1, 1, 1)
    images = images.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def passes(count: int) -> None:
        for start in range(0, count, size):
            its.model(images[: min(size, count - start)])

    return passes
