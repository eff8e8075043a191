"""The painted patches keep the original's label rule, and do not give the label away."""

import numpy as np
import pytest
from scipy.ndimage import label
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xaibench.phantoms import patches as pcam_patches
from xaibench.phantoms.patches import CENTRE, Stain, draw_patch

CENTRAL = np.zeros((96, 96), bool)
CENTRAL[CENTRE, CENTRE] = True


def draw(count, shortcut_rate=None, seed=0):
    """Patches of alternating label, ten to a slide."""
    slides = [Stain.draw(np.random.default_rng([seed, 0, i])) for i in range(count // 10 + 1)]
    return [
        draw_patch(np.random.default_rng([seed, 1, i]), i % 2, slides[i // 10], shortcut_rate)
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def patches():
    return draw(300)


def test_a_patch_has_the_stated_shapes_and_types(patches):
    for patch in patches[:10]:
        assert (patch.image.dtype, patch.image.shape) == (np.uint8, (96, 96, 3))
        assert (patch.evidence.dtype, patch.evidence.shape) == (bool, (96, 96))
        assert (patch.tag.dtype, patch.tag.shape) == (bool, (96, 96))


def test_only_positives_have_evidence_and_it_reaches_the_centre(patches):
    for patch in patches:
        assert (patch.evidence & CENTRAL).any() == bool(patch.label)
        assert patch.evidence.any() == bool(patch.label)


def test_each_piece_of_evidence_reaches_the_centre(patches):
    for patch in patches:
        pieces, count = label(patch.evidence, np.ones((3, 3)))
        assert set(np.unique(pieces[CENTRAL])) - {0} == set(range(1, count + 1))


def test_some_negatives_have_tumour_but_none_touching_the_centre(monkeypatch):
    covers = []
    paint = pcam_patches.paint_tumour
    monkeypatch.setattr(
        pcam_patches,
        "paint_tumour",
        lambda rng, nuclei, *rest: (covers.append(nuclei.cover()), paint(rng, nuclei, *rest)),
    )
    stain = Stain.draw(np.random.default_rng(0))
    for i in range(100):
        draw_patch(np.random.default_rng([9, i]), 0, stain)
    inside = [cover[pcam_patches._INSIDE, pcam_patches._INSIDE] for cover in covers]
    assert 0.15 < np.mean([cover.any() for cover in inside] + [0] * (100 - len(inside))) < 0.4
    assert not any((cover & CENTRAL).any() for cover in inside)


def test_no_tag_without_a_shortcut(patches):
    assert not any(patch.tag.any() for patch in patches)


@pytest.mark.parametrize(("rate", "positive", "negative"), [(1.0, 1.0, 0.0), (0.8, 0.8, 0.2)])
def test_tag_rate(rate, positive, negative):
    patches = draw(120, rate)
    for truth, expected in ((1, positive), (0, negative)):
        share = np.mean([patch.tag.any() for patch in patches if patch.label == truth])
        # Four standard errors of 60 draws; exact where the rate is 0 or 1.
        assert share == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 60) ** 0.5)


def test_tag_changes_its_own_pixels_only_in_a_corner(patches):
    corners = set()
    for plain, marked in zip(patches[:40], draw(40, 1.0), strict=True):
        assert np.array_equal((plain.image != marked.image).any(2) & ~marked.tag, 0 * marked.tag)
        assert np.array_equal(plain.evidence, marked.evidence)
        if marked.label:
            rows, columns = np.nonzero(marked.tag)
            assert max(np.ptp(rows), np.ptp(columns)) < 10
            assert not marked.tag[18:-18].any()
            assert not marked.tag[:, 18:-18].any()
            corners.add((rows.min() > 48, columns.min() > 48))
    assert len(corners) == 4


def test_mean_colour_does_not_give_the_label_away(patches):
    images = np.stack([patch.image for patch in patches]).astype(float)
    colours = np.hstack([images.mean((1, 2)), images.std((1, 2))])
    labels = [patch.label for patch in patches]
    model = make_pipeline(StandardScaler(), LogisticRegression())
    scores = cross_val_predict(model, colours, labels, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(labels, scores) < 0.85
