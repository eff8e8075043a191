"""Panels: what each cell shows, and that failures are said."""

from __future__ import annotations

import numpy as np
import pytest

from xaibench.figures import panels, pictures
from xaibench.figures.choice import with_truth

CONTROLS = ("random", "center_prior")
N, SIDE, EXPLAINERS = 6, 16, 4  # of the fabricated run


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 255, (N, SIDE, SIDE, 3), dtype="uint8")


@pytest.fixture
def figure(images, maps, masks, predictions):
    shown = with_truth(predictions)
    return panels.draw(images, maps, masks, shown, "pcam_synthetic (generated)", CONTROLS)


def cells(figure):
    rows = np.array(figure.axes[: N * (1 + EXPLAINERS)], dtype=object)
    return rows.reshape(N, 1 + EXPLAINERS)


def test_one_row_an_image_and_one_column_an_explainer(figure, legible):
    assert len(figure.axes) == N * (1 + EXPLAINERS) + 2  # and a colour bar for each kind
    heads = [ax.get_title().replace("\n", "") for ax in cells(figure)[0]]
    controls = ["random(control)", "center_prior(control)"]
    assert heads == ["image", *controls, "superpixel_occlusion", "grad_cam"]
    assert "pcam_synthetic (generated): maps of 6 images" in figure.get_suptitle()
    legible(figure)


def test_the_row_tells_truth_prediction_and_probability(figure):
    told = [row[0].texts[0].get_text().split("\n") for row in cells(figure)]
    assert told[0] == ["test_0", "true: metastasis", "model: metastasis", "p = 0.90"]
    assert told[5] == ["test_5", "true: normal", "model: normal", "p(metasta…) = 0.10"]


def test_failed_and_constant_maps_are_said(figure):
    column = cells(figure)[:, -1]
    said = [[text.get_text() for text in ax.texts] for ax in column]
    assert said == [[], ["failed"], ["constant"], [], [], []]


def test_signed_maps_are_centred_and_capped_at_the_99th_percentile(figure, maps):
    grid = cells(figure)
    signed = grid[0, 3].images[-1]
    cap = np.percentile(np.abs(maps["superpixel_occlusion"][0]), 99)
    assert signed.get_clim() == pytest.approx((-cap, cap))
    assert signed.get_cmap().name == pictures.SIGNED
    positive = grid[0, 1].images[-1]
    assert positive.get_clim() == pytest.approx((0, np.percentile(maps["random"][0], 99)))


def test_masks_are_outlined_and_named(figure):
    patch = cells(figure)[0, 0]
    assert len(patch.collections) == 1  # the contour of the evidence
    assert len(patch.patches) == 1  # the weak mask covers the whole image
    assert not cells(figure)[1, 0].collections  # an empty mask has no outline
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["mask evidence", "mask centre_weak (weak mask)"]


def test_grey_float_images_one_explainer_no_mask(maps, predictions, legible):
    grey = np.random.default_rng(0).random((N, SIDE, SIDE, 1), dtype="float32")
    one = {"random": maps["random"]}
    figure = panels.draw(grey, one, {}, with_truth(predictions), "chexpert")
    assert not figure.legends
    legible(figure)


def test_a_truth_of_any_kind_is_shown_as_it_is(images, maps, predictions):
    rows = with_truth(predictions.assign(label=[[0, 1]] * N, predicted=1))
    figure = panels.draw(images, {"random": maps["random"]}, {}, rows, "chexpert")
    assert figure.axes[0].texts[0].get_text().split("\n")[1:3] == ["true: [0, 1]", "model: 1"]


def test_several_labels_are_listed(images, maps, predictions):
    rows = predictions.drop(columns="label").assign(label_normal=1.0, label_metastasis=1.0)
    rows = rows.assign(label_normal=[0.0] * 5 + [1.0], label_metastasis=[0.0] + [1.0] * 5)
    figure = panels.draw(images, {}, {}, with_truth(rows), "chexpert")
    told = [ax.texts[0].get_text().split("\n")[1:3] for ax in figure.axes]
    assert told[0] == ["true: none", "model: metastasis"]
    assert told[1][0] == "true: metastasis"
    assert told[5][0] == "true: normal, met…"
