"""The conformance checks: our own plugins pass them, and each check finds the plugin it is for."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import pytest
import torch

from xaibench.checks.explainers import check_explainer
from xaibench.checks.metrics import check_metric
from xaibench.checks.plugins import check_plugin, checks_for
from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.metrics.base import MapMetric, Scores
from xaibench.registry import Registry, register

OTHER_EXPLAINERS = [
    ("square_occlusion", {"window": 12, "stride": 5, "fill": "blur", "space": "logit"}),
    ("square_occlusion", {"window": 40, "stride": 40, "fill": 0.3}),
    ("superpixel_occlusion", {"measure": "drop_per_area", "fill": "image_mean"}),
    ("superpixel_occlusion", {"fill": "black", "space": "logit"}),
    ("integrated_gradients", {"steps": 9, "baseline": "image_mean", "channels": "sum"}),
    ("integrated_gradients", {"steps": 20, "space": "prob"}),
    ("lime", {"samples": 60, "segmentation": "slic", "hide": "blur", "space": "logit"}),
    ("lime", {"samples": 60, "positive_only": True, "num_features": 2, "kernel_width": 0.5}),
    ("center_prior", {"sigma": 0.1}),
    *(
        ("grad_cam", {"variant": variant})
        for variant in ["gradcam++", "xgradcam", "hirescam", "layercam", "gradcamelementwise"]
    ),
    ("grad_cam", {"variant": "eigencam", "layer": "last"}),
    ("grad_cam", {"variant": "eigengradcam"}),
]
OTHER_METRICS = [
    ("deletion", {"steps": 7, "fill": "blur"}),
    ("deletion", {"steps": 2, "fill": "image_mean"}),
    ("insertion", {"steps": 7, "fill": 0.4}),
    ("deletion", {"steps": 7, "order": "lerf"}),
    ("insertion", {"steps": 7, "order": "lerf"}),
    ("cumulative_drop", {"fill": "blur"}),
    ("pointing_game", {"tolerance": 3}),
    ("iou_top", {"top": 0.1}),
]
SLOW = {"lime"}  # by its default number of samples


def explainers():
    for name in Registry().names("explainer"):
        yield pytest.param(name, {}, marks=[pytest.mark.slow] * (name in SLOW), id=name)
    for name, parameters in OTHER_EXPLAINERS:
        yield pytest.param(name, parameters, id=f"{name}-{'-'.join(map(str, parameters.values()))}")


def failures(results) -> dict[str, str]:
    return {result.name: result.why for result in results if not result.passed}


@pytest.mark.parametrize(("name", "parameters"), list(explainers()))
def test_explainers_conform(name, parameters):
    explainer = Registry().load("explainer", name)(**parameters)
    assert failures(check_explainer(explainer)) == {}


@pytest.mark.parametrize(
    ("name", "parameters"), [*((n, {}) for n in Registry().names("metric")), *OTHER_METRICS]
)
def test_metrics_conform(name, parameters):
    metric = Registry().load("metric", name)(**parameters)
    assert failures(check_metric(metric)) == {}


def gradient(model, batch):
    """A sound map, for plugins that break something else."""
    x = batch.images.clone().requires_grad_()
    score = model.score(x, batch.targets, "logit").sum()
    return torch.autograd.grad(score, x)[0].abs().mean(1)


class Sound(Explainer):
    name = "sound"

    def attribute(self, model, batch):
        return gradient(model, batch)


def explainer(attribute) -> Explainer:
    """A well-made plugin around one function."""
    broken = type("Broken", (Sound,), {"attribute": attribute, "__doc__": "A test's plugin."})
    return dataclass(frozen=True)(broken)()


def batch_dependent(self, model, batch):
    maps = gradient(model, batch)
    return maps / maps.max()


def changes_weights(self, model, batch):
    with torch.no_grad():
        model.net.fc.weight.mul_(1.01)
    return gradient(model, batch)


def changes_images(self, model, batch):
    batch.images.mul_(0.99)
    return gradient(model, batch)


def not_finite(self, model, batch):
    return gradient(model, batch).log() - torch.inf


def wrong_shape(self, model, batch):
    return gradient(model, batch)[:, ::2]


def whole_numbers(self, model, batch):
    return gradient(model, batch).long()


def unseeded(self, model, batch):
    return gradient(model, batch) + torch.rand(batch.images.shape[2:])


def ignores_model(self, model, batch):
    return batch.images.mean(1)


def fails(self, model, batch):
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("attribute", "check", "why"),
    [
        (batch_dependent, "whole batch = one by one = permuted", "one by one differ by"),
        (changes_weights, "returns model and images as found", "weights or buffers were changed"),
        (changes_images, "returns model and images as found", "the images were changed"),
        (not_finite, "gives finite maps", "not finite"),
        (wrong_shape, "gives finite maps", r"maps of shape (5, 16, 32), must be (5, 32, 32)"),
        (whole_numbers, "gives finite maps", "must be floating point"),
        (unseeded, "gives the same twice", "use seeds"),
        (ignores_model, "depends on the model", "change no map"),
        (fails, "gives finite maps", "ValueError: no such thing"),
    ],
)
def test_a_broken_explainer_is_found(attribute, check, why):
    found = failures(check_explainer(explainer(attribute)))
    assert any(name.startswith(check) and why in said for name, said in found.items()), found


def test_a_sound_explainer_passes():
    assert failures(check_explainer(explainer(Sound.attribute))) == {}


def test_an_explainer_that_is_not_frozen_or_not_documented_is_found():
    loose = dataclass(type("Loose", (Sound,), {"__doc__": "A test's plugin."}))()
    silent = dataclass(frozen=True)(type("Silent", (Sound,), {}))()
    assert "must be marked @dataclass(frozen=True)" in "".join(
        failures(check_explainer(loose)).values()
    )
    assert "Silent needs a docstring" in "".join(failures(check_explainer(silent)).values())


def test_what_an_explainer_leaves_on_the_model_is_taken_away():
    """Hooks, modes and requires_grad are no plugin's to forget: the call itself restores them."""

    def forgetful(self, model, batch):
        model.net.act.register_forward_hook(lambda *_: None)
        model.requires_grad_(False)
        model.train()
        model.eval().net.norm.momentum = 0.1
        model.net.fc.train()
        return gradient(model, batch)

    model = toy_model()
    explainer(forgetful)(model, toy_batch())
    assert not model.net.act._forward_hooks
    assert not model.net.fc.training
    assert all(p.requires_grad for p in model.parameters())
    assert failures(check_explainer(explainer(forgetful))) == {}


def metric(score, **declared) -> MapMetric:
    about = {"name": "broken", "higher_is_better": True, "range": (0.0, 1.0)} | declared
    about |= {"score": score, "__doc__": "A test's plugin."}
    return dataclass(frozen=True)(type("Broken", (MapMetric,), about))()


def means(model, batch, maps):
    return maps.mean((1, 2))


METRIC_FAULTS = {
    "a sound one": (lambda s, model, b, m: Scores({"broken": means(model, b, m)}), None),
    "of the batch": (
        lambda s, model, b, m: Scores({"broken": means(model, b, m) / len(b)}),
        "one by one differ by",
    ),
    "out of range": (
        lambda s, model, b, m: Scores({"broken": means(model, b, m) + 1}),
        "outside [0.0, 1.0]",
    ),
    # Whatever says so: where shapes are enforced, jaxtyping speaks first.
    "wrong shape": (lambda s, model, b, m: Scores({"broken": m[:, 0]}), ""),
    "other name": (lambda s, model, b, m: Scores({"x": means(model, b, m)}), "promised ['broken']"),
    "no reason": (
        lambda s, model, b, m: Scores({"broken": means(model, b, m) * torch.nan}),
        "`undefined` gives no reason",
    ),
    "in place": (
        lambda s, model, b, m: Scores({"broken": means(model, b, m.mul_(0.9))}),
        "the maps were changed",
    ),
    "unseeded": (
        lambda s, model, b, m: Scores({"broken": torch.rand(len(b))}),
        "one by one differ by",
    ),
    "images in place": (
        lambda s, model, b, m: Scores(
            {"broken": means(model, b, m) + 0 * b.images.clamp_(0.2).sum()}
        ),
        "the images were changed",
    ),
    "weights": (
        lambda s, model, b, m: Scores({"broken": means(spoilt(model), b, m)}),
        "weights or buffers were changed",
    ),
    "mode": (
        lambda s, model, b, m: Scores({"broken": means(model.train(), b, m)}),
        "training mode or requires_grad was changed",
    ),
}


def spoilt(model):
    with torch.no_grad():
        model.net.fc.bias.zero_()
    return model


@pytest.mark.parametrize("fault", METRIC_FAULTS)
def test_a_broken_metric_is_found(fault):
    score, why = METRIC_FAULTS[fault]
    found = failures(check_metric(metric(score)))
    assert (found == {}) if why is None else any(why in said for said in found.values()), found


def test_a_metric_that_declares_no_range_is_found():
    bare = type("Bare", (MapMetric,), {"name": "bare", "score": METRIC_FAULTS["a sound one"][0]})
    found = failures(check_metric(dataclass(frozen=True)(bare)()))
    assert found["declares direction and range"] == "lacks higher_is_better and range"


def test_a_plugin_file_is_checked(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        textwrap.dedent('''
            from dataclasses import dataclass
            from xaibench.explainers.base import Explainer
            from xaibench.registry import register

            @register("explainer")
            @dataclass(frozen=True)
            class Mine(Explainer):
                """The image itself."""

                def attribute(self, model, batch):
                    return batch.images.mean(1)
        ''')
    )
    found = failures(check_plugin(str(path)))
    assert len(found) == 3
    assert all(name.startswith("depends on the model") for name in found)
    assert failures(check_plugin("explainer:cam")) == {}


def test_the_decorator_names_a_plugin_by_its_file():
    assert register("explainer")(Sound).name == "test_checks"


def test_a_notebook_checks_an_instance():
    plugin = Registry().load("explainer", "random")()
    results = list(checks_for(plugin))
    assert len(results) > 5
    assert all(result.passed for result in results)


@pytest.mark.parametrize("other", [Registry().load("dataset", "pcam")(), "random"])
def test_what_has_no_checks_is_refused(other):
    with pytest.raises(UserError, match="cannot be checked yet; allowed: explainer, metric"):
        list(checks_for(other))
