"""What explainers say of themselves: passes counted, answers on a linear model, needs."""

from __future__ import annotations

import pytest
from toy_images import ODD, assert_costs_what_it_says, assert_exact_on_linear, sized_batch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.explainers.center_prior import CenterPrior
from xaibench.explainers.edge import Edge
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.explainers.lime import Lime
from xaibench.explainers.random import Random
from xaibench.explainers.square_occlusion import SquareOcclusion
from xaibench.explainers.superpixel_occlusion import SuperpixelOcclusion
from xaibench.models.base import PassCount

EXACT = [
    IntegratedGradients(5),
    IntegratedGradients(5, "dataset_mean", "sum"),
    SquareOcclusion(),
    SquareOcclusion(7, 3, 0.4),
    SquareOcclusion(64, 64, "blur"),
    SuperpixelOcclusion(),
    SuperpixelOcclusion("drop_per_area", "black"),
]


@pytest.mark.parametrize("explainer", EXACT, ids=repr)
def test_exact_on_a_linear_model_of_an_odd_size(explainer):
    # Scores of a thousand terms, as float32 sums them in another order each.
    assert_exact_on_linear(explainer, sized_batch(ODD), tolerance=1e-4)


@pytest.mark.parametrize("explainer", [*EXACT, Lime(20, "slic")], ids=repr)
@pytest.mark.parametrize("batch", [toy_batch(images=3), sized_batch(ODD, images=2)])
def test_costs_what_it_says(explainer, batch):
    assert_costs_what_it_says(explainer, toy_model(), batch)


@pytest.mark.parametrize("explainer", [Random(), CenterPrior(), Edge()])
def test_controls_need_nothing_and_cost_nothing(explainer):
    assert explainer.needs == ()
    assert explainer.cost(toy_model(), toy_batch()) == PassCount(0, 0)


def test_lime_promises_nothing_of_a_linear_model():
    """Its ridge shrinks every coefficient."""
    batch = toy_batch()
    assert Lime().on_linear_model(batch.images, batch) is None
