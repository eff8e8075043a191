"""SaCo: the paper's loop over pairs, a closed form, and where it is undefined."""

from __future__ import annotations

import math

import pytest
import torch
from subjects import images_batch, linear_model, net_model, signed_maps

from xaibench.engine import fill_images
from xaibench.errors import UserError
from xaibench.metrics.saco import Saco

SIZE, PIXELS = (15, 18), 270


@torch.no_grad()
@pytest.mark.parametrize(("groups", "space"), [(9, "prob"), (7, "logit")])
def test_equals_loop_over_pairs(groups, space):
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    maps, fills = signed_maps(batch), fill_images(batch, "image_mean")
    values = Saco(groups, space=space).score(model, batch, maps).values["saco"]
    edges = [math.floor(k * PIXELS / groups + 0.5) for k in range(groups + 1)]
    for i in range(3):
        f = lambda x, i=i: model.score(x[None], batch.targets[i : i + 1], space).item()
        falling = maps[i].flatten().argsort(descending=True)
        salience, change = [], []
        for k in range(groups):
            group = falling[edges[k] : edges[k + 1]]
            shown = batch.images[i].clone().flatten(1)
            shown[:, group] = fills[i].flatten(1)[:, group]
            salience.append(maps[i].flatten()[group].double().mean().item())
            change.append(f(batch.images[i]) - f(shown.view_as(batch.images[i])))
        total, weights = 0.0, 0.0
        for a in range(groups - 1):
            for b in range(a + 1, groups):
                weight = salience[a] - salience[b]
                total += weight if change[a] >= change[b] else -weight
                weights += abs(weight)
        assert values[i].item() == pytest.approx(total / weights, abs=1e-6)
        assert abs(total) < weights  # some pairs agree and some do not


def test_contributions_to_a_linear_model_score_one_and_their_negative_minus_one():
    batch = images_batch(size=SIZE)
    batch.targets.zero_()
    weights = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(0)) / 10
    exact = (weights * batch.images).sum(1)
    model = linear_model(weights)
    for maps, value in ((5 * exact + 2, 1.0), (-exact, -1.0)):
        found = Saco(10, fill="black").score(model, batch, maps).values["saco"]
        assert found.tolist() == pytest.approx([value] * 3)


def test_a_random_map_scores_nothing_on_average():
    model, batch = net_model(size=SIZE), images_batch(size=SIZE, images=1)
    many = batch.take([0] * 200)
    values = Saco(5).score(model, many, signed_maps(many)).values["saco"]
    assert values.std() > 0.1
    assert abs(values.mean()) < 4 * values.std() / 200**0.5


def test_is_undefined_for_a_constant_map():
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    maps = signed_maps(batch)
    maps[1] = 0.1
    scores = Saco().score(model, batch, maps)
    assert scores.values["saco"].isnan().tolist() == [False, True, False]
    assert scores.undefined == {"saco": "all groups have the same salience"}


def test_more_groups_than_pixels_are_refused():
    Saco(10).check((2, 5))
    with pytest.raises(UserError, match="images of 3 x 3 have no 10 pixels"):
        Saco(10).check((3, 3))


def test_its_protocol_direction_and_bounds():
    said = "saco[fill=image_mean,groups=10,score=prob,ties=seeded]"
    assert Saco().protocol("saco", "slic") == said
    assert Saco().direction("saco") is True
    assert Saco(space="logit").bounds == (-1.0, 1.0)
