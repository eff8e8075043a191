"""Balanced sampling: probabilities by a literal twin, order by seed and epoch, what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toy_training import OPTIONS, fit_toy, toy_data, toy_model

from xaibench.errors import UserError
from xaibench.training.sampling import Order, balanced

NAN = float("nan")


def test_each_class_is_as_likely_and_each_of_its_images_too() -> None:
    labels = [0, 2, 2, 0, 2, 2, 1, 2]
    counts = Counter(labels)
    twin = [1 / (3 * counts[label]) for label in labels]
    assert balanced(np.array(labels), "softmax").tolist() == pytest.approx(twin)


@pytest.mark.parametrize("head", ["regression", "multilabel", "single_logit"])
def test_float_labels_are_parted_at_a_half_and_missing_ones_never_drawn(head: str) -> None:
    labels = np.array([[0.0], [0.5], [NAN], [1.0], [0.0], [0.0]], np.float32)
    expected = [1 / 6, 1 / 4, 0, 1 / 4, 1 / 6, 1 / 6]
    assert balanced(labels, head).tolist() == pytest.approx(expected)


def test_draws_follow_the_probabilities() -> None:
    labels = np.r_[np.ones(100), np.zeros(900), [NAN] * 50]
    order = Order(0, 1050, balanced(labels, "regression"), 1050)
    drawn = labels[order.batch(0, 0)]
    assert not np.isnan(drawn).any()
    # Four standard errors of a share of a half among 1,050 draws.
    assert abs(drawn.mean() - 0.5) < 4 * 0.5 / np.sqrt(1050)


def test_an_order_is_a_function_of_seed_and_epoch() -> None:
    chance = balanced(np.arange(20) % 2, "softmax")
    one, two = (Order(seed, 6, chance, 20) for seed in (0, 0))
    late = two.batch(3, 2)
    batches = [one.batch(epoch, at) for epoch in range(4) for at in range(4)]
    assert [len(b) for b in batches[:4]] == [6, 6, 6, 2]
    assert np.array_equal(batches[14], late)
    epochs = np.stack([np.concatenate(batches[4 * e : 4 * e + 4]) for e in range(4)])
    assert len(np.unique(epochs, axis=0)) == 4
    assert not np.array_equal(Order(1, 6, chance, 20).batch(0, 0), batches[0])


def test_uniform_takes_each_image_once_an_epoch() -> None:
    order = Order(0, 6, None, 20)
    epoch = np.concatenate([order.batch(5, at) for at in range(4)])
    assert sorted(epoch) == list(range(20))
    assert np.array_equal(order.draws(5, 2), order.batch(5, 2))


def test_an_image_drawn_twice_is_augmented_in_two_ways() -> None:
    order = Order(0, 6, np.eye(20)[3], 20)
    assert set(order.batch(0, 1)) == {3}
    assert sorted(np.concatenate([order.draws(0, at) for at in range(4)])) == list(range(20))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((26, 2)), r"needs one label an image, and there are 2; use sampling: uniform"),
        (np.full((26, 1), NAN), "no label to draw from; all are missing"),
    ],
)
def test_what_cannot_be_balanced_is_refused(tmp_path: Path, labels, message: str) -> None:
    data = toy_data()
    data.splits["train"].labels = labels
    outputs = labels.shape[1]
    valid = data.splits["valid"]
    valid.labels = np.stack([valid.labels] * outputs, 1).astype(float)
    options = OPTIONS.model_copy(update={"sampling": "balanced"})
    with pytest.raises(UserError, match=message):
        fit_toy(tmp_path, toy_model(outputs, "multilabel"), data, options)
