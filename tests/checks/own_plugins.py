"""Our own plugins, with settings besides their defaults, and how each is held to its contract."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from xaibench.checks.process import run_checks
from xaibench.registry import Registry

QUICK = {("explainer", "center_prior"), ("metric", "mass_accuracy"), ("metric", "shuffled_labels")}
OTHERS = {
    "explainer": [
        ("square_occlusion", ["window=12", "stride=5", "fill=blur", "space=logit"]),
        ("square_occlusion", ["window=20", "stride=20", "fill=0.3"]),
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
    "model": [
        ("gap_cnn", ["width=8"]),
        ("timm", ["single_logit=true"]),
        ("torchvision", ["single_logit=true"]),
        ("module", ["head=keep", "options={num_classes: 2}"]),
    ],
    "dataset": [],
}
# Parameters without a default; ARCHIVE is a small network as torch.jit.save writes it.
REQUIRED = {("model", "exported"): ["file=ARCHIVE"]}


def plugins(*kinds: str):
    for kind in kinds:
        own = [(name, REQUIRED.get((kind, name), [])) for name in Registry().names(kind)]
        every = own + OTHERS[kind]
        for name, settings in every:
            quick = (kind, name) in QUICK
            marks = [] if quick else [pytest.mark.slow]
            label = "-".join([kind, name, *settings])
            yield pytest.param(kind, name, settings, marks=marks, id=label)


def archive(folder: Path) -> Path:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    net = nn.Sequential(*layers, nn.Linear(6, 2)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated, and about
        torch.jit.save(torch.jit.trace(net, torch.rand(2, 3, 64, 64)), folder / "net.pt")
    return folder / "net.pt"


def hold_to_contract(kind: str, name: str, settings: list[str], folder: Path) -> None:
    if (kind, name) in REQUIRED:
        settings = [s.replace("ARCHIVE", str(archive(folder))) for s in settings]
    # A library that compiles itself when it is first called takes its time on a busy machine.
    results = list(run_checks(f"{kind}:{name}", settings, seconds=300))
    assert len(results) > 3
    assert {r.name: r.why for r in results if r.failed} == {}
