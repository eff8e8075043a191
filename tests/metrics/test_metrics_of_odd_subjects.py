"""Metrics of maps on unusual images and heads: odd sides, one channel, many classes, one image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from xaibench.checks.stage import toy_batch
from xaibench.engine.batch import Batch
from xaibench.models.base import Classifier
from xaibench.registry import Registry

OWN = [
    "adcc",
    "attribution_localisation",
    "auc_localisation",
    "average_drop",
    "average_gain",
    "completeness",
    "complexity",
    "effective_complexity",
    "focus",
    "increase_in_confidence",
    "random_logit",
    "relevance_rank_accuracy",
    "sparseness",
    "top_k_intersection",
]
QUANTUS = {
    "quantus.faithfulness_correlation": {"nr_runs": 4},
    "quantus.faithfulness_estimate": {},
    "quantus.infidelity": {"patch_size": 1},
    "quantus.irof": {},
    "quantus.max_sensitivity": {"nr_samples": 2},
    "quantus.monotonicity_correlation": {"nr_samples": 1},
    "quantus.pixel_flipping": {},
    "quantus.region_perturbation": {},
    "quantus.relative_output_stability": {"nr_samples": 2},
    "quantus.road": {"percentages": (20, 50)},
    "quantus.top_k_intersection": {},
}
SUBJECTS = {
    "33x47, 16 classes": ("softmax", 16, 3, (33, 47)),
    "47x33, single logit, one channel": ("single_logit", 2, 1, (47, 33)),
    "32x20, several labels": ("multilabel", 3, 3, (32, 20)),
    "21x21, regression, one channel": ("regression", 1, 1, (21, 21)),
}


def subject(head: str, classes: int, channels: int, size: tuple[int, int]):
    """A model, a batch of four images (the last constant) and signed maps (the last constant)."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Conv2d(channels, 6, 5, 2, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(24, 1 if head == "single_logit" else classes),
        )  # fmt: skip
    model = Classifier(
        net, head=head, classes=tuple(f"c{i}" for i in range(classes)), mean=(0.4,) * channels,
        std=(0.3,) * channels, cam_layer="1", linear_head="4", pool="2",
        input_shape=(channels, *size),
    ).eval()  # fmt: skip
    whole = toy_batch(channels, images=4)
    wide = lambda x: nn.functional.interpolate(x.double(), size).to(x.dtype)
    images = wide(whole.images)
    images[3] = 0.5
    batch = replace(
        whole,
        images=images,
        targets=torch.tensor([0, 1, 2, 5]) % classes,
        masks={name: wide(m[:, None])[:, 0] for name, m in whole.masks.items()},
        segments=wide(whole.segments[:, None])[:, 0],
        references=wide(whole.references),
    )
    maps = torch.randn(4, *size, generator=torch.Generator().manual_seed(2))
    maps[3] = 0
    return model, batch, maps


def remake(model: Classifier, batch: Batch) -> torch.Tensor:
    """Maps in float64, so that what rounds otherwise in another batch is not the metric's fault."""
    images = batch.images.double().requires_grad_()
    net = nn.Sequential(*model.net).double()
    score = model.read(net((images - 0.4) / 0.3), batch.targets, "logit").sum()
    maps = (torch.autograd.grad(score, images)[0] * images).sum(1).detach().float()
    net.float()
    return maps


def values(metric, model, batch, maps) -> dict[str, torch.Tensor]:
    if hasattr(metric, "compare"):
        scores = metric.compare(model, metric.others(model, None, 0), batch, maps, remake)
    else:
        scores = metric.score(model, batch, maps)
    assert sorted(scores.values) == sorted(metric.value_names(tuple(batch.masks)))
    for name, value in scores.values.items():
        assert value.shape == (len(batch),)
        assert name in scores.undefined or value.isfinite().all()
        low, high = metric.value_bounds(name)
        if model.head != "regression":
            assert ((value >= low - 1e-6) & (value <= high + 1e-6) | value.isnan()).all()
    return scores.values


@pytest.mark.parametrize("about", SUBJECTS.values(), ids=list(SUBJECTS))
@pytest.mark.parametrize(
    "name",
    [
        # It takes a pass a pixel where sides share no divisor.
        pytest.param(name, marks=[pytest.mark.slow] * (name == "quantus.infidelity"))
        for name in [*OWN, *QUANTUS]
    ],
)
def test_holds_for(name, about):
    metric = Registry().load("metric", name)(**QUANTUS.get(name, {}))
    model, batch, maps = subject(*about)
    metric.check(tuple(batch.images.shape[2:]))
    found = values(metric, model, batch, maps)
    order = [2, 3, 0, 1]
    permuted = values(metric, model, batch.take(order), maps[order])
    alone = [values(metric, model, batch.take([i]), maps[[i]]) for i in range(4)]
    for value, whole in found.items():
        for other in (permuted[value][[2, 3, 0, 1]], torch.cat([one[value] for one in alone])):
            assert torch.equal(whole.isnan(), other.isnan())
            scale = whole.nan_to_num().abs().max().clamp_min(1e-9)
            assert ((whole - other).nan_to_num().abs() <= 1e-5 * scale).all()
    if not name.startswith("quantus."):
        known = {k: v[:3] for k, v in found.items() if "road" not in k}
        one_output = name == "random_logit" and len(model.classes) == 1
        anything = any(v.isfinite().any() for v in known.values())
        assert anything or one_output
