"""Shuffled labels against scikit-learn's AUROC and a literal permutation test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from xaibench.metrics.shuffled_labels import ShuffledLabels

NAMES = {"auroc", *(f"shuffled_labels.{k}" for k in ("mean", "low", "high", "p_value"))}


def predictions(task: str, n: int = 60, seed: int = 0):
    """Labels, and probabilities that follow them somewhat, rounded so that there are ties."""
    rng = np.random.default_rng(seed)
    if task == "binary":
        labels = rng.integers(0, 2, n)
        p = (0.3 * labels + 0.7 * rng.random(n)).round(1)
        return labels, np.stack([1 - p, p], axis=1)
    if task == "multiclass":
        labels = rng.integers(0, 3, n)
        return labels, softmax(np.eye(3)[labels] + rng.normal(size=(n, 3)), axis=1).round(2)
    labels = rng.integers(0, 2, (n, 3)).astype(float)
    probabilities = (0.3 * labels + 0.7 * rng.random((n, 3))).round(1)
    if task == "missing":
        labels[rng.random((n, 3)) < 0.3] = np.nan
    return labels, probabilities


def literal_auroc(task: str, labels, probabilities) -> float:
    """scikit-learn's; of several classes the mean, each against the rest."""
    if task == "binary":
        return roc_auc_score(labels == 1, probabilities[:, 1])
    each = []
    for c in range(probabilities.shape[1]):
        truth = (labels == c).astype(float) if task == "multiclass" else labels[:, c]
        known = ~np.isnan(truth)
        if len(set(truth[known])) == 2:
            each.append(roc_auc_score(truth[known], probabilities[known, c]))
    return float(np.mean(each))


def score(labels, probabilities, task, permutations=200, seed=1):
    metric = ShuffledLabels(permutations)
    task = "multilabel" if task == "missing" else task
    return metric.score_predictions(labels, probabilities, task=task, seed=seed)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "missing"])
@pytest.mark.parametrize("seed", range(3))
def test_auroc_equals_scikit_learn(task, seed):
    labels, probabilities = predictions(task, seed=seed)
    result = score(labels, probabilities, task, permutations=1)
    assert set(result) == NAMES
    assert result["auroc"] == pytest.approx(literal_auroc(task, labels, probabilities), abs=1e-12)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "missing"])
def test_equals_literal_permutation_test(task):
    """Ojala and Garriga 2010: rows of labels permuted, p = (1 + reached) / (1 + permutations)."""
    labels, probabilities = predictions(task, n=20)
    result = score(labels, probabilities, task, permutations=100, seed=5)
    rng = np.random.default_rng(5)
    shuffled = [literal_auroc(task, labels[rng.permutation(20)], probabilities) for _ in range(100)]
    reached = sum(a >= result["auroc"] - 1e-12 for a in shuffled)
    twin = {
        "mean": np.mean(shuffled),
        "low": np.quantile(shuffled, 0.025),
        "high": np.quantile(shuffled, 0.975),
        "p_value": (1 + reached) / 101,
    }
    for name, value in twin.items():
        assert result[f"shuffled_labels.{name}"] == pytest.approx(value, abs=1e-12)


def test_permuted_labels_score_one_half():
    """The standard deviation of an AUROC by chance is sqrt((n + 1) / (12 n_pos n_neg))."""
    labels, probabilities = predictions("binary", n=100)
    result = score(labels, probabilities, "binary", permutations=1000)
    spread = np.sqrt(101 / (12 * labels.sum() * (1 - labels).sum()))
    assert abs(result["shuffled_labels.mean"] - 0.5) < 4 * spread / np.sqrt(1000)
    assert result["shuffled_labels.low"] == pytest.approx(0.5 - 1.96 * spread, abs=0.02)
    assert result["shuffled_labels.high"] == pytest.approx(0.5 + 1.96 * spread, abs=0.02)


def test_a_perfect_predictor_has_the_smallest_p_value():
    labels = np.arange(40) % 2
    probabilities = np.eye(2)[labels]
    result = score(labels, probabilities, "binary", permutations=200)
    assert result["auroc"] == 1
    assert result["shuffled_labels.p_value"] == 1 / 201


def test_a_permutation_that_equals_the_true_auroc_counts():
    """Of the 6 ways to place 2 positives among 4 one is perfect: p is 1/6, within 4 errors."""
    labels = np.array([0, 0, 1, 1])
    result = score(labels, np.eye(2)[labels], "binary", permutations=1000)
    error = np.sqrt(1 / 6 * 5 / 6 / 1000)
    assert abs(result["shuffled_labels.p_value"] - 1 / 6) < 4 * error


def test_p_values_of_chance_predictions_are_uniform():
    """Under the null P(p <= 0.2) is 0.2; within 4 standard errors over 200 data sets."""
    rng = np.random.default_rng(0)
    small = 0
    for seed in range(200):
        p = rng.random(30)
        labels = np.arange(30) % 2
        result = score(labels, np.stack([1 - p, p], 1), "binary", permutations=49, seed=seed)
        small += result["shuffled_labels.p_value"] <= 0.2
    assert abs(small / 200 - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 200)


def test_labels_with_one_class_are_left_out():
    labels, probabilities = predictions("multilabel")
    labels[:, 1] = 1
    result = score(labels, probabilities, "multilabel")
    expected = literal_auroc("multilabel", labels[:, [0, 2]], probabilities[:, [0, 2]])
    assert result["auroc"] == pytest.approx(expected, abs=1e-12)


def test_a_class_that_never_occurs_is_left_out():
    labels, probabilities = predictions("multiclass")
    labels[labels == 2] = 0
    result = score(labels, probabilities, "multiclass")
    expected = literal_auroc("multiclass", labels, probabilities)
    assert result["auroc"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "probabilities", "task"),
    [
        (np.linspace(0, 1, 10)[:, None], np.linspace(0, 1, 10)[:, None], "regression"),
        (np.ones(10, int), np.full((10, 2), 0.5), "binary"),
        (np.full(10, 2), np.full((10, 3), 1 / 3), "multiclass"),
        (np.zeros((10, 2)), np.full((10, 2), 0.5), "multilabel"),
    ],
    ids=["regression", "binary", "multiclass", "multilabel"],
)
def test_no_value_where_there_is_nothing_to_rank(labels, probabilities, task):
    result = score(labels, probabilities, task)
    assert set(result) == NAMES
    assert np.isnan(list(result.values())).all()


def test_seeded():
    labels, probabilities = predictions("binary")
    one = score(labels, probabilities, "binary", seed=3)
    assert one == score(labels, probabilities, "binary", seed=3)
    assert one != score(labels, probabilities, "binary", seed=4)
