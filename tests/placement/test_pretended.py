"""The pretended GPU refuses what torch refuses, and writes down what waits."""

from __future__ import annotations

import pytest
import torch
from placing import CPU, PlacementError
from pretended import GPU, Pretended, pretended_gpu
from torch._subclasses import FakeTensorMode

from xaibench.checks.stage import toy_model

# Of a tensor (4, 4) on the GPU and one of the CPU: what torch allows, and what it does not.
OPERATORS = {
    "a number": lambda there, here: there + here[0, 0],
    "a number into places": lambda there, here: there.masked_fill(there > 0, here[0, 0]),
    "a number chosen": lambda there, here: torch.where(there > 0, there, here[0, 0]),
    "a number into an index": lambda there, here: there.index_put_((there.long(),), here[0, 0]),
    "numbers into an index": lambda there, here: there.index_put_((there.long(),), here),
    "index of the CPU": lambda there, here: there[here.long()],
    "copy into": lambda there, here: there.copy_(here),
    "sum": lambda there, here: there + here,
    "into": lambda there, here: here.add_(there),
    "row": lambda there, here: there * here[0],
    "product": lambda there, here: there @ here,
    "gather": lambda there, here: there.gather(1, here.long()),
    "scatter": lambda there, here: there.scatter(1, here.long(), 1.0),
    "choice": lambda there, here: torch.where(here > 0, there, 0.0),
    "joined": lambda there, here: torch.cat([there, here]),
    "stacked": lambda there, here: torch.stack([there, here]),
    "convolution": lambda there, here: torch.conv2d(there[None, None], here[None, None]),
    "in-place row": lambda there, here: there[0].mul_(here[0]),
}


def refusal(operator) -> str:
    there, here = torch.zeros(4, 4, device=GPU), torch.zeros(4, 4)
    try:
        operator(there, here)
    except (RuntimeError, PlacementError) as error:
        return str(error)
    return ""


def refused_by_torch(operator) -> bool:
    with FakeTensorMode():
        said = refusal(operator)
    assert not said or "device" in said
    return bool(said)


def refused_here(operator) -> bool:
    with pretended_gpu():
        said = refusal(operator)
    assert not said or "at tests/placement/test_pretended.py:<lambda>, line" in said
    return bool(said)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_it_refuses_what_torch_refuses(operator):
    assert refused_here(operator) == refused_by_torch(operator)


def test_both_answers_are_among_the_operators():
    assert {refused_by_torch(operator) for operator in OPERATORS.values()} == {True, False}


def test_an_index_of_the_gpu_into_the_cpu_is_refused():
    """By torch too, but not by its fake tensors."""
    assert refused_here(lambda there, here: here[there.long()])


WAITS = {
    "item": lambda x: x[0, 0].item(),
    "int": lambda x: int(x[0, 0]),
    "if": lambda x: bool(x[0, 0] > 0),
    "all": lambda x: bool(x.isfinite().all()),
    "allclose": lambda x: torch.allclose(x, x),
    "equal": lambda x: torch.equal(x, x),
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 0),
    "mask": lambda x: x[x > 0],
    "into a mask": lambda x: x.__setitem__(x > 0, 1.0),
    "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "unique_consecutive": lambda x: x.unique_consecutive(),
    "repeats": lambda x: x[0].repeat_interleave(x[1].long()),
    "bincount": lambda x: x[0].long().bincount(),
    "solve": lambda x: torch.linalg.solve(x + torch.eye(4, device=x.device), x),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "tolist": lambda x: x.tolist(),
    "from the CPU": lambda x: torch.ones(4).to(x.device),
    "made of a list": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "like it of a list": lambda x: x.new_tensor([1.0, 2.0]),
    "by an index of the CPU": lambda x: x[torch.tensor([0, 1])],
}
NONE = {
    "sum": lambda x: x.sum(),
    "made there": lambda x: torch.arange(4, device=x.device) + x,
    "an index": lambda x: x[x.argmax(1)],
    "chosen": lambda x: torch.where(x > 0, x, 0.0),
    "filled": lambda x: x.masked_fill_(x > 0, 0.0),
    "a slice": lambda x: x[1:, 0],
    "pinned": lambda x: torch.ones(4).pin_memory().to(x.device, non_blocking=True),
    "repeats": lambda x: x.repeat_interleave(2),
    "shape": lambda x: len(x) + x.numel(),
}


@pytest.mark.parametrize("act", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize("inference", [False, True])
def test_it_writes_down_what_waits(act, inference):
    with pretended_gpu() as seen, torch.inference_mode(inference):
        x = torch.ones(4, 4, device=GPU)
        act(x)
    assert {wait.where for wait in seen.waits} == {"tests/placement/test_pretended.py:<lambda>"}


@pytest.mark.parametrize("act", NONE.values(), ids=NONE)
@pytest.mark.parametrize("inference", [False, True])
def test_it_writes_down_nothing_else(act, inference):
    with pretended_gpu() as seen, torch.inference_mode(inference):
        act(torch.ones(4, 4, device=GPU))
    assert seen.waits == []


def test_memory_of_the_device_cannot_be_read():
    with pretended_gpu(), pytest.raises(RuntimeError, match="not supported for tensor subclasses"):
        torch.ones(3, device=GPU).numpy()


def test_numbers_gradients_and_copies_are_the_cpus():
    model = toy_model()
    images = torch.rand(2, 3, 32, 32)
    score = lambda net, x: torch.autograd.grad(net.score(x, x[:, 0, 0, 0].long(), "logit").sum(), x)
    (wanted,) = score(model, images.clone().requires_grad_())
    with pretended_gpu():
        there = toy_model().to(GPU)
        assert there.device == GPU
        (found,) = score(there, images.to(GPU).requires_grad_())
        assert isinstance(found, Pretended)
        assert isinstance(there.cpu().mean, torch.Tensor)
        assert there.device == CPU
    torch.testing.assert_close(found.held, wanted)
