"""What every metric that asks the engine keeps to, whatever head, size and number of images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from subjects import images_batch, net_model, signed_maps

from xaibench.metrics.aopc import Aopc
from xaibench.metrics.base import ComparisonMetric, ImageMetric, PredictionMetric
from xaibench.metrics.border_mass import BorderMass
from xaibench.metrics.cumulative_drop import CumulativeDrop
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.faithfulness_correlation import FaithfulnessCorrelation
from xaibench.metrics.infidelity import Infidelity
from xaibench.metrics.insertion import Insertion
from xaibench.metrics.iou_top import IouTop
from xaibench.metrics.irof import Irof
from xaibench.metrics.label_randomisation import LabelRandomisation
from xaibench.metrics.mass_accuracy import MassAccuracy
from xaibench.metrics.max_sensitivity import MaxSensitivity
from xaibench.metrics.monotonicity import Monotonicity
from xaibench.metrics.occlusion_probe import OcclusionProbe
from xaibench.metrics.pointing_game import PointingGame
from xaibench.metrics.road import Road
from xaibench.metrics.saco import Saco
from xaibench.metrics.selectivity import Selectivity
from xaibench.metrics.sensitivity_n import SensitivityN
from xaibench.metrics.shuffled_labels import ShuffledLabels
from xaibench.metrics.srg import Srg
from xaibench.metrics.weight_randomisation import WeightRandomisation

NEW = [
    Aopc(region=7, steps=10),
    FaithfulnessCorrelation(subsets=8),
    Infidelity(samples=8),
    Infidelity("noise", samples=6),
    Irof(),
    Monotonicity(steps=6),
    Monotonicity(definition_by="nguyen", steps=5, samples=2),
    Road((0.2, 0.6)),
    Road((0.3, 1.0), order="lerf", measure="accuracy"),
    Saco(5),
    Selectivity(9, steps=7),
    SensitivityN((0.05, 0.5), 6),
]
OLD = [
    BorderMass(), CumulativeDrop(), Deletion(6), Insertion(6), Srg(6), OcclusionProbe(),
    PointingGame(), MassAccuracy(), IouTop(), ShuffledLabels(),
]  # fmt: skip
HEADS = [("softmax", 2), ("softmax", 16), ("single_logit", 2), ("multilabel", 3), ("regression", 1)]


def named(metric) -> str:
    variant = getattr(metric, "definition_by", getattr(metric, "perturbation", ""))
    return "-".join(filter(None, [metric.name, variant, getattr(metric, "measure", "")]))


def spoken(metric, model, batch, maps) -> torch.Tensor:
    """The values, a column each; NaN only with a reason, and within the bounds of probabilities."""
    scores = metric.score(model, batch, maps)
    assert sorted(scores.values) == sorted(metric.value_names(tuple(batch.masks)))
    for name, value in scores.values.items():
        assert name in scores.undefined or not value.isnan().any()
        low, high = metric.value_bounds(name)
        known = value[~value.isnan()]
        if model.head != "regression":  # whose outputs have no bounds
            assert ((known >= low - 1e-9) & (known <= high + 1e-6)).all(), name
    return torch.stack([scores.values[name].double() for name in sorted(scores.values)], dim=1)


@pytest.mark.parametrize("metric", NEW, ids=named)
@pytest.mark.parametrize(("head", "outputs"), HEADS, ids=lambda h: str(h))
def test_takes_every_head(metric, head, outputs):
    model, batch = net_model(head, 1, (17, 22), outputs), images_batch(1, (17, 22), 2, outputs)
    values = spoken(metric, model, batch, signed_maps(batch))
    if head == "softmax":
        assert values.isfinite().all()


@pytest.mark.parametrize("metric", NEW, ids=named)
def test_one_by_one_permuted_twice_and_of_odd_sizes_are_the_same(metric):
    model, batch = net_model(), images_batch()
    maps = signed_maps(batch)
    alone = lambda rows: spoken(metric, model, fresh(batch.take(rows)), maps[rows])
    whole = alone([0, 1, 2])
    assert torch.equal(whole, alone([0, 1, 2]))
    assert torch.cat([alone([i]) for i in range(3)]).numpy() == pytest.approx(
        whole.numpy(), abs=1e-5, nan_ok=True
    )
    assert alone([2, 0, 1]).numpy() == pytest.approx(
        whole[[2, 0, 1]].numpy(), abs=1e-5, nan_ok=True
    )
    assert (whole - alone([0, 1, 2]).roll(1, 0)).abs().max() > 1e-6  # images do differ


def fresh(batch):
    """The same images as a block of their own, which shares no score."""
    return replace(batch, images=batch.images.clone())


@pytest.mark.parametrize("metric", NEW, ids=named)
def test_takes_constant_maps_and_a_constant_image(metric):
    model, batch = net_model(), images_batch()
    batch.images[1] = 0.5
    maps = signed_maps(batch)
    maps[2] = 0.25
    values = spoken(metric, model, batch, maps)
    assert values[0].isfinite().all()


@pytest.mark.parametrize("metric", NEW, ids=named)
def test_leaves_random_state_gradients_and_warnings_as_they_were(metric):
    model, batch = net_model(), images_batch()
    before, maps = torch.random.get_rng_state(), signed_maps(batch)
    copies = [model.state_dict()[k].clone() for k in model.state_dict()]
    images, own = batch.images.clone(), maps.clone()
    metric.score(model, batch, maps)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.is_grad_enabled()
    assert all(torch.equal(a, b) for a, b in zip(copies, model.state_dict().values(), strict=True))
    assert torch.equal(batch.images, images)
    assert torch.equal(maps, own)


@pytest.mark.parametrize("metric", [*NEW, *OLD], ids=named)
def test_the_declared_cost_is_the_counted_one(metric):
    model, batch = net_model(), images_batch(images=3)
    maps = signed_maps(batch)
    declared = metric.cost(model, batch)
    if isinstance(metric, ImageMetric):
        metric.score_images(model, batch)
    elif not isinstance(metric, PredictionMetric):
        metric.score(model, batch, maps)
    assert (model.passes.forward, model.passes.backward) == (declared.forward, declared.backward)


@pytest.mark.parametrize(
    "metric",
    [LabelRandomisation(), WeightRandomisation(2), WeightRandomisation(2, noisy_copies=2),
     MaxSensitivity(samples=3)],
)  # fmt: skip
def test_the_declared_number_of_new_maps_is_the_one_asked_for(metric: ComparisonMetric):
    model, batch = net_model(), images_batch()
    asked = []

    def remake(model, part):
        asked.append(len(part))
        return signed_maps(part, seed=len(asked))

    others = metric.others(model, net_model(), seed=0)
    metric.compare(model, others, batch, signed_maps(batch), remake)
    assert asked == [len(batch)] * metric.maps_anew()
    assert metric.cost(model, batch) is None  # what a map costs is the explainer's
