"""Selectivity: a loop over patches, a closed form, Quantus, and its steps."""

from __future__ import annotations

import numpy as np
import pytest
import quantus
import torch
from region_twin import literal_regions
from subjects import images_batch, linear_model, net_model, signed_maps

from xaibench.engine import fill_images
from xaibench.metrics.selectivity import Selectivity

SIZE = (17, 22)


@pytest.mark.parametrize(
    ("head", "fill", "space"),
    [("softmax", "blur(3,1)", "prob"), ("single_logit", "image_mean", "logit")],
)
def test_equals_loop_over_patches(head, fill, space):
    model, batch = net_model(head, size=SIZE), images_batch(size=SIZE)
    maps, fills = signed_maps(batch), fill_images(batch, fill)
    scores = Selectivity(5, fill=fill, space=space).score(model, batch, maps)
    for i in range(3):
        about = (model, batch.images[i], batch.targets[i], maps[i], fills[i])
        ys, patches = literal_regions(*about, 5, 100, space)
        assert patches == 20
        area = sum((ys[k] + ys[k + 1]) / 2 / patches for k in range(patches))
        assert scores.curves["selectivity"].y[i].tolist() == pytest.approx(ys, abs=2e-6)
        assert scores.values["selectivity"][i].item() == pytest.approx(area, abs=1e-6)


def test_steps_take_several_patches_at_once():
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    maps = signed_maps(batch)
    every = Selectivity(5).score(model, batch, maps).curves["selectivity"]
    some = Selectivity(5, steps=4).score(model, batch, maps).curves["selectivity"]
    assert some.x[0].tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert some.y.numpy() == pytest.approx(every.y[:, ::5].numpy(), abs=1e-6)


def test_linear_model_in_closed_form():
    """Patch of rank r adds its contribution times (r + 1/2) / K."""
    batch = images_batch(size=(16, 20), images=2)
    batch.targets.zero_()
    weights = torch.randn(3, 16, 20, generator=torch.Generator().manual_seed(0)) / 10
    maps = (weights * batch.images).sum(1)
    found = Selectivity(4, fill="black").score(linear_model(weights), batch, maps)
    sums = torch.nn.functional.avg_pool2d(maps[:, None], 4).flatten(1).double() * 16
    falling = sums.sort(1, descending=True).values
    area = (falling * (torch.arange(20) + 0.5) / 20).sum(1)
    assert found.values["selectivity"].tolist() == pytest.approx(area.tolist(), abs=1e-4)


def test_its_curve_is_that_of_quantus_one_patch_later():
    model, batch = net_model(channels=1, size=(16, 20)), images_batch(1, (16, 20))
    maps = signed_maps(batch)
    ours = Selectivity(4, fill="black").score(model, batch, maps).curves["selectivity"]
    theirs = quantus.Selectivity(
        patch_size=4, normalise=False, perturb_baseline=0.0, disable_warnings=True
    )(
        model=model, x_batch=batch.images.numpy(), y_batch=batch.targets.numpy(),
        a_batch=maps[:, None].numpy(), device="cpu", softmax=True, channel_first=True,
    )  # fmt: skip
    assert ours.y[:, 1:].numpy() == pytest.approx(np.stack(theirs), abs=1e-5)


def test_its_protocol_and_direction():
    said = "selectivity[fill=dataset_mean,patch=8,rank=patch_sum,score=prob,steps=100,ties=seeded]"
    assert Selectivity().protocol("selectivity", "slic") == said
    assert Selectivity().direction("selectivity") is False
