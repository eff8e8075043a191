"""In which numbers a step computes: half precision on GPUs alone, fp32 where it is asked for."""

from __future__ import annotations

import pytest
import torch
from toy_training import OPTIONS

from xaibench.training.casting import Casting

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
# Without a driver torch says that it leaves scaling out.
pytestmark = pytest.mark.filterwarnings("ignore:.*CUDA is not available")


@pytest.mark.parametrize(
    ("device", "precision", "capability", "half"),
    [
        (CPU, "auto", None, None),
        (CPU, "fp32", None, None),
        (GPU, "fp32", (9, 0), None),
        (GPU, "auto", (9, 0), torch.bfloat16),
        (GPU, "auto", (8, 0), torch.bfloat16),
        (GPU, "auto", (7, 5), torch.float16),
    ],
)
def test_half_precision_is_for_gpus(monkeypatch, device, precision, capability, half):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    casting = Casting.of(device, OPTIONS.model_copy(update={"precision": precision}))
    assert casting.half == half


def test_a_step_on_a_cpu_is_the_plain_one():
    """SGD of x^2 at 3 with rate 0.5: 3 - 0.5 * 6 = 0, whatever gradient was left before."""
    x = torch.nn.Parameter(torch.tensor(3.0))
    x.grad = torch.tensor(100.0)
    casting = Casting.of(CPU, OPTIONS)
    with casting.autocast():
        assert (torch.eye(2) @ torch.eye(2)).dtype == torch.float32
    casting.step(x**2, torch.optim.SGD([x], lr=0.5))
    assert x.item() == 0
