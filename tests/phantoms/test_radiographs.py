"""A phantom follows from its seed, and its masks hold what its findings changed and no more."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from xaibench.imaging.layouts.nih import FINDINGS
from xaibench.phantoms.anatomy import Anatomy
from xaibench.phantoms.findings import DRAW, HEART
from xaibench.phantoms.radiographs import draw_radiograph

SIZES = [(64, 64), (128, 128), (224, 224), (300, 200)]
SMALL = ("Atelectasis", "Hernia", "Mass", "Nodule", "Pleural_Thickening")


def draw(seed=0, findings=None, height=128, width=128, frame=False, tag=False, child=False):
    anatomy = Anatomy.draw(np.random.default_rng([seed, 1]), child=child)
    return draw_radiograph(
        np.random.default_rng([seed, 2]),
        anatomy,
        findings or {},
        height=height,
        width=width,
        frame=frame,
        tag=tag,
    )


def difference(seed, findings, **options):
    """Return a picture with findings, and how far it is from the same one without any."""
    with_them = draw(seed, findings, **options)
    return with_them, np.abs(with_them.image.astype(int) - draw(seed, **options).image)


def test_the_findings_are_the_fourteen_of_nih():
    assert FINDINGS == (
        "Atelectasis",
        "Cardiomegaly",
        "Consolidation",
        "Edema",
        "Effusion",
        "Emphysema",
        "Fibrosis",
        "Hernia",
        "Infiltration",
        "Mass",
        "Nodule",
        "Pleural_Thickening",
        "Pneumonia",
        "Pneumothorax",
    )
    assert {*DRAW, HEART} == set(FINDINGS)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("frame", [False, True])
def test_shapes_and_types(height, width, frame):
    made = draw(3, {"Mass": 0.5}, height, width, frame, tag=True)
    assert (made.image.dtype, made.image.shape) == (np.uint8, (height, width))
    assert list(made.findings) == ["Mass"]
    for mask in (made.findings["Mass"], made.lungs, made.tag):
        assert (mask.dtype, mask.shape) == (bool, (height, width))
        assert mask.any()


def test_a_picture_follows_from_its_seed():
    options = {"findings": {"Pneumonia": 0.7, "Nodule": 0.3}, "frame": True, "tag": True}
    one, two, other = draw(5, **options), draw(5, **options), draw(6, **options)
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.findings["Pneumonia"], two.findings["Pneumonia"])
    assert one.content == two.content
    assert not np.array_equal(one.image, other.image)


def test_pictures_of_a_patient_are_more_alike_than_those_of_two():
    def lungs(patient, visit):
        anatomy = Anatomy.draw(np.random.default_rng([patient, 1]))
        rng = np.random.default_rng([patient, 3, visit])
        made = draw_radiograph(rng, anatomy, {}, height=128, width=128, frame=False, tag=False)
        return made.lungs

    def overlap(one, other):
        return (one & other).sum() / (one | other).sum()

    first, second = ([lungs(patient, visit) for patient in range(8)] for visit in range(2))
    same = np.mean([overlap(first[i], second[i]) for i in range(8)])
    others = np.mean([overlap(first[i], second[j]) for i in range(8) for j in range(8) if i != j])
    assert others + 0.02 < same < 1


@pytest.mark.parametrize("child", [False, True])
def test_lungs_are_darker_than_the_body_between_them(child):
    for seed in range(6):
        made = draw(seed, child=child)
        columns = np.flatnonzero(made.lungs.any(0))
        between = np.zeros_like(made.lungs)
        rows = np.flatnonzero(made.lungs.any(1))
        between[rows[0] : rows[-1], columns[0] : columns[-1]] = True
        assert made.image[made.lungs].mean() + 30 < made.image[between & ~made.lungs].mean()


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_has_a_mask(name, height, width):
    made = draw(1, {name: 0.6}, height, width, frame=True)
    top, bottom, left, right = made.content
    inside = np.zeros((height, width), bool)
    inside[top:bottom, left:right] = True
    assert made.findings[name].any()
    assert not (made.findings[name] & ~inside).any()
    assert made.findings[name].mean() < (0.05 if name in SMALL else 0.5)


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_changes_its_mask_and_nothing_else(name):
    for seed in range(5):
        made, change = difference(seed, {name: 0.8})
        mask = made.findings[name]
        # The film's blur and the heart's soft edge reach some pixels over the outline.
        near = binary_dilation(mask, iterations=3)
        assert change[mask].mean() > 10
        assert change[~near].max() <= 12
        assert change[~near].mean() < 0.05 * change[mask].mean()


@pytest.mark.parametrize("name", FINDINGS)
def test_a_severer_finding_changes_more(name):
    for seed in range(4):
        changes = [difference(seed, {name: severity})[1].sum() for severity in (0.2, 0.6, 1.0)]
        assert changes[0] < changes[1] < changes[2]


def test_a_finding_is_drawn_alike_whatever_else_there_is():
    alone, both = draw(2, {"Nodule": 0.7}), draw(2, {"Edema": 0.5, "Nodule": 0.7})
    assert np.array_equal(alone.findings["Nodule"], both.findings["Nodule"])
    assert set(both.findings) == {"Edema", "Nodule"}


def test_an_enlarged_heart_is_wider_than_half_of_the_thorax():
    for seed in range(6):
        made = draw(seed, {"Cardiomegaly": 0.8})
        heart = np.ptp(np.flatnonzero(made.findings["Cardiomegaly"].any(0)))
        either = (made.lungs | made.findings["Cardiomegaly"]).any(0)
        assert heart > 0.5 * np.ptp(np.flatnonzero(either))


def test_a_healthy_chest_has_no_masks():
    made = draw()
    assert made.findings == {}
    assert not made.tag.any()
    assert made.content == (0, 128, 0, 128)


@pytest.mark.parametrize("seed", range(20))
def test_a_frame_is_dark_outside_and_only_there(seed):
    height, width = [(200, 300), (300, 200)][seed % 2]
    made = draw(seed, height=height, width=width, frame=True)
    top, bottom, left, right = made.content
    outside = np.ones((height, width), bool)
    outside[top:bottom, left:right] = False
    cut = np.array([top / height, 1 - bottom / height, left / width, 1 - right / width])
    assert (cut > 0).any()
    assert (cut <= 0.12).all()
    assert made.image[outside].max() < made.image[~outside].min()


@pytest.mark.parametrize("seed", range(10))
def test_a_tag_is_a_bright_plate_clear_of_the_border(seed):
    made = draw(seed, height=224, width=224, frame=seed % 2 == 1, tag=True)
    top, bottom, left, right = made.content
    rows, columns = np.flatnonzero(made.tag.any(1)), np.flatnonzero(made.tag.any(0))
    margin = 0.04 * min(bottom - top, right - left)
    assert rows[0] >= top + margin
    assert rows[-1] < bottom - margin
    assert columns[0] >= left + margin
    assert columns[-1] < right - margin
    assert made.tag[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert 0.06 <= len(rows) / 224 <= 0.11
    assert (made.image[made.tag] > 240).mean() > 0.5
    assert len(rows) == len(columns)


@pytest.mark.parametrize("frame", [False, True])
def test_without_its_tag_the_picture_is_the_same(frame):
    """The side's letter too, which would otherwise give the tag away."""
    for seed in range(10):
        tagged = draw(seed, frame=frame, tag=True)
        plain = draw(seed, frame=frame)
        np.testing.assert_array_equal(tagged.image[~tagged.tag], plain.image[~tagged.tag])
