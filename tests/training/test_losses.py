"""Losses against literal twins; missing labels."""

from __future__ import annotations

import math

import pytest
import torch
from toy_training import toy_model

from xaibench.training.losses import loss_for

NAN = float("nan")


def _logits(outputs: int) -> torch.Tensor:
    return torch.randn(5, outputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_softmax_is_the_mean_negative_log_probability() -> None:
    logits, labels = _logits(3), [2, 0, 1, 1, 0]
    twin = 0.0
    for row, label in zip(logits.tolist(), labels, strict=True):
        twin -= math.log(math.exp(row[label]) / sum(math.exp(z) for z in row))
    assert loss_for("softmax")(logits, torch.tensor(labels)).item() == pytest.approx(twin / 5)


def test_single_logit_is_the_mean_bernoulli_log_likelihood() -> None:
    logits, labels = _logits(1), [1, 0, 1, 1, 0]
    twin = 0.0
    for (z,), label in zip(logits.tolist(), labels, strict=True):
        p = 1 / (1 + math.exp(-z))
        twin -= math.log(p if label == 1 else 1 - p)
    assert loss_for("single_logit")(logits, torch.tensor(labels)).item() == pytest.approx(twin / 5)


@pytest.mark.parametrize("head", ["multilabel", "regression"])
def test_missing_labels_are_left_out_of_the_mean(head: str) -> None:
    logits = _logits(2)
    labels = [[1.0, NAN], [0.0, 1.0], [NAN, NAN], [1.0, 0.0], [NAN, 1.0]]
    terms = []
    for row, truths in zip(logits.tolist(), labels, strict=True):
        for z, y in zip(row, truths, strict=True):
            p = 1 / (1 + math.exp(-z))
            if not math.isnan(y) and head == "multilabel":
                terms.append(-y * math.log(p) - (1 - y) * math.log(1 - p))
            elif not math.isnan(y):
                terms.append((z - y) ** 2)
    twin = sum(terms) / 6
    assert loss_for(head)(logits, torch.tensor(labels)).item() == pytest.approx(twin)


@pytest.mark.parametrize("head", ["single_logit", "multilabel", "regression"])
@pytest.mark.parametrize("missing", [0.0, math.inf, NAN], ids=["zero", "inf", "nan"])
def test_a_missing_label_reaches_no_gradient(head: str, missing: float) -> None:
    outputs = 1 if head == "single_logit" else 2
    labels = torch.ones(5, outputs)
    labels[1, 0] = NAN
    logits = _logits(outputs).float()
    logits[1, 0] = missing  # whatever the network says there
    logits.requires_grad_()
    loss_for(head)(logits, labels).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[1, 0] == 0
    assert (logits.grad[[0, 2, 3, 4]] != 0).all()


def test_a_batch_without_labels_has_loss_zero() -> None:
    logits = _logits(2).requires_grad_()
    loss = loss_for("multilabel")(logits, torch.full((5, 2), NAN))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_regression_takes_labels_without_a_column() -> None:
    assert loss_for("regression")(torch.zeros(2, 1), torch.tensor([1.0, 3.0])).item() == 5


# --- weights of positives


@pytest.mark.parametrize("head", ["single_logit", "multilabel"])
def test_a_weighted_loss_multiplies_the_terms_of_positives(head: str) -> None:
    outputs = 1 if head == "single_logit" else 2
    weights = [3.0, 0.5][:outputs]
    labels = [[1.0, NAN], [0.0, 1.0], [NAN, 0.0], [1.0, 0.25], [0.0, 1.0]]
    labels = [row[:outputs] for row in labels]
    logits, terms = _logits(outputs), []
    for row, truths in zip(logits.tolist(), labels, strict=True):
        for z, y, w in zip(row, truths, weights, strict=True):
            p = 1 / (1 + math.exp(-z))
            if not math.isnan(y):
                terms.append(-w * y * math.log(p) - (1 - y) * math.log(1 - p))
    loss = loss_for(head, torch.tensor(weights))(logits, torch.tensor(labels))
    assert loss.item() == pytest.approx(sum(terms) / len(terms))


def test_weights_of_one_change_nothing() -> None:
    logits, labels = _logits(2), torch.tensor([[1.0, 0.0]] * 5)
    weighted = loss_for("multilabel", torch.ones(2))(logits, labels)
    assert weighted == loss_for("multilabel")(logits, labels)


# --- missing labels and other labels, on the gradients of a network


def _gradients(head: str, images: torch.Tensor, labels: torch.Tensor, outputs: int) -> list:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(12, outputs)
    ).double()
    weight = torch.arange(2.0, 2 + outputs) if head == "multilabel" else None
    loss_for(head, weight)(net(images), labels).backward()
    return [p.grad for p in net.parameters()]


def _images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(5, 1, 4, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("head", ["regression", "multilabel"])
def test_gradients_are_those_without_the_rows_of_missing_labels(head: str) -> None:
    images = _images()
    labels = torch.tensor([[0.0], [NAN], [1.0], [NAN], [0.5]])
    known = [0, 2, 4]
    kept = _gradients(head, images, labels, 1)
    dropped = _gradients(head, images[known], labels[known], 1)
    for a, b in zip(kept, dropped, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=0)
        assert (a != 0).any()


def test_a_findings_row_of_the_head_does_not_learn_from_anothers_label() -> None:
    images = _images()
    labels = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, NAN], [0.0, 1.0], [1.0, 1.0]])
    other = labels.clone()
    other[:, 1] = 1 - other[:, 1]
    weights, biases = zip(
        *(_gradients("multilabel", images, each, 2)[-2:] for each in (labels, other)), strict=True
    )
    assert torch.equal(weights[0][0], weights[1][0])
    assert torch.equal(biases[0][0], biases[1][0])
    assert not torch.equal(weights[0][1], weights[1][1])


def test_the_score_of_a_finding_does_not_depend_on_anothers_label() -> None:
    """Whatever the labels are: a score reads the image, and one output."""
    model = toy_model(2, "multilabel").eval()
    images = torch.rand(4, 3, 16, 16)
    before = model.score(images, torch.zeros(4, dtype=torch.int64))
    with torch.no_grad():
        model.net.head.weight[1] *= -1
        model.net.head.bias[1] += 3
    assert torch.equal(model.score(images, torch.zeros(4, dtype=torch.int64)), before)
    assert (model.score(images, torch.ones(4, dtype=torch.int64)) != before).all()
