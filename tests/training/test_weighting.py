"""The balanced weight of positives: a literal twin, missing labels, what has no positives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from toy_training import OPTIONS, Stop, fit_toy, toy_data, toy_model

from xaibench.errors import UserError
from xaibench.training.evaluate import predict_logits
from xaibench.training.losses import loss_for
from xaibench.training.options import TrainingOptions
from xaibench.training.weighting import positive_weight

NAN = float("nan")
pytestmark = pytest.mark.usefixtures("one_thread")


def test_balanced_is_negatives_over_positives_of_each_output() -> None:
    labels = [[1.0, 0.0], [0.0, NAN], [0.0, 1.0], [NAN, 1.0], [0.0, 1.0]]
    found = positive_weight("balanced", toy_model(2, "multilabel"), torch.tensor(labels), print)
    twin = []
    for column in zip(*labels, strict=True):
        twin.append(sum(y == 0 for y in column) / sum(y == 1 for y in column))
    assert found.tolist() == pytest.approx(twin)
    assert twin == [3, 1 / 3]


def test_balanced_labels_between_count_for_both_sides() -> None:
    labels = torch.tensor([[0.5], [0.0], [0.0]])
    found = positive_weight("balanced", toy_model(1, "multilabel"), labels, print)
    assert found.tolist() == pytest.approx([2.5 / 0.5])


def test_integer_labels_of_a_single_logit() -> None:
    labels = torch.tensor([1, 0, 0, 0, 1])
    model = toy_model(1, "single_logit")
    assert positive_weight("balanced", model, labels, print).tolist() == [1.5]
    assert positive_weight(4.0, model, labels, print).tolist() == [4.0]
    assert positive_weight(None, model, labels, print) is None


def test_an_output_without_positives_or_negatives_keeps_one_and_is_named() -> None:
    labels = torch.tensor([[0.0, 1.0], [NAN, 0.0], [0.0, 0.0]])
    said: list[str] = []
    found = positive_weight("balanced", toy_model(2, "multilabel"), labels, said.append)
    assert found.tolist() == [1.0, 2.0]
    assert said == ["pos_weight: 1 for a: the training labels lack positives or negatives of it"]


@pytest.mark.parametrize("head", ["softmax", "regression"])
def test_a_head_without_positives_is_refused(tmp_path: Path, head: str) -> None:
    options = OPTIONS.model_copy(update={"pos_weight": "balanced", "monitor": "loss"})
    data = toy_data()
    if head == "regression":
        for split in data.splits.values():
            split.labels = np.stack([split.labels] * 2, 1).astype(np.float32)
    with pytest.raises(UserError, match=f"pos_weight: a {head} head has no positives to weigh"):
        fit_toy(tmp_path, toy_model(head=head), data, options)


@pytest.mark.parametrize("value", [0, -1, True, "half", float("inf")])
def test_a_weight_is_a_positive_number(value: object) -> None:
    with pytest.raises(ValidationError, match="pos_weight"):
        TrainingOptions(pos_weight=value)


def test_training_and_validation_are_measured_by_the_same_loss(tmp_path: Path) -> None:
    """At a rate so small that the weights stay as they were built, both logs are known."""
    data, model = toy_data(), toy_model(1, "single_logit")
    data.splits["train"].labels[3::4] = 0
    logits = predict_logits(model, data.splits["valid"])
    labels = torch.tensor(data.splits["valid"].labels)
    change = {"pos_weight": "balanced", "learning_rate": 1e-12, "epochs": 1, "monitor": "loss"}
    options = OPTIONS.model_copy(update=change | {"frozen_stages": 2})
    _, trained = fit_toy(tmp_path, model, data, options, progress=Stop())
    positives = data.splits["train"].labels.sum()
    weight = torch.tensor([(26 - positives) / positives])
    assert weight > 2
    expected = loss_for("single_logit", weight)(logits, labels).item()
    assert trained.log.valid_loss[0] == pytest.approx(expected, rel=1e-5)
    assert trained.log.valid_loss[0] > loss_for("single_logit")(logits, labels).item() * 1.2
