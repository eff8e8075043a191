"""Resizing equals its literal twin, and masks and boxes go where their pixels go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from xaibench.imaging.frame_crop import Bounds, CropOptions
from xaibench.imaging.preprocess import Preprocessing, ResizeOptions, place, prepare


def uncropped(size: int, mode: str = "cover", pad_fill: str = "reflect") -> Preprocessing:
    return Preprocessing(None, ResizeOptions(size, mode, pad_fill))


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width), dtype=np.uint8)


def area_line(line: np.ndarray, size: int) -> np.ndarray:
    """Means of the pixels whose centres lie in each new pixel, one by one."""
    scale = len(line) / size
    means = []
    for new in range(size):
        inside = [
            line[old] for old in range(len(line)) if new * scale < old + 0.5 <= (new + 1) * scale
        ]
        means.append(sum(inside) / len(inside))
    return np.floor(np.array(means) + 0.5)  # Pillow rounds to grey levels after either direction


def linear_line(line: np.ndarray, size: int) -> np.ndarray:
    """Linear interpolation between the centres of pixels, ends held."""
    values = []
    for new in range(size):
        at = min(max((new + 0.5) * len(line) / size - 0.5, 0), len(line) - 1)
        low = min(int(at), len(line) - 2)
        values.append(line[low] * (1 - (at - low)) + line[low + 1] * (at - low))
    return np.floor(np.array(values) + 0.5)


@pytest.mark.parametrize(("side", "size"), [(40, 20), (50, 16), (33, 30), (97, 9)])
def test_down_is_the_mean_of_each_area(side, size):
    image = noise(side, side)
    across = np.array([area_line(line.astype(float), size) for line in image])
    twin = np.array([area_line(line, size) for line in across.T]).T
    assert_equal_but_for_ties(prepare(image, uncropped(size)).image, twin)


def assert_equal_but_for_ties(image: np.ndarray, twin: np.ndarray) -> None:
    """Pillow weighs in fixed point: what lies halfway may round to the other grey level."""
    off = np.abs(image.astype(int) - twin)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.05


def test_half_the_size_is_the_mean_of_four():
    image = np.zeros((16, 16), np.uint8)
    image[::2, ::2] = 200
    assert (prepare(image, uncropped(8)).image == 50).all()


@pytest.mark.parametrize(("side", "size"), [(10, 20), (16, 50), (30, 33)])
def test_up_is_linear(side, size):
    image = noise(side, side)
    across = np.array([linear_line(line.astype(float), size) for line in image])
    twin = np.array([linear_line(line, size) for line in across.T]).T
    assert_equal_but_for_ties(prepare(image, uncropped(size)).image, twin)


def test_an_image_of_the_right_size_stays_as_it_is():
    image = noise(32, 32)
    assert np.array_equal(prepare(image, uncropped(32)).image, image)


def test_cover_keeps_the_centre():
    image = noise(20, 32)
    prepared = prepare(image, uncropped(20))
    assert np.array_equal(prepared.image, image[:, 6:26])
    assert not prepared.placement.pad.any()


@pytest.mark.parametrize("fill", ["reflect", "median"])
def test_pad_keeps_everything_and_says_where_it_filled(fill):
    image = noise(20, 32)
    prepared = prepare(image, uncropped(32, "pad", fill))
    assert np.array_equal(prepared.image[6:26], image)
    assert prepared.placement.pad[:6].all()
    assert prepared.placement.pad[26:].all()
    assert not prepared.placement.pad[6:26].any()
    if fill == "reflect":
        assert np.array_equal(prepared.image[:6], image[6:0:-1])
    else:
        assert (prepared.image[prepared.placement.pad] == int(np.median(image))).all()


def test_reflection_fills_even_what_is_wider_than_the_picture():
    prepared = prepare(np.repeat(noise(2, 40), 1, axis=0), uncropped(40, "pad"))
    assert set(np.unique(prepared.image)) <= set(np.unique(noise(2, 40)))


def test_the_frame_is_cut_before_the_resize():
    image = np.zeros((120, 120), np.uint8)
    image[10:110, 10:110] = noise(100, 100) // 2 + 100
    prepared = prepare(image, Preprocessing(CropOptions(padding=0), ResizeOptions(100)))
    assert prepared.placement.bounds == Bounds(10, 110, 10, 110)
    assert np.array_equal(prepared.image, image[10:110, 10:110])
    assert prepared.placement.removed == pytest.approx(1 - 100**2 / 120**2)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(16, 90), st.integers(16, 90), st.integers(8, 60), st.sampled_from(["cover", "pad"])
)
def test_a_mask_lands_where_its_picture_lands(height, width, size, mode):
    """A mask carried is the picture of the mask itself, cut at half."""
    mask = np.zeros((height, width), bool)
    mask[height // 4 : 3 * height // 4, width // 3 : 2 * width // 3] = True
    shown = prepare(mask.astype(np.uint8) * 255, uncropped(size, mode, "median"))
    twin = (shown.image > 127) & ~shown.placement.pad
    assume(twin.any())
    assert np.array_equal(shown.placement.carry_mask(mask), twin)


def test_a_thin_mask_does_not_vanish_and_an_empty_one_stays_empty():
    thin = np.zeros((90, 90), bool)
    thin[40, 10:80] = True
    placement = place(90, 90, Bounds(0, 90, 0, 90), ResizeOptions(9))
    carried = placement.carry_mask(thin)
    assert carried[4, 1:8].all()
    assert carried.sum() == 7
    assert not placement.carry_mask(np.zeros((90, 90), bool)).any()
    outside = np.zeros((90, 120), bool)
    outside[:, :10] = True  # cover cuts it off
    wider = place(90, 120, Bounds(0, 90, 0, 120), ResizeOptions(9))
    assert not wider.carry_mask(outside).any()


def test_boxes_follow_crop_scale_and_padding():
    options = ResizeOptions(50, "pad")
    placement = place(120, 220, Bounds(10, 110, 10, 210), options)
    boxes = np.array([[10.0, 110, 10, 210], [30, 50, 50, 90], [0, 10, 0, 10]])
    wanted = [[12, 37, 0, 50], [17, 22, 10, 20], [12, 12, 0, 0]]
    assert np.allclose(placement.carry_boxes(boxes), wanted)


def test_a_box_and_its_mask_agree():
    placement = place(100, 100, Bounds(0, 100, 0, 100), ResizeOptions(50))
    mask = np.zeros((100, 100), bool)
    mask[20:40, 60:90] = True
    box = placement.carry_boxes(np.array([[20.0, 40, 60, 90]]))[0].astype(int)
    rows, columns = np.nonzero(placement.carry_mask(mask))
    found = [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]
    assert found == list(box)


def test_a_mask_of_another_size_is_refused():
    placement = place(30, 40, Bounds(0, 30, 0, 40), ResizeOptions(20))
    with pytest.raises(ValueError, match=r"mask is \(40, 30\), the original \(30, 40\)"):
        placement.carry_mask(np.zeros((40, 30), bool))


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ('{"resize": {"size": 4}}', ("resize", "size")),
        ('{"resize": {"size": [64, 4]}}', ("resize", "size")),
        ('{"resize": {"size": [64]}}', ("resize", "size")),
        ('{"resize": {"size": [64, 64, 3]}}', ("resize", "size")),
        ('{"resize": {"mode": "stretch"}}', ("resize", "mode")),
        ('{"crop": {"x": 1}}', ("crop", "x")),
        ('{"crops": null}', ("crops",)),
    ],
)
def test_wrong_options_are_refused(wrong, where):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Preprocessing).validate_json(wrong)
    assert all(error["loc"][: len(where)] == where for error in caught.value.errors())


def test_the_defaults_are_the_systems():
    options = TypeAdapter(Preprocessing).validate_json("{}")
    assert options == Preprocessing(
        CropOptions(0.10, 0.80, 7, 3, 8, 4, 0.12, 16), ResizeOptions(224, "cover", "reflect")
    )


def tall_and_wide(height: int, width: int, mode: str, fill: str = "median") -> Preprocessing:
    return Preprocessing(None, ResizeOptions((height, width), mode, fill))


@pytest.mark.parametrize(
    ("original", "size", "source"),
    [
        ((40, 60), (20, 30), (0, 40, 0, 60)),  # of one shape: all of it
        ((60, 60), (20, 30), (10, 50, 0, 60)),  # too high: 60 x 20 / 30 = 40 rows
        ((40, 90), (20, 30), (0, 40, 15, 75)),  # too wide: 40 x 30 / 20 = 60 columns
        ((61, 60), (20, 30), (10, 50, 0, 60)),  # what cannot be halved is at the end
        ((200, 10), (8, 40), (99, 101, 0, 10)),
    ],
)
def test_cover_keeps_the_middle_in_the_shape_asked_for(original, size, source):
    placement = place(*original, Bounds(0, original[0], 0, original[1]), ResizeOptions(size))
    assert placement.source == Bounds(*source)
    assert placement.target == Bounds(0, size[0], 0, size[1])
    assert not placement.pad.any()


@pytest.mark.parametrize(
    ("original", "size", "target"),
    [
        ((40, 60), (20, 30), (0, 20, 0, 30)),
        ((60, 60), (20, 30), (0, 20, 5, 25)),  # as high as there is room: 20 x 20
        ((40, 120), (20, 30), (5, 15, 0, 30)),  # as wide as there is room: 10 x 30
        ((1, 500), (20, 30), (9, 10, 0, 30)),  # never thinner than a pixel
    ],
)
def test_pad_fits_all_of_it_into_the_shape_asked_for(original, size, target):
    bounds = Bounds(0, original[0], 0, original[1])
    placement = place(*original, bounds, ResizeOptions(size, "pad"))
    assert placement.source == bounds
    assert placement.target == Bounds(*target)
    assert placement.pad.shape == size
    wanted = np.ones(size, bool)
    wanted[target[0] : target[1], target[2] : target[3]] = False
    assert np.array_equal(placement.pad, wanted)


@pytest.mark.parametrize("mode", ["cover", "pad"])
@pytest.mark.parametrize(("original", "side"), [((97, 60), 32), ((60, 97), 33), ((50, 50), 20)])
def test_two_equal_sides_are_a_square(mode, original, side):
    image = noise(*original)
    one, two = (
        prepare(image, Preprocessing(None, ResizeOptions(size, mode)))
        for size in (side, (side, side))
    )
    assert one.placement == two.placement
    assert np.array_equal(one.image, two.image)


def test_halving_a_picture_that_is_not_square_is_the_mean_of_four():
    image = noise(40, 60)
    found = prepare(image, tall_and_wide(20, 30, "cover")).image
    across = (image[:, ::2].astype(float) + image[:, 1::2]) / 2
    across = np.floor(across + 0.5)
    assert np.array_equal(found, np.floor((across[::2] + across[1::2]) / 2 + 0.5))


def test_padding_of_a_shape_is_the_median_of_what_is_shown():
    image = noise(40, 40)
    found = prepare(image, tall_and_wide(20, 30, "pad"))
    shown = found.image[:, 5:25]
    assert np.array_equal(shown, prepare(image, uncropped(20)).image)
    assert (found.image[found.placement.pad] == int(np.median(shown))).all()
    assert found.placement.pad.sum() == 20 * 10


@pytest.mark.parametrize(
    ("mode", "size", "wanted"),
    [
        ("cover", (24, 48), (0, 8, 0, 12)),  # rows 12 to 36 are kept, one to one
        ("pad", (24, 40), (4, 10, 8, 14)),  # halved, with 8 columns on either side
        ("pad", (40, 24), (12, 18, 0, 6)),
    ],
)
def test_masks_and_boxes_go_where_pixels_go_in_a_shape(mode, size, wanted):
    mask = np.zeros((48, 48), bool)
    mask[8:20, 0:12] = True
    placement = place(48, 48, Bounds(0, 48, 0, 48), ResizeOptions(size, mode))
    there = np.zeros(size, bool)
    there[wanted[0] : wanted[1], wanted[2] : wanted[3]] = True
    assert np.array_equal(placement.carry_mask(mask), there)
    box = placement.carry_boxes(np.array([[8.0, 20.0, 0.0, 12.0]]))
    assert box.tolist() == [list(map(float, wanted))]


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(8, 60), st.integers(8, 60)),
    st.sampled_from(["cover", "pad"]),
    st.sampled_from(["reflect", "median"]),
)
def test_any_picture_comes_to_any_shape(original, size, mode, fill):
    image = noise(*original)
    found = prepare(image, Preprocessing(None, ResizeOptions(size, mode, fill)))
    assert found.image.shape == size
    source, target = found.placement.source, found.placement.target
    assert 0 <= source.top < source.bottom <= original[0]
    assert 0 <= source.left < source.right <= original[1]
    assert 0 <= target.top < target.bottom <= size[0]
    assert 0 <= target.left < target.right <= size[1]
    if min(*source.shape, *target.shape) > 4:  # not stretched, but for whole pixels
        down, across = target.shape[0] / source.shape[0], target.shape[1] / source.shape[1]
        slack = 1 / min(*source.shape, *target.shape)
        assert abs(down / across - 1) <= 2 * slack


def test_without_a_resize_a_picture_stays_as_it_is():
    image = noise(40, 60)
    found = prepare(image, Preprocessing(None, None))
    assert np.array_equal(found.image, image)
    mask = image > 128
    assert np.array_equal(found.placement.carry_mask(mask), mask)
    box = np.array([[1.5, 20.0, 3.0, 60.0]])
    assert np.array_equal(found.placement.carry_boxes(box), box)
    assert not found.placement.pad.any()
