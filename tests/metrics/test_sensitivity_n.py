"""Sensitivity-n: a loop over subsets, a closed form, and where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from subjects import images_batch, linear_model, net_model, signed_maps

from xaibench.engine import fill_images
from xaibench.engine.subsets import random_orders
from xaibench.errors import UserError
from xaibench.metrics.sensitivity_n import SensitivityN


@torch.no_grad()
@pytest.mark.parametrize(("head", "space"), [("softmax", "logit"), ("single_logit", "prob")])
def test_equals_loop_over_subsets(head, space):
    model, batch = net_model(head, size=(15, 18)), images_batch(size=(15, 18), images=2)
    maps, fills = signed_maps(batch), fill_images(batch, "image_mean")
    metric = SensitivityN((0.1, 0.6), 7, "image_mean", space)
    scores = metric.score(model, batch, maps)
    f = lambda x, i: model.score(x[None], batch.targets[i : i + 1], space).item()
    for i in range(2):
        found = []
        for n in (27, 162):
            sums, drops = [], []
            for r in range(7):
                subset = random_orders(batch.seeds[i : i + 1], torch.tensor([r]), 270)[0, 0, :n]
                assert len(set(subset.tolist())) == n
                shown = batch.images[i].clone()
                total = 0.0
                for p in subset.tolist():
                    shown[:, p // 18, p % 18] = fills[i, :, p // 18, p % 18]
                    total += maps[i, p // 18, p % 18].item()
                sums.append(total)
                drops.append(f(batch.images[i], i) - f(shown, i))
            found.append(np.corrcoef(sums, drops)[0, 1])
        assert scores.curves["sensitivity_n"].y[i].tolist() == pytest.approx(found, abs=1e-4)
        assert scores.values["sensitivity_n"][i].item() == pytest.approx(np.mean(found), abs=1e-4)
        assert scores.curves["sensitivity_n"].x[i].tolist() == pytest.approx([0.1, 0.6])


def test_contributions_to_a_linear_model_score_one_and_their_negative_minus_one():
    batch = images_batch(size=(12, 15))
    batch.targets.zero_()
    weights = torch.randn(3, 12, 15, generator=torch.Generator().manual_seed(0)) / 10
    exact = (weights * (batch.images - fill_images(batch, "dataset_mean"))).sum(1)
    model = linear_model(weights)
    for maps, value in ((3 * exact, 1.0), (-exact, -1.0)):
        found = SensitivityN(subsets=20).score(model, batch, maps).values["sensitivity_n"]
        assert found.tolist() == pytest.approx([value] * 3, abs=1e-4)


def test_subsets_are_those_of_the_image_whatever_the_map_and_passes_are_shared():
    model, batch = net_model(size=(15, 18)), images_batch(size=(15, 18))
    maps = signed_maps(batch)
    metric = SensitivityN((0.2,), 6)
    one = metric.score(model, batch, maps).values["sensitivity_n"]
    assert model.passes.forward == 0
    calls = []
    model.net.register_forward_hook(lambda *_: calls.append(1))
    twice = batch.take([0, 1, 2, 2, 0])
    again = metric.score(model, twice.reseeded(twice.seeds + 1), maps[[0, 1, 2, 2, 0]])
    assert again.values["sensitivity_n"].tolist() == one[[0, 1, 2, 2, 0]].tolist()
    assert not calls  # the block's scores were made once


def test_a_random_map_scores_nothing_on_average():
    model, batch = net_model(size=(15, 18)), images_batch(size=(15, 18), images=1)
    many = batch.take([0] * 200)
    values = SensitivityN((0.3,), 20).score(model, many, signed_maps(many)).values["sensitivity_n"]
    assert values.std() > 0.1
    assert abs(values.mean()) < 4 * values.std() / 200**0.5


def test_is_undefined_for_a_constant_map_and_a_score_that_does_not_move():
    model, batch = net_model(size=(15, 18)), images_batch(size=(15, 18))
    maps = signed_maps(batch)
    maps[1] = 0.3
    batch.images[2] = batch.dataset_mean[:, None, None]
    scores = SensitivityN(subsets=5).score(model, batch, maps)
    assert scores.values["sensitivity_n"].isnan().tolist() == [False, True, True]
    assert "the same" in scores.undefined["sensitivity_n"]


def test_its_protocol_direction_and_validation():
    said = "sensitivity_n[fill=dataset_mean,score=logit,sizes=(0.1,),subsets=50]"
    assert SensitivityN((0.1,)).protocol("sensitivity_n", "slic") == said
    assert SensitivityN().direction("sensitivity_n") is True
    assert SensitivityN().bounds == (-1.0, 1.0)
    with pytest.raises(UserError, match="must rise"):
        SensitivityN((0.5, 0.1)).validate()
