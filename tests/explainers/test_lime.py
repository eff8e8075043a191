"""LIME against the lime package's own explainer on the same samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lime.lime_image import LimeImageExplainer

from xaibench.checks import toy_batch, toy_model
from xaibench.explainers.lime import Lime

SAMPLES = 120


def as_rgb(image):
    """The package takes (height, width, 3) arrays."""
    return image.expand(3, -1, -1).permute(1, 2, 0).double().numpy()


def peer_explanation(model, batch, i, *, hide_color=None, segments=None, samples=SAMPLES):
    """``explain_instance`` with the image's random state; ``segments`` None: its own default.

    ``random_seed`` is passed, so that the segmentation draws nothing from the random state.
    """
    channels = batch.images.shape[1]
    seed = int(batch.seeds[i])

    @torch.no_grad()
    def classify(images):
        x = torch.from_numpy(images).permute(0, 3, 1, 2)[:, :channels].float()
        return model.probabilities(model.logits(x)).double().numpy()

    explainer = LimeImageExplainer(random_state=np.random.RandomState(seed % 2**32))
    return explainer.explain_instance(
        as_rgb(batch.images[i]),
        classify,
        labels=(int(batch.targets[i]),),
        top_labels=None,
        hide_color=hide_color,
        num_samples=samples,
        segmentation_fn=None if segments is None else lambda _: segments.numpy(),
        random_seed=seed % 1000,
    )


def peer_map(explanation, target):
    """The coefficient of its segment at each pixel."""
    coefficients = dict(explanation.local_exp[target])
    labels = explanation.segments
    return np.vectorize(lambda label: coefficients.get(label, 0.0))(labels)


@pytest.mark.parametrize(("hide", "hide_color"), [("segment_mean", None), ("black", 0)])
@pytest.mark.parametrize(
    ("head", "channels"), [("softmax", 3), ("single_logit", 1), ("multilabel", 3)]
)
def test_equals_the_package_on_given_segments(hide, hide_color, head, channels):
    model, batch = toy_model(head, channels), toy_batch(channels, images=3)
    maps = Lime(SAMPLES, "slic", hide)(model, batch).maps
    for i, segments in enumerate(batch.segments):
        peer = peer_explanation(model, batch, i, hide_color=hide_color, segments=segments)
        twin = peer_map(peer, int(batch.targets[i]))
        assert maps[i].numpy() == pytest.approx(twin, abs=2e-6)
        assert np.ptp(twin) > 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_package_on_its_default_segmentation(channels):
    model, batch = toy_model(channels=channels), toy_batch(channels, images=2)
    maps = Lime(SAMPLES)(model, batch).maps
    for i in range(len(batch)):
        twin = peer_map(peer_explanation(model, batch, i), int(batch.targets[i]))
        assert maps[i].numpy() == pytest.approx(twin, abs=2e-6)


@pytest.mark.parametrize("positive_only", [True, False])
@pytest.mark.parametrize("num_features", [1, 4, 100])
def test_selects_what_the_package_selects(positive_only, num_features):
    """``get_image_and_mask`` marks the chosen segments by 1, and by -1 where they speak against."""
    model, batch = toy_model(), toy_batch(images=2)
    explainer = Lime(SAMPLES, "slic", positive_only=positive_only, num_features=num_features)
    maps = explainer(model, batch).maps
    for i, segments in enumerate(batch.segments):
        peer = peer_explanation(model, batch, i, segments=segments)
        target = int(batch.targets[i])
        _, mask = peer.get_image_and_mask(target, positive_only, num_features=num_features)
        assert np.array_equal(np.sign(maps[i].numpy()), mask)
        whole = peer_map(peer, target)
        assert maps[i].numpy() == pytest.approx(np.where(mask != 0, whole, 0), abs=2e-6)


def test_follows_the_image_seed():
    model, batch = toy_model(), toy_batch(images=2)
    maps = Lime(SAMPLES, "slic")(model, batch).maps
    batch.seeds.add_(1)
    assert not torch.allclose(maps, Lime(SAMPLES, "slic")(model, batch).maps, atol=1e-4)


def test_costs_one_pass_a_sample():
    passes = Lime(50, "slic")(toy_model(), toy_batch()).passes
    assert (passes.forward, passes.backward) == (50 * 5, 0)
