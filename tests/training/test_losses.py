"""Losses against literal twins; missing labels."""

from __future__ import annotations

import math

import pytest
import torch

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
