"""Each wrong metric is found by the check whose name promises it, and by no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from xaibench.checks.plugins import checks_for
from xaibench.metrics.base import ImageMetric, MapMetric, PredictionMetric, Scores
from xaibench.models.base import PassCount

KEPT: list[object] = []


class Sound(MapMetric):
    name: ClassVar[str] = "wrong"
    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def score(self, model, batch, maps):
        return Scores({"wrong": means(model, batch, maps)})


def means(model, batch, maps):
    with torch.no_grad():
        return maps.mean((1, 2)) * model.score(batch.images, batch.targets).sigmoid()


def metric(values, base=Sound, **more):
    """A well-made metric around one function, which gives its values."""

    def score(self, model, batch, maps):
        found = values(model, batch, maps)
        return found if isinstance(found, Scores) else Scores({"wrong": found})

    about = {"score": score, "__doc__": "A test's plugin.", **more}
    return dataclass(frozen=True)(type("Wrong", (base,), about))()


def two_logits(model, batch, maps):
    return means(model, batch, maps) * model(batch.images)[:, 1].detach().sigmoid()


def assumes_square(model, batch, maps):
    return means(model, batch, maps.view(len(maps), maps.shape[1], maps.shape[1]))


def assumes_colour(model, batch, maps):
    return means(model, batch, maps) * batch.images[:, 2].mean((1, 2))


def scales_to_one(model, batch, maps):
    low, high = maps.amin((1, 2), True), maps.amax((1, 2), True)
    return means(model, batch, (maps - low) / (high - low))


def changes_weights(model, batch, maps):
    found = means(model, batch, maps)
    with torch.no_grad():
        model.net.fc.bias.add_(1e-3)
    return found


def training_mode(model, batch, maps):
    found = means(model, batch, maps)
    model.net.train()
    return found


def reseeds(model, batch, maps):
    torch.manual_seed(0)
    return means(model, batch, maps)


def keeps_maps(model, batch, maps):
    KEPT.append(maps.clone())
    return means(model, batch, maps)


def changes_maps(model, batch, maps):
    found = means(model, batch, maps)
    maps.mul_(0.9)
    return found


def changes_images(model, batch, maps):
    found = means(model, batch, maps)
    batch.images.clamp_(0.2)
    return found


def two_passes(model, batch, maps):
    return (means(model, batch, maps) + means(model, batch, maps)) / 2


def hides_failures(model, batch, maps):
    try:
        return means(model, batch, maps)
    except RuntimeError:
        return maps.mean((1, 2))


@dataclass(frozen=True)
class SilentParameter(Sound):
    """A test's plugin."""

    power: int = 2

    def score(self, model, batch, maps):
        return Scores({"wrong": means(model, batch, maps) ** self.power})

    def definition(self):
        return {}


WRONG = {
    "gives the numbers that it names, one an image": metric(
        lambda model, batch, maps: Scores({"other": means(model, batch, maps)})
    ),
    "takes images that are not square": metric(assumes_square),
    "takes images of one channel": metric(assumes_colour),
    "takes a single image": metric(lambda model, batch, maps: means(model, batch, maps).squeeze()),
    "scores a single logit": metric(two_logits),
    "keeps to its range": metric(lambda model, batch, maps: means(model, batch, maps) + 1),
    "gives a reason for NaN": metric(
        lambda model, batch, maps: means(model, batch, maps) + torch.nan
    ),
    "gives the same twice": metric(
        lambda model, batch, maps: means(model, batch, maps) * (0.5 + torch.rand(1) / 2)
    ),
    "whole batch = one by one = permuted": metric(
        lambda model, batch, maps: means(model, batch, maps) / len(batch)
    ),
    "counts its passes as declared": metric(
        two_passes, cost=lambda self, model, batch: PassCount(len(batch), 0)
    ),
    "takes a constant map": metric(scales_to_one),
    "depends on the map": metric(
        lambda model, batch, maps: means(model, batch, torch.ones_like(maps))
    ),
    "says every parameter in its protocol id": SilentParameter(),
    "leaves the maps as found": metric(changes_maps),
    "leaves images and targets as found": metric(changes_images),
    "leaves weights and buffers as found": metric(changes_weights),
    "leaves training mode as found": metric(training_mode),
    "leaves the global random generators as found": metric(reseeds),
    "keeps memory flat": metric(keeps_maps),
    "goes on after an exception": metric(hides_failures),
    "declares direction and range": metric(means, value_names=lambda self, masks: ["other"]),
}


def results(plugin, promise=None):
    return [c.run() for c in checks_for(plugin) if promise in (None, c.promise)]


@pytest.fixture(autouse=True)
def nothing_kept():
    yield
    KEPT.clear()


@pytest.mark.parametrize("promise", WRONG)
def test_a_wrong_metric_is_found(promise):
    found = results(WRONG[promise], promise)
    assert any(result.state == "failed" for result in found), found


def test_a_sound_metric_passes():
    plugin = metric(means, cost=lambda self, model, batch: PassCount(len(batch), 0))
    assert [r for r in results(plugin) if r.failed] == []


def test_a_metric_that_declares_no_range_is_found():
    bare = type("Bare", (MapMetric,), {"name": "bare", "score": Sound.score, "__doc__": "Bare."})
    (found,) = results(dataclass(frozen=True)(bare)(), "declares direction and range")
    assert found.why == "lacks higher_is_better and range"


class Predictions(PredictionMetric):
    name: ClassVar[str] = "wrong"
    higher_is_better: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)


def prediction(score) -> PredictionMetric:
    def score_predictions(self, labels, probabilities, *, task, seed) -> Mapping[str, float]:
        return score(labels, probabilities, seed)

    about = {"score_predictions": score_predictions, "__doc__": "A test's plugin."}
    return dataclass(frozen=True)(type("Wrong", (Predictions,), about))()


def sorts_in_place(labels, probabilities, seed):
    probabilities.sort(axis=0)
    return {"wrong": 0.5}


@pytest.mark.parametrize(
    ("score", "promise"),
    [
        (lambda labels, p, seed: {"wrong": float(np.random.rand())}, "gives the same twice"),
        (lambda labels, p, seed: {"wrong": 2.0}, "gives numbers by name"),
        (lambda labels, p, seed: {}, "gives numbers by name"),
        (sorts_in_place, "leaves labels and predictions as found"),
    ],
)
def test_a_wrong_metric_of_predictions_is_found(score, promise):
    assert results(prediction(lambda labels, p, seed: {"wrong": 0.5}), promise)[0].state == "passed"
    found = results(prediction(score), promise)
    assert any(result.state == "failed" for result in found), found


class OfImages(ImageMetric):
    name: ClassVar[str] = "wrong"
    higher_is_better: ClassVar[None] = None
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def score_images(self, model, batch):
        return Scores({"wrong": batch.images.mean((1, 2, 3))})


def test_a_metric_of_images_needs_no_maps():
    plugin = dataclass(frozen=True)(type("Images", (OfImages,), {"__doc__": "Brightness."}))()
    states = {r.name.partition(" (")[0]: r.state for r in results(plugin)}
    assert states["depends on the map"] == states["takes a constant map"] == "not applicable"
    assert not {"failed", "not run"} & set(states.values())
