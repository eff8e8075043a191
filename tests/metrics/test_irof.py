"""IROF: a loop over segments, a closed form, Quantus, and where it is undefined."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import quantus
import torch
from subjects import images_batch, linear_model, net_model, signed_maps

from xaibench.engine import fill_images
from xaibench.metrics.irof import Irof

SIZE = (17, 22)


@torch.no_grad()
@pytest.mark.parametrize("head", ["softmax", "multilabel"])
def test_equals_loop_over_segments(head):
    model, batch = net_model(head, size=SIZE), images_batch(size=SIZE)
    maps, fills = signed_maps(batch), fill_images(batch, "dataset_mean")
    values = Irof().score(model, batch, maps).values
    for i in range(3):
        segments = batch.segments[i]
        labels = range(int(segments.max()) + 1)
        mean = lambda s, i=i, segments=segments: maps[i][segments == s].double().mean().item()
        f = lambda x, i=i: model.score(x[None], batch.targets[i : i + 1]).item()
        shown, whole = batch.images[i].clone(), f(batch.images[i])
        xs, areas, ys = [0.0], [0.0], [1.0]
        for s in sorted(labels, key=lambda s: -mean(s)):
            shown[:, segments == s] = fills[i][:, segments == s]
            ys.append(f(shown) / whole)
            xs.append(xs[-1] + 1 / len(labels))
            areas.append(areas[-1] + (segments == s).double().mean().item())
        for name, at in (("irof", xs), ("irof@area", areas)):
            over = sum(
                (at[k + 1] - at[k]) * (1 - (ys[k] + ys[k + 1]) / 2) for k in range(len(labels))
            )
            assert values[name][i].item() == pytest.approx(over, abs=1e-5)


def test_linear_model_in_closed_form():
    """Segment of rank r adds its share of the score times (r + 1/2) / L to the area under."""
    batch = images_batch(size=(16, 20), images=2)
    batch.targets.zero_()
    weights = torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(0))
    maps = (weights * batch.images).sum(1)
    found = Irof(fill="black").score(linear_model(weights), batch, maps).values["irof"]
    for i in range(2):
        segments = batch.segments[i]
        parts = [maps[i][segments == s].double() for s in range(int(segments.max()) + 1)]
        parts.sort(key=lambda part: -part.mean().item())
        shares = [part.sum().item() / maps[i].double().sum().item() for part in parts]
        under = sum(share * (r + 0.5) / len(parts) for r, share in enumerate(shares))
        assert found[i].item() == pytest.approx(1 - under, abs=1e-5)


def test_quantus_has_the_same_curve_without_its_beginning_and_its_scale(monkeypatch):
    # Quantus 0.6 asks for a function that numpy 2.4 no longer has under that name.
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)
    model, batch = net_model(channels=1, size=SIZE), images_batch(1, SIZE)
    maps = signed_maps(batch)
    scores = Irof(fill="black").score(model, batch, maps)
    for i in range(3):
        segments = batch.segments[i].numpy()
        count = int(segments.max()) + 1
        name = "quantus.metrics.faithfulness.irof.utils.get_superpixel_segments"
        monkeypatch.setattr(name, lambda segments=segments, **_: segments)
        theirs = quantus.IROF(
            normalise=False, perturb_baseline=0.0, return_aggregate=False, disable_warnings=True
        )(
            model=model, x_batch=batch.images[i : i + 1].numpy(),
            y_batch=batch.targets[i : i + 1].numpy(), a_batch=maps[i : i + 1, None].numpy(),
            device="cpu", softmax=True, channel_first=True,
        )  # fmt: skip
        y = scores.curves["irof"].y[i, 1 : count + 1].double()
        assert count - torch.trapezoid(y).item() == pytest.approx(float(theirs[0]), abs=1e-4)
        whole = scores.curves["irof"].y[i, : count + 1].double()
        over = 1 - torch.trapezoid(whole).item() / count
        assert scores.values["irof"][i].item() == pytest.approx(over, abs=1e-6)


def test_is_undefined_where_the_score_is_next_to_nothing():
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    p = model.score(batch.images, batch.targets).detach()
    least = p.sort().values[:2].mean().item()
    scores = Irof(least=least).score(model, batch, signed_maps(batch))
    assert scores.values["irof"].isnan().tolist() == (p < least).tolist()
    assert scores.undefined["irof"].startswith("the score of the whole image is below 0.")


def test_one_segment_has_one_step():
    model, batch = net_model(size=SIZE), images_batch(size=SIZE)
    batch = replace(batch, segments=torch.zeros_like(batch.segments))
    scores = Irof().score(model, batch, signed_maps(batch))
    assert scores.curves["irof"].x.tolist() == [[0, 1]] * 3
    assert model.passes.forward == 0
    assert torch.equal(scores.values["irof"], scores.values["irof@area"])


def test_its_protocol_direction_and_names():
    said = "irof@area[fill=dataset_mean,least=0.001,rank=segment_mean,score=prob,segments=slic,"
    assert Irof().protocol("irof@area", "slic") == f"{said}ties=seeded]"
    assert Irof().direction("irof") is True
    assert Irof().value_names(()) == ["irof", "irof@area"]
    assert Irof().bounds == (-math.inf, 1.0)
