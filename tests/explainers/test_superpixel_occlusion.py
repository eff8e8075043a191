"""Superpixel occlusion against captum's FeatureAblation and against a loop over segments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.explainers.superpixel_occlusion import SuperpixelOcclusion


@pytest.mark.parametrize("head", ["softmax", "single_logit", "multilabel"])
@pytest.mark.parametrize("fill", [0.0, 0.35])
def test_equals_captum(head, fill):
    model, batch = toy_model(head), toy_batch()
    maps = SuperpixelOcclusion(fill=fill)(model, batch).maps
    for i in range(len(batch)):
        peer = FeatureAblation(model.score).attribute(
            batch.images[i : i + 1],
            baselines=fill,
            feature_mask=batch.segments[i : i + 1, None],
            additional_forward_args=(batch.targets[i : i + 1],),
        )
        assert maps[i] == pytest.approx(peer[0, 0].detach(), abs=1e-5)


@pytest.mark.parametrize("measure", ["drop", "drop_per_area"])
@pytest.mark.parametrize("space", ["prob", "logit"])
@torch.no_grad()
def test_equals_loop_over_segments(measure, space):
    """f(x) - f(x with the segment filled); divided by the segment's area in per cent."""
    model, batch = toy_model(), toy_batch(images=3)
    explainer = SuperpixelOcclusion(measure, fill="dataset_mean", space=space)
    maps = explainer(model, batch).maps
    for i, (image, segments) in enumerate(zip(batch.images, batch.segments, strict=True)):
        f = lambda x, i=i: float(model.score(x[None], batch.targets[i : i + 1], space))
        twin = np.zeros(segments.shape)
        for segment in range(int(segments.max()) + 1):
            inside = (segments == segment).numpy()
            hidden = image.clone()
            for channel in range(3):
                hidden[channel][inside] = batch.dataset_mean[channel]
            drop = f(image) - f(hidden)
            if measure == "drop_per_area":
                drop /= 100 * inside.sum() / inside.size
            twin[inside] = drop
        assert maps[i].numpy() == pytest.approx(twin, abs=1e-5)


def test_costs_one_pass_a_segment():
    model, batch = toy_model(), toy_batch(images=3)
    passes = SuperpixelOcclusion()(model, batch).passes
    assert (passes.forward, passes.backward) == (16 + 8 + 16, 0)
