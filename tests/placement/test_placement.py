"""Every explainer and metric on a pretended GPU: to the CPU's numbers, with nothing misplaced."""

from __future__ import annotations

import pytest
from left import LEFT, unlisted
from trials import alike, numbers, numbers_there, places, plugin

from xaibench.checks.stage import NETWORKS, Network, Stage
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.metrics.base import Metric, PredictionMetric
from xaibench.registry import Registry

SEEN_INSIDE = ("token_occlusion", "attn_lrp", "raw_attention", "attention_rollout")
SEEN_INSIDE += ("gradient_attention",)
# Fewer of what a loop does again and again: placement is a matter of one round.
SMALL = {
    "rise": {"masks": 60},
    "lime": {"samples": 60},
    "kernel_shap": {"samples": 80},
    "guided_ig": {"steps": 6},
    "sensitivity_n": {"subsets": 4},
    "road": {"levels": (0.3, 0.7)},
}
# Whose numbers are not the CPU's, and why.
OTHER_NUMBERS = {
    "captum.gradient_shap": "its noise is drawn on the device, by the device's own generator",
    "captum.layer_gradient_shap": "its noise is drawn on the device, by the device's own generator",
    "captum.layer_activation": "sums of a ViT's normalised tokens are zero but for rounding",
}
# Ways that the defaults do not go.
VARIANTS = [
    ("explainer", "rise", {"masks": 60, "normalise": "sum"}),
    ("explainer", "lime", {"samples": 60, "segmentation": "slic", "hide": "blur"}),
    ("explainer", "lime", {"samples": 60, "positive_only": True, "num_features": 2}),
    ("explainer", "superpixel_occlusion", {"measure": "drop_per_area", "fill": "image_mean"}),
    ("explainer", "square_occlusion", {"window": 12, "stride": 5, "fill": "blur"}),
    ("explainer", "integrated_gradients", {"baseline": "image_mean", "channels": "sum"}),
    ("explainer", "integrated_gradients", {"steps": 12, "rule": "by_change", "parts": 4}),
    ("explainer", "blur_ig", {"steps": 5, "spacing": "linear"}),
    ("explainer", "extremal_perturbation", {"fill": "black"}),
    ("explainer", "hierarchical_perturbation", {"fill": "blur"}),
    ("explainer", "score_cam", {"weights": "increase"}),
    ("explainer", "smooth_grad", {"samples": 5, "magnitude": "square"}),
    ("explainer", "attn_lrp", {"variant": "cp_lrp"}),
    ("explainer", "attention_rollout", {"heads": "max"}),
    ("explainer", "grad_cam", {"variant": "layercam"}),
    ("explainer", "grad_cam", {"variant": "eigencam"}),
    ("metric", "deletion", {"steps": 7, "fill": "blur"}),
    ("metric", "insertion", {"steps": 7, "fill": "0.4", "order": "lerf"}),
    ("metric", "cumulative_drop", {"fill": "blur"}),
    ("metric", "pointing_game", {"tolerance": 3}),
    ("metric", "infidelity", {"samples": 9, "perturbation": "noise", "scale": "none"}),
    ("metric", "iou_top", {"top": 0.2}),
    ("metric", "monotonicity", {"steps": 9, "definition_by": "nguyen"}),
    ("metric", "road", {"levels": (0.5,), "order": "lerf", "measure": "accuracy"}),
    ("metric", "weight_randomisation", {"stages": 1, "noisy_copies": 2}),
]


def refusal(tried: Explainer | Metric, stage: Stage) -> str:
    try:
        if isinstance(tried, Explainer):
            tried.admit(stage.model())
        else:
            tried.check(stage.size)
    except UserError as reason:
        return str(reason)
    return ""


def usual(name: str) -> Network:
    return "vit" if name in SEEN_INSIDE else "cnn"


def trials():
    """Ours on convolutions, and those that look at tokens on a ViT; all the rest is slow."""
    for kind in ("explainer", "metric"):
        for name in Registry().names(kind):
            foreign = "." in name
            # What a metric does is the same for every network; what a library's does, for tokens.
            of_explainers = NETWORKS[:2] if foreign else NETWORKS
            for network in of_explainers if kind == "explainer" else ["cnn"]:
                quick = network == usual(name) and not foreign
                marks = [] if quick else [pytest.mark.slow]
                yield pytest.param(kind, name, network, marks=marks, id=f"{name}-{network}")


def hold(tried: Explainer | Metric, stage: Stage) -> None:
    found, waits = numbers_there(tried, stage)
    assert unlisted(places(waits, "cpu")) == set()
    if tried.name in OTHER_NUMBERS:
        return
    wanted = numbers(tried, stage)
    assert found.keys() == wanted.keys()
    assert [name for name, value in found.items() if not alike(value, wanted[name])] == []


@pytest.mark.parametrize(("kind", "name", "network"), list(trials()))
def test_it_computes_where_its_images_are(kind, name, network):
    tried, stage = plugin(kind, name, SMALL.get(name)), Stage(network=network, images=2)
    if isinstance(tried, PredictionMetric):
        pytest.skip("it scores arrays of NumPy, once a run")
    if refusal(tried, stage):
        return  # why, is what tests/checks/test_matrix.py asks
    hold(tried, stage)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name", "settings"), VARIANTS)
def test_other_settings_compute_there_too(kind, name, settings):
    hold(plugin(kind, name, settings), Stage(network=usual(name), images=2))


@pytest.mark.parametrize(
    ("place", "name"),
    [
        pytest.param(place, name, marks=[pytest.mark.slow] if "." in name else [], id=place)
        for place, (name, _) in LEFT.items()
    ],
)
def test_what_is_said_to_leave_the_device_does(place, name):
    kind = "explainer" if name in Registry().names("explainer") else "metric"
    stage = Stage(network=usual(name), images=2)
    _, waits = numbers_there(plugin(kind, name, SMALL.get(name)), stage)
    assert [where for where in places(waits, "cpu") if where.startswith(place)]
