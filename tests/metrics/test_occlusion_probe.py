"""Occlusion probes against a loop over pixels, a linear model, and their messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from xaibench.checks.plugins import checks_for
from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import fill_images
from xaibench.errors import UserError
from xaibench.imaging.regions import probe_mask
from xaibench.metrics.base import ImageMetric, Scores
from xaibench.metrics.occlusion_probe import OcclusionProbe
from xaibench.models.base import Classifier

SIDE = 32


@torch.no_grad()
def literal_drop(model, batch, i: int, name: str, fill, space) -> float:
    """Paint the probe's pixels over one by one, and ask the model twice."""
    behind, mask = fill_images(batch, fill)[i], probe_mask(name, SIDE, SIDE)
    painted = batch.images[i].clone()
    for y in range(SIDE):
        for x in range(SIDE):
            if mask[y, x]:
                for channel in range(painted.shape[0]):
                    painted[channel, y, x] = behind[channel, y, x]
    target = batch.targets[i : i + 1]
    scores = [
        model.score(image[None], target, space).item() for image in (batch.images[i], painted)
    ]
    return scores[0] - scores[1]


@pytest.mark.parametrize(
    ("head", "channels", "fill", "space"),
    [
        ("softmax", 3, "dataset_mean", "prob"),
        ("single_logit", 1, "image_mean", "logit"),
        ("multilabel", 3, 0.575, "prob"),
    ],
)
def test_equals_a_loop_over_pixels(head, channels, fill, space):
    model, batch = toy_model(head, channels), toy_batch(channels)
    metric = OcclusionProbe(squares=(10, 32), fill=fill, space=space)
    scores = metric.score_images(model, batch)
    names = [name.removeprefix("occlusion_probe@") for name in scores.values]
    assert names == [
        *("quadrant_top_left", "quadrant_top_right", "quadrant_bottom_left"),
        *("quadrant_bottom_right", "square_10px", "square_32px", "square_0.25", "square_0.5"),
        "ring_0.1",
    ]
    for name, values in zip(names, scores.values.values(), strict=True):
        for i in range(len(batch)):
            wanted = literal_drop(model, batch, i, name, fill, space)
            assert values[i].item() == pytest.approx(wanted, abs=1e-5)


def test_of_a_linear_model_the_drop_is_what_was_hidden():
    """With a fill of 0, score = w . x: the drop is the sum of w x over the hidden pixels."""
    weights = torch.randn(1, SIDE * SIDE, generator=torch.Generator().manual_seed(0)) / SIDE
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 1, bias=False))
    net[1].weight.data = weights
    model = Classifier(
        net, head="regression", classes=("y",), mean=(0.0,), std=(1.0,), cam_layer=None,
        linear_head=None, pool=None, input_shape=(1, SIDE, SIDE),
    )  # fmt: skip
    batch = toy_batch(1)
    batch.targets.zero_()
    values = OcclusionProbe(fill="black").score_images(model, batch).values
    products = (weights.view(SIDE, SIDE) * batch.images[:, 0]).double()
    for name, drops in values.items():
        mask = torch.from_numpy(probe_mask(name.partition("@")[2], SIDE, SIDE))
        assert drops.numpy() == pytest.approx(products[:, mask].sum(1).numpy(), abs=1e-5)
    quadrants = [v for name, v in values.items() if "quadrant" in name]
    assert sum(quadrants).numpy() == pytest.approx(products.sum((1, 2)).numpy(), abs=1e-5)


def test_costs_one_pass_a_probe_in_full_batches():
    model, batch = toy_model(), toy_batch()
    sizes = []
    model.net.register_forward_pre_hook(lambda _, arguments: sizes.append(len(arguments[0])))
    OcclusionProbe().score_images(model, batch)
    assert model.passes.forward == 5 * 7
    assert sorted(sizes) == [3, 5, 16, 16]  # 35 masked copies, and the 5 images themselves


def test_the_protocol_of_a_probe_says_nothing_of_the_others():
    few, many = OcclusionProbe(quadrants=False), OcclusionProbe(squares=(3,))
    name = "occlusion_probe@ring_0.1"
    assert (
        few.protocol(name, "s")
        == many.protocol(name, "s")
        == f"{name}[fill=dataset_mean,score=prob]"
    )
    assert OcclusionProbe(fill=0.5).protocol(name, "s") != few.protocol(name, "s")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"quadrants": False, "fractions": (), "rings": ()}, "hides nothing; name quadrants,"),
        ({"squares": (4, 4)}, "has the probe square_4px twice; name each size once"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(UserError, match=said):
        OcclusionProbe(**wrong).validate()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"squares": (96, 10)},
            "squares: 96 pixels are more than images of 40 x 32 have; at most 32",
        ),
        (
            {"rings": (0.1, 0.49)},
            "a ring of 0.49 keeps nothing of images of 40 x 32; make it narro",
        ),
    ],
)
def test_images_that_are_too_small_are_refused(wrong, said):
    OcclusionProbe(**wrong).check((224, 224))
    with pytest.raises(UserError, match=said):
        OcclusionProbe(**wrong).check((40, 32))


@pytest.mark.parametrize(
    "wrong", [{"rings": [0.5]}, {"rings": [0.0]}, {"fractions": [1.1]}, {"squares": [0]}]
)
def test_sizes_outside_the_image_are_refused(wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(OcclusionProbe).validate_python(wrong, strict=False)


@dataclass(frozen=True)
class Broken(ImageMetric):
    """A test's plugin."""

    name: ClassVar[str] = "broken"
    higher_is_better: ClassVar[None] = None
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    fault: str = ""

    def value_names(self, masks):
        return ["broken"]

    def score_images(self, model, batch):
        values = batch.images.mean((1, 2, 3))
        if self.fault == "batch":
            values = values / len(batch)
        if self.fault == "mode":
            model.train()
        return Scores(
            {"other" if self.fault == "name" else "broken": values + 2 * (self.fault == "range")}
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("batch", "one by one differ by"),
        ("range", r"outside [0.0, 1.0]"),
        ("name", "promised ['broken']"),
        ("mode", "the model, net, net.stem"),
    ],
)
def test_a_broken_metric_of_images_is_found(fault, why):
    told = [check.run().why or "" for check in checks_for(Broken(fault))]
    assert any(why in text for text in told), told


def test_hiding_all_leaves_the_fill_alone():
    model, batch = toy_model(), toy_batch()
    metric = OcclusionProbe(quadrants=False, fractions=(1.0,), rings=(), fill=0.2)
    (drops,) = metric.score_images(model, batch).values.values()
    with torch.no_grad():
        blank = model.score(torch.full_like(batch.images, 0.2), batch.targets)
        whole = model.score(batch.images, batch.targets)
    assert np.asarray(drops) == pytest.approx(np.asarray(whole - blank), abs=1e-6)
