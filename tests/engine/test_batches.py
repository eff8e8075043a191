"""Batches of the model's size: found, and halved where memory runs out."""

from __future__ import annotations

import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import automatic_batch_size, in_batches
from xaibench.engine.batches import _size_on_cpu, _size_on_gpu
from xaibench.explainers.cam import Cam
from xaibench.explainers.grad_cam import GradCam
from xaibench.explainers.integrated_gradients import IntegratedGradients


def short_of_memory(model, most: int) -> list[int]:
    """Let the model run out of memory on more than ``most`` images; return the sizes it saw."""
    sizes = []

    def look(_, inputs):
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > most:
            raise torch.OutOfMemoryError("out of memory")

    model.register_forward_pre_hook(look)
    return sizes


def test_parts_are_as_large_as_allowed():
    model, parts = toy_model(), []
    model.batch_size = 4
    in_batches(model, 10, parts.append)
    assert parts == [slice(0, 4), slice(4, 8), slice(8, 10)]
    in_batches(model, 0, lambda part: pytest.fail("there is nothing to do"))


@pytest.mark.parametrize(
    ("batch_size", "count", "sizes"),
    [(4, 9, [4, 3, 2]), (4, 5, [3, 2]), (3, 4, [2, 2]), (2, 3, [2, 1]), (1, 2, [1, 1])],
)
def test_no_image_is_left_over_alone(batch_size, count, sizes):
    model, parts = toy_model(), []
    model.batch_size = batch_size
    in_batches(model, count, parts.append)
    assert [part.stop - part.start for part in parts] == sizes
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]


@pytest.mark.parametrize("explainer", [Cam(), GradCam(), IntegratedGradients(steps=4)])
def test_explainers_by_gradient_and_by_features_go_on_in_halves(explainer):
    model, batch = toy_model(), toy_batch(images=5)
    wanted = explainer(toy_model(), batch).maps
    sizes = short_of_memory(model, most=2)
    maps = explainer(model, batch).maps
    assert maps == pytest.approx(wanted, abs=1e-6)
    assert model.batch_size == 2
    assert max(sizes[-3:]) <= 2


def test_what_does_not_fit_alone_is_an_error():
    model, batch = toy_model(), toy_batch(images=2)
    short_of_memory(model, most=0)
    with pytest.raises(torch.OutOfMemoryError):
        Cam().attribute(model, batch)
    assert model.batch_size == 1


@pytest.mark.parametrize(
    ("side", "image_bytes", "total_bytes", "size"),
    [
        (96, 40e6, 80 * 2**30, 1024),  # 1,288 would fit
        (96, 1e6, 80 * 2**30, 1024),  # pixels are the limit: 1,820
        (224, 1e6, 80 * 2**30, 256),
        (224, 200e6, 16 * 2**30, 32),  # 51 would fit
        (224, 1e12, 16 * 2**30, 1),
        (8192, 1e6, 80 * 2**30, 1),
    ],
)
def test_on_a_gpu_pixels_and_memory_bound_the_size(side, image_bytes, total_bytes, size):
    assert _size_on_gpu(side * side, image_bytes, total_bytes) == size


@pytest.mark.parametrize(
    ("side", "threads", "size"),
    [
        (96, 2, 32),  # 56 would be as many pixels
        (224, 2, 8),
        (224, 16, 64),
        (32, 2, 64),
        (1024, 1, 1),
        (1024, 16, 4),
    ],
)
def test_on_a_cpu_caches_bound_the_size(side, threads, size):
    assert _size_on_cpu(side * side, threads) == size


def test_the_size_is_the_models():
    model = toy_model()
    _, height, width = model.input_shape
    assert automatic_batch_size(model) == _size_on_cpu(height * width, torch.get_num_threads())


def test_light_items_come_more_a_pass():
    model, parts = toy_model(), []
    model.batch_size = 2
    in_batches(model, 10, parts.append, per_pass=3)
    assert parts == [slice(0, 6), slice(6, 10)]


def test_light_items_that_run_out_of_memory_halve_the_passes():
    model, parts = toy_model(), []
    model.batch_size = 4

    def work(part):
        if part.stop - part.start > 6:
            raise torch.OutOfMemoryError("out of memory")
        parts.append(part)

    in_batches(model, 10, work, per_pass=3)
    assert (parts, model.batch_size) == ([slice(0, 6), slice(6, 10)], 2)
