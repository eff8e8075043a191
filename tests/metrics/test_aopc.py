"""AOPC: a loop over regions, a closed form, Quantus, and its noise."""

from __future__ import annotations

import pytest
import quantus
import torch
from region_twin import literal_regions
from subjects import images_batch, linear_model, net_model, signed_maps

from xaibench.engine import fill_images
from xaibench.metrics.aopc import Aopc

SIZE = (17, 22)


@pytest.mark.parametrize("steps", [7, 100])  # of 20 regions
def test_equals_loop_over_regions(steps):
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    maps, fills = signed_maps(batch), fill_images(batch, "uniform")
    scores = Aopc(5, steps).score(model, batch, maps)
    for i in range(3):
        about = (model, batch.images[i], batch.targets[i], maps[i], fills[i])
        ys, _ = literal_regions(*about, 5, steps)
        drops = [ys[0] - y for y in ys]
        assert scores.values["aopc"][i].item() == pytest.approx(sum(drops) / len(drops), abs=1e-6)
        assert scores.curves["aopc"].y[i].tolist() == pytest.approx(drops, abs=2e-6)
        assert scores.curves["aopc"].x[i, -1].item() == pytest.approx((len(ys) - 1) / 20)


def test_linear_model_in_closed_form():
    """Region of rank r is gone at L - r of the L + 1 steps."""
    batch = images_batch(size=(16, 20), images=2)
    batch.targets.zero_()
    weights = torch.randn(3, 16, 20, generator=torch.Generator().manual_seed(0)) / 10
    maps = (weights * batch.images).sum(1)
    found = Aopc(4, 12, "black").score(linear_model(weights), batch, maps).values["aopc"]
    sums = torch.nn.functional.avg_pool2d(maps[:, None], 4).flatten(1).double() * 16
    falling = sums.sort(1, descending=True).values[:, :12]
    expected = (falling * (12 - torch.arange(12))).sum(1) / 13
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_its_drops_are_those_of_quantus():
    model, batch = net_model(channels=1, size=(16, 20)), images_batch(1, (16, 20))
    maps = signed_maps(batch)
    ours = Aopc(4, 9, "black").score(model, batch, maps).curves["aopc"]
    theirs = quantus.RegionPerturbation(
        patch_size=4, regions_evaluation=9, order="morf", normalise=False, perturb_baseline=0.0,
        disable_warnings=True,
    )(
        model=model, x_batch=batch.images.numpy(), y_batch=batch.targets.numpy(),
        a_batch=maps[:, None].numpy(), device="cpu", softmax=True, channel_first=True,
    )  # fmt: skip
    found = torch.stack([torch.as_tensor(row) for row in theirs])
    assert ours.y[:, 1:].numpy() == pytest.approx(found.numpy(), abs=1e-5)


def test_the_noise_is_uniform_and_the_images_own():
    batch = images_batch(size=(40, 50))
    noise = fill_images(batch, "uniform")
    assert 0 <= noise.min() <= noise.max() < 1
    assert noise.mean().item() == pytest.approx(0.5, abs=4 / (12 * noise.numel()) ** 0.5)
    assert len({tuple(image[0, 0].tolist()) for image in noise}) == 3
    drawn = batch.take([2, 0]).reseeded(torch.tensor([5, 6]))  # another draw of a control's map
    assert torch.equal(fill_images(drawn, "uniform"), noise[[2, 0]])


def test_its_protocol_and_direction():
    said = "aopc[fill=uniform,rank=region_sum,region=9,score=prob,steps=100,ties=seeded]"
    assert Aopc().protocol("aopc", "slic") == said
    assert Aopc().direction("aopc") is True
