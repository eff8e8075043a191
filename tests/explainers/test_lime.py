"""LIME against the lime package's own explainer on the same samples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lime.lime_base import LimeBase
from lime.lime_image import LimeImageExplainer
from lime.wrappers.scikit_image import SegmentationAlgorithm
from sklearn.metrics import pairwise_distances

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.explainers.lime import Lime, ridge_coefficients
from xaibench.runs.explaining import explain
from xaibench.segmentation.quickshift import Quickshift
from xaibench.segmentation.segmenter import Segmenter

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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", [0, 7, 2**62])
def test_quickshift_is_the_package_s_own_up_to_numbering(channels, seed):
    package = SegmentationAlgorithm(
        "quickshift", kernel_size=4, max_dist=200, ratio=0.2, random_seed=seed % 1000
    )
    for image in toy_batch(channels).images:
        labels = Quickshift()(image.numpy(), seed)
        peer = package(as_rgb(image))
        pairs = {*zip(peer.ravel().tolist(), labels.ravel().tolist(), strict=True)}
        assert len(pairs) == len(np.unique(peer)) == labels.max() + 1


def test_quickshift_comes_from_the_batch_s_segmenter(tmp_path):
    model, batch = toy_model(), replace(toy_batch(images=2), segmenter=Segmenter(tmp_path))
    maps = Lime(SAMPLES)(model, batch).maps
    assert len(list(tmp_path.rglob("*.npz"))) == 2
    assert torch.equal(Lime(SAMPLES)(model, batch).maps, maps)
    assert torch.equal(Lime(SAMPLES)(model, toy_batch(images=2)).maps, maps)
    assert Lime().own_segmentation() == Quickshift()
    assert Lime(segmentation="slic").own_segmentation() is None


def package_sample(seed, samples, segments):
    """The package's draw: which segments each copy keeps, the first all of them."""
    data = np.random.RandomState(seed).randint(0, 2, samples * segments)
    data = data.reshape(samples, segments)
    data[0] = 1
    return data


def package_ranking(data, scores, width):
    """The package's regression on one image: (segment, coefficient), the largest first."""
    base = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / width**2)))
    distances = pairwise_distances(data, data[:1], metric="cosine").ravel()
    exp = partial(base.explain_instance_with_data, data, scores[:, None], distances, 0)
    return exp(data.shape[1], feature_selection="none")[1]


def package_coefficients(data, scores, width=0.25):
    return np.array([weight for _, weight in sorted(package_ranking(data, scores, width))])


def ours(samples, scores, width=0.25):
    """Our coefficients of images with samples of different widths, at once."""
    numbers = [data.shape[1] for data in samples]
    kept = np.zeros((len(samples), samples[0].shape[0], max(numbers)), bool)
    for rows, data in zip(kept, samples, strict=True):
        rows[:, : data.shape[1]] = data
    return ridge_coefficients(
        torch.from_numpy(kept),
        torch.from_numpy(np.stack(scores).astype(np.float32)),
        torch.tensor(numbers),
        width,
    ).numpy()


@settings(deadline=None, max_examples=60)
@given(
    numbers=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    samples=st.integers(2, 60),
    width=st.sampled_from([0.02, 0.25, 1.0, 30.0]),
    scale=st.sampled_from([0.0, 1e-6, 1.0, 20.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_regression_equals_the_package_s(numbers, samples, width, scale, seed):
    """One segment, two, fewer samples than segments, equal scores, logits, several at once."""
    data = [package_sample(seed, samples, number) for number in numbers]
    rng = np.random.default_rng(seed)
    scores = [(0.5 + scale * rng.standard_normal(samples)).astype(np.float32) for _ in numbers]
    coefficients = ours(data, scores, width)
    for row, kept, column in zip(coefficients, data, scores, strict=True):
        twin = package_coefficients(kept, column.astype(np.float64), width)
        assert row[: len(twin)] == pytest.approx(twin, rel=1e-9, abs=1e-9 * max(scale, 1))
        assert not row[len(twin) :].any()


def test_segments_that_no_copy_or_every_copy_hides_or_keeps():
    data = package_sample(3, 40, 6)
    data[1:, 0] = 0
    data[:, 1] = 1
    data[5] = 0  # at a distance of 1 from the whole image
    scores = np.random.default_rng(0).random(40).astype(np.float32).astype(np.float64)
    assert ours([data], [scores])[0] == pytest.approx(package_coefficients(data, scores), abs=1e-10)


def test_equal_scores_say_nothing():
    data = [package_sample(1, 50, 7), package_sample(2, 50, 3)]
    scores = [np.full(50, 0.1), np.full(50, 0.7)]
    assert not ours(data, scores).any()
    assert package_coefficients(data[0], scores[0]) == pytest.approx(np.zeros(7), abs=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_spoils_its_image_alone(bad):
    data = [package_sample(seed, 50, 5) for seed in range(3)]
    scores = [np.random.default_rng(seed).random(50) for seed in range(3)]
    wanted = ours(data, scores)
    scores[1][20] = bad
    coefficients = ours(data, scores)
    assert np.isnan(coefficients[1]).all()
    assert np.array_equal(coefficients[[0, 2]], wanted[[0, 2]])


@pytest.mark.parametrize("options", [{}, {"positive_only": True, "num_features": 1}])
def test_a_nan_score_makes_a_nan_map_of_its_image_alone(options):
    model, batch = toy_model(), toy_batch(images=3)
    explainer = Lime(SAMPLES, "slic", **options)
    wanted = explainer(model, batch).maps
    batch.images[1, 0, 0, 0] = torch.nan
    explanation, outcomes = explain(explainer, model, batch)
    assert explanation.maps[1].isnan().all()
    assert torch.allclose(explanation.maps[[0, 2]], wanted[[0, 2]], atol=1e-6)
    assert [outcome.status for outcome in outcomes] == ["ok", "nan", "ok"]


@pytest.mark.parametrize("positive_only", [True, False])
@pytest.mark.parametrize("num_features", [1, 2, 3, 5, None])
def test_ties_go_in_the_package_s_order(positive_only, num_features):
    """Of equal sizes the lower number comes first, whatever its sign."""
    weights = [[0.5, -0.5, 0.0, 0.5, -2.0, 0.5], [-1.0, 1.0, 1.0, -1.0, 1.0, 0.0]]
    explainer = Lime(positive_only=positive_only, num_features=num_features)
    chosen = explainer._selected(torch.tensor(weights, dtype=torch.float64))
    for row, values in zip(chosen.tolist(), weights, strict=True):
        ranked = sorted(enumerate(values), key=lambda pair: abs(pair[1]), reverse=True)
        if positive_only:
            ranked = [(i, value) for i, value in ranked if value > 0]
        twin = dict(ranked[:num_features])
        assert row == [twin.get(i, 0.0) for i in range(len(values))]


def test_copies_are_drawn_as_the_package_draws_them():
    seeds, numbers = [5, 2**63 - 1, 0], [3, 11, 1]
    kept = Lime(40)._sample(seeds, numbers).numpy()
    for rows, seed, number in zip(kept, seeds, numbers, strict=True):
        assert np.array_equal(rows[:, :number], package_sample(seed % 2**32, 40, number))
        assert not rows[:, number:].any()


def test_an_image_of_a_large_block_has_the_map_that_it_has_alone():
    model, batch = toy_model(), toy_batch(images=18)
    maps = Lime(40, "slic")(model, batch).maps
    for i in (0, 3, 15, 16, 17):
        assert torch.allclose(Lime(40, "slic")(model, batch.take([i])).maps[0], maps[i], atol=1e-6)
