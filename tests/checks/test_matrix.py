"""Every explainer on a tiny CNN, ViT and Swin, with one and three channels; every metric as well.

Where one does not apply, its `check` says why, in a sentence.
"""

from __future__ import annotations

import pytest

from xaibench.checks.scoring import scored
from xaibench.checks.stage import NETWORKS, Stage
from xaibench.errors import UserError
from xaibench.metrics.base import PredictionMetric, check_promises
from xaibench.registry import Registry

SIDE = 32


def refusal(plugin, what) -> str:
    try:
        plugin.check(what)
    except UserError as reason:
        return str(reason)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", Registry().names("explainer"))
def test_an_explainer_applies_or_says_why(name, network, channels):
    stage = Stage(channels=channels, network=network, size=(SIDE, SIDE), images=2)
    explainer, model = Registry().load("explainer", name)(), stage.model()
    if reason := refusal(explainer, model):
        assert len(reason.split()) > 4
        assert "\n" not in reason
        return
    explanation = explainer(model, stage.batch())
    assert "nan" not in explanation.statuses


@pytest.mark.slow
@pytest.mark.parametrize("network", ["cnn", "vit"])
@pytest.mark.parametrize("name", Registry().names("metric"))
def test_a_metric_applies_or_says_why(name, network):
    stage = Stage(network=network, size=(SIDE, SIDE), images=2)
    metric = Registry().load("metric", name)()
    if isinstance(metric, PredictionMetric):
        pytest.skip("it scores predictions, of whatever network")
    if reason := refusal(metric, stage.size):
        assert len(reason.split()) > 4
        return
    batch = stage.batch()
    scores = scored(metric, stage, stage.model(), batch, stage.maps())
    check_promises(metric, scores, batch)
    assert not any(values.isinf().any() for values in scores.values.values())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_networks_take_odd_sizes_and_channels(network, channels, size):
    stage = Stage(channels=channels, network=network, size=size, classes=5)
    model, batch = stage.model(), stage.batch()
    assert model(batch.images).shape == (3, 5)
    assert model.score(batch.images, batch.targets).std() > 1e-4  # it tells images apart
    assert model.module(model.cam_layer) is not None
    assert stage.model() is not model
    state = stage.model().state_dict()
    assert all(value.equal(state[name]) for name, value in model.state_dict().items())
