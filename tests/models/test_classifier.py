"""The contract of a model: scores of every head, passes, and that it is returned as found."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import UserError
from xaibench.models.base import Classifier, PassCount, head_for

LOGITS = torch.tensor([[1.5, -0.5, 3.0], [0.0, 2.0, -40.0]])


def classifier(head, net: nn.Module | None = None) -> Classifier:
    return Classifier(
        net or nn.Identity(),
        head=head,
        classes=("a", "b", "c"),
        mean=(0.2, 0.4, 0.6),
        std=(0.1, 0.2, 0.4),
        cam_layer=None,
        linear_head=None,
        pool=None,
        input_shape=(3, 4, 4),
    )


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def literal_score(head, z: list[float], target: int, space: str) -> float:
    """The definitions: softmax, sigma(z) and 1 - sigma(z), sigma of each label, the output."""
    if head == "single_logit":
        if space == "logit":
            return z[0] if target == 1 else -z[0]
        return sigmoid(z[0]) if target == 1 else 1 - sigmoid(z[0])
    if space == "logit" or head == "regression":
        return z[target]
    if head == "multilabel":
        return sigmoid(z[target])
    return math.exp(z[target]) / sum(math.exp(v) for v in z)


@pytest.mark.parametrize("space", ["prob", "logit"])
@pytest.mark.parametrize("head", ["softmax", "single_logit", "multilabel", "regression"])
def test_read_equals_the_definition(head, space):
    logits = LOGITS[:, :1] if head == "single_logit" else LOGITS
    for target in range(2 if head == "single_logit" else 3):
        scores = classifier(head).read(logits, torch.full((2,), target), space)
        twin = [literal_score(head, z, target, space) for z in logits.tolist()]
        assert scores.tolist() == pytest.approx(twin, abs=1e-6)


@pytest.mark.parametrize("head", ["softmax", "single_logit", "multilabel", "regression"])
def test_probabilities_have_a_column_a_class(head):
    logits = LOGITS[:, :1] if head == "single_logit" else LOGITS
    columns = classifier(head).probabilities(logits).T
    assert len(columns) == (2 if head == "single_logit" else 3)
    for target, column in enumerate(columns):
        twin = [literal_score(head, z, target, "prob") for z in logits.tolist()]
        assert column.tolist() == pytest.approx(twin, abs=1e-6)


def test_a_single_logit_is_never_a_softmax_over_one_number():
    """That would be 1 for every image."""
    scores = classifier("single_logit").read(LOGITS[:, :1], torch.ones(2, dtype=int), "prob")
    assert scores.tolist() == pytest.approx([sigmoid(1.5), 0.5])


def test_each_image_has_its_own_target():
    scores = classifier("softmax").read(LOGITS, torch.tensor([2, 1]), "logit")
    assert scores.tolist() == [3.0, 2.0]


def test_score_normalises_inside():
    """(x - mean) / std by channel; the net here returns each channel's mean."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = torch.full((1, 3, 4, 4), 0.5)
    logits = classifier("softmax", net).logits(images)[0].tolist()
    assert logits == pytest.approx([(0.5 - 0.2) / 0.1, (0.5 - 0.4) / 0.2, (0.5 - 0.6) / 0.4])


def test_passes_are_counted_where_they_happen():
    model, batch = toy_model(), toy_batch()
    with torch.no_grad():
        model.score(batch.images, batch.targets)
    assert model.passes == PassCount(5, 0)
    score = model.score(batch.images[:3], batch.targets[:3])
    assert model.passes == PassCount(8, 0)
    score.sum().backward()
    assert model.passes == PassCount(8, 3)
    earlier = model.passes.copy()
    model.logits(batch.images)
    assert model.passes.since(earlier) == PassCount(5, 0)


@pytest.mark.parametrize("fails", [False, True])
def test_returned_as_found(fails):
    """Modes, requires_grad and hooks come back, also after an exception; earlier hooks stay."""
    model, batch = toy_model(), toy_batch()
    model.net.norm.train()
    model.net.fc.weight.requires_grad_(False)
    calls = []
    model.net.last.register_forward_hook(lambda *_: calls.append("mine"))
    with pytest.raises(ZeroDivisionError) if fails else model.as_found(), model.as_found():
        model.train()
        model.requires_grad_(True)
        for module in model.modules():
            module.register_forward_hook(lambda *_: calls.append("left"))
            module.register_forward_pre_hook(lambda *_: calls.append("left"))
            module.register_full_backward_hook(lambda *_: None)
            module.register_full_backward_pre_hook(lambda *_: None)
        model.net.norm.eval()
        model.logits(batch.images.requires_grad_()).sum().backward()
        if fails:
            1 / 0  # noqa: B018
    assert model.net.norm.training
    assert not model.net.act.training
    assert not model.net.fc.weight.requires_grad
    assert model.net.stem.weight.requires_grad
    assert all(p.grad is None for p in model.parameters())
    calls.clear()
    model.logits(batch.images)
    assert calls == ["mine"]
    assert not any(m._backward_hooks or m._backward_pre_hooks for m in model.modules())


def test_module_by_name():
    model = toy_model()
    assert model.module("last") is model.net.last
    with pytest.raises(UserError, match=r"no module 'lst'; it has: stem, norm, act, last"):
        model.module("lst")


def test_normalisation_is_no_part_of_a_checkpoint():
    assert all(name.startswith("net.") for name in toy_model().state_dict())


@pytest.mark.parametrize(
    ("task", "single_logit", "head"),
    [
        ("binary", True, "single_logit"),
        ("binary", False, "softmax"),
        ("multiclass", False, "softmax"),
        ("multilabel", False, "multilabel"),
        ("regression", False, "regression"),
    ],
)
def test_head_of_a_task(task, single_logit, head):
    assert head_for(task, single_logit) == head
