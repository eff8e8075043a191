"""Our own plugins pass the checks of everyone's, in a process of their own as everyone's do.

There, the types of signatures are not enforced, which takes time and memory of its own.
"""

from __future__ import annotations

import pytest

from xaibench.checks.process import run_checks
from xaibench.registry import KINDS, Registry

QUICK = {("explainer", "center_prior"), ("metric", "mass_accuracy"), ("metric", "shuffled_labels")}
OTHERS = {
    "explainer": [
        ("square_occlusion", ["window=12", "stride=5", "fill=blur", "space=logit"]),
        ("square_occlusion", ["window=40", "stride=40", "fill=0.3"]),
        ("superpixel_occlusion", ["measure=drop_per_area", "fill=image_mean"]),
        ("integrated_gradients", ["steps=9", "baseline=image_mean", "channels=sum"]),
        ("integrated_gradients", ["steps=20", "space=prob"]),
        ("lime", ["samples=60", "segmentation=slic", "hide=blur", "space=logit"]),
        ("lime", ["samples=60", "positive_only=true", "num_features=2", "kernel_width=0.5"]),
        ("grad_cam", ["variant=gradcam++"]),
        ("grad_cam", ["variant=layercam"]),
        ("grad_cam", ["variant=eigencam"]),
        ("grad_cam", ["variant=eigengradcam"]),
    ],
    "metric": [
        ("deletion", ["steps=7", "fill=blur"]),
        ("insertion", ["steps=7", "fill=0.4", "order=lerf"]),
        ("cumulative_drop", ["fill=blur"]),
        ("pointing_game", ["tolerance=3"]),
    ],
    "model": [("gap_cnn", ["width=8"]), ("timm", ["single_logit=true"])],
    "dataset": [],
}


def plugins():
    for kind in KINDS:
        every = [(name, []) for name in Registry().names(kind)] + OTHERS[kind]
        for name, settings in every:
            quick = (kind, name) in QUICK
            marks = [] if quick else [pytest.mark.slow]
            label = "-".join([kind, name, *settings])
            yield pytest.param(kind, name, settings, marks=marks, id=label)


@pytest.mark.parametrize(("kind", "name", "settings"), list(plugins()))
def test_it_keeps_its_contract(kind, name, settings):
    # A library that compiles itself when it is first called takes its time on a busy machine.
    results = list(run_checks(f"{kind}:{name}", settings, seconds=300))
    assert len(results) > 3
    assert {r.name: r.why for r in results if r.failed} == {}
