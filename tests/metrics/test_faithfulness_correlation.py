"""Faithfulness correlation: Quantus with the same subsets, a closed form, sensitivity-n."""

from __future__ import annotations

import numpy as np
import pytest
import quantus
import torch
from subjects import images_batch, linear_model, net_model, signed_maps

from xaibench.engine.subsets import random_orders
from xaibench.metrics.faithfulness_correlation import FaithfulnessCorrelation
from xaibench.metrics.sensitivity_n import SensitivityN


@pytest.mark.parametrize("softmax", [True, False])
def test_equals_quantus_with_the_same_subsets(monkeypatch, softmax):
    model, batch = net_model(channels=1, size=(15, 18)), images_batch(1, (15, 18))
    maps, runs = signed_maps(batch), 12
    metric = FaithfulnessCorrelation(0.2, runs, "black", "prob" if softmax else "logit")
    ours = metric.score(model, batch, maps).values["faithfulness_correlation"]
    theirs = quantus.FaithfulnessCorrelation(
        nr_runs=runs, subset_size=54, normalise=False, perturb_baseline=0.0,
        return_aggregate=False, disable_warnings=True,
    )  # fmt: skip
    for i in range(3):
        orders = random_orders(batch.seeds[i : i + 1], torch.arange(runs), 270)[0].numpy()
        drawn = iter(orders)
        monkeypatch.setattr(np.random, "choice", lambda n, k, replace, d=drawn: next(d)[:k])
        found = theirs(
            model=model, x_batch=batch.images[i : i + 1].numpy(),
            y_batch=batch.targets[i : i + 1].numpy(), a_batch=maps[i : i + 1, None].numpy(),
            device="cpu", softmax=softmax, channel_first=True,
        )  # fmt: skip
        assert ours[i].item() == pytest.approx(found[0], abs=1e-4)


def test_is_sensitivity_n_at_one_n():
    model, batch = net_model(size=(15, 18)), images_batch(size=(15, 18))
    maps = signed_maps(batch)
    one = FaithfulnessCorrelation(0.2, 9).score(model, batch, maps).values
    other = SensitivityN((0.2,), 9, space="prob").score(model, batch, maps).values
    assert one["faithfulness_correlation"].tolist() == other["sensitivity_n"].tolist()


def test_contributions_to_a_linear_model_score_one():
    batch = images_batch(size=(12, 15))
    batch.targets.zero_()
    weights = torch.randn(3, 12, 15, generator=torch.Generator().manual_seed(0)) / 10
    maps = (weights * batch.images).sum(1)
    metric = FaithfulnessCorrelation(subsets=30, fill="black")
    found = metric.score(linear_model(weights), batch, maps).values["faithfulness_correlation"]
    assert found.tolist() == pytest.approx([1.0] * 3, abs=1e-4)


def test_its_protocol_and_direction():
    said = "faithfulness_correlation[fill=dataset_mean,score=prob,size=0.1,subsets=100]"
    metric = FaithfulnessCorrelation()
    assert metric.protocol("faithfulness_correlation", "slic") == said
    assert metric.direction("faithfulness_correlation") is True
