"""The crop finds known dark frames and leaves frameless radiographs alone."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from xaibench.imaging.frame_crop import Bounds, CropOptions, crop_bounds
from xaibench.imaging.image_files import find_images, read_grey
from xaibench.phantoms.radiographs import Anatomy, draw_radiograph


def drawn(number: int) -> tuple[np.ndarray, Bounds, bool]:
    """A generated radiograph, what lies inside its frame, and whether it has one.

    Every second one goes through JPEG, as generated files do.
    """
    rng = np.random.default_rng(number)
    height, width = (int(side) for side in rng.integers(200, 321, 2))
    frame = number % 4 > 0
    found = draw_radiograph(
        rng,
        Anatomy.draw(rng, child=number % 3 == 0),
        {"Pneumonia": 0.8} if number % 5 == 0 else {},
        height=height,
        width=width,
        frame=frame,
        tag=number % 7 == 0,
    )
    image = found.image
    if number % 2:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=90)
        image = np.array(Image.open(file))
    return image, Bounds(*found.content), frame


@pytest.fixture(scope="module")
def radiographs() -> list[tuple[np.ndarray, Bounds, bool]]:
    return [drawn(number) for number in range(200)]


@pytest.mark.parametrize("padding", [0, 2, 4, 8])
def test_known_frames_are_found_within_two_pixels(radiographs, padding):
    options = CropOptions(padding=padding)
    off = {}
    for number, (image, content, frame) in enumerate(radiographs):
        if not frame:
            continue
        height, width = image.shape
        most = [int(options.most * side) for side in (height, height, width, width)]
        framed = (content.top, height - content.bottom, content.left, width - content.right)
        wanted = [min(max(f - padding, 0), m) for f, m in zip(framed, most, strict=True)]
        found = crop_bounds(image, options)
        cut = (found.top, height - found.bottom, found.left, width - found.right)
        if np.abs(np.subtract(cut, wanted)).max() > 2:
            off[number] = (cut, wanted)
    assert off == {}


@pytest.mark.parametrize("padding", [0, 2, 4, 8])
def test_frameless_radiographs_are_left_alone(radiographs, padding):
    frameless = [image for image, _, frame in radiographs if not frame]
    assert len(frameless) == 50
    for image in frameless:
        assert crop_bounds(image, CropOptions(padding=padding)).cut(image).shape == image.shape


def framed(sides: tuple[int, int, int, int], frame: int = 4, size: int = 200) -> np.ndarray:
    """A picture of mid-grey noise in a frame of so many pixels (top, bottom, left, right)."""
    rng = np.random.default_rng(0)
    image = rng.normal(frame, 1, (size, size))
    top, bottom, left, right = sides
    inner = (slice(top, size - bottom), slice(left, size - right))
    image[inner] = rng.normal(140, 20, image[inner].shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sides", [(9, 0, 0, 0), (0, 14, 0, 20), (20, 20, 20, 20), (0, 0, 5, 11)])
@pytest.mark.parametrize("frame", [0, 4, 25])
def test_a_sharp_frame_is_cut_up_to_the_padding(sides, frame):
    top, bottom, left, right = (max(side - 4, 0) for side in sides)
    wanted = Bounds(top, 200 - bottom, left, 200 - right)
    assert crop_bounds(framed(sides, frame), CropOptions()) == wanted


def test_no_more_than_the_limit_is_cut():
    assert crop_bounds(framed((40, 0, 0, 0)), CropOptions()).top == 24
    assert crop_bounds(framed((26, 0, 0, 0)), CropOptions()).top == 22
    assert crop_bounds(framed((28, 0, 0, 0)), CropOptions(most=0.1)).top == 20


def test_a_letter_in_the_frame_does_not_end_it():
    image = framed((20, 0, 0, 0))
    image[4:14, 30:44] = 250
    assert crop_bounds(image, CropOptions()).top == 16


def test_a_line_is_border_by_its_share_of_dark_pixels():
    image = framed((20, 0, 0, 0))
    image[:20, :50] = 250  # a quarter of each line
    assert crop_bounds(image, CropOptions()).top == 0
    assert crop_bounds(image, CropOptions(dark_fraction=0.7)).top == 16


def frameless() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:200, :200]
    noise = rng.normal(0, 2, (200, 200))
    slanted = np.where(x > 30 + 0.1 * y, 150, 8)  # dark air beside a body
    neck = np.where((np.abs(x - 100) < 20) | (y > 60 - 0.3 * np.abs(x - 100)), 150, 10)
    side = np.abs(x - 100) - 85 - 9 * np.sin(y / 60)  # of a body that stands nearly straight
    pictures = {
        "body": 12 + 138 * np.clip(-side / 6, 0, 1) + noise,
        "slanted": slanted + noise,
        "soft": 150 / (1 + np.exp((20 - x) / 6)) + noise,  # no step anywhere
        "neck": neck + noise,
        "bright": np.full((200, 200), 230) + noise,
        "black": np.zeros((200, 200)),
        "white": np.full((200, 200), 255),
        "ramp": x * 1.0,
        "grey edge": np.where(x < 15, 100, 150) + noise,  # a step, but nothing dark
    }
    return {name: np.clip(p, 0, 255).astype(np.uint8) for name, p in pictures.items()}


@pytest.mark.parametrize("name", sorted(frameless()))
def test_what_is_dark_without_a_frame_stays(name):
    assert crop_bounds(frameless()[name], CropOptions()) == Bounds(0, 200, 0, 200)


def test_the_sides_are_treated_alike():
    image = framed((8, 20, 11, 0))[:180]
    top, bottom, left, right = crop_bounds(image, CropOptions())
    upside_down = crop_bounds(image[::-1], CropOptions())
    assert upside_down == Bounds(len(image) - bottom, len(image) - top, left, right)
    assert crop_bounds(image.T, CropOptions()) == Bounds(left, right, top, bottom)


@pytest.mark.parametrize("side", [1, 2, 3, 15])
def test_small_images_are_left_alone(side):
    for shape in ((side, 40), (40, side)):
        image = np.zeros(shape, np.uint8)
        image[-1] = 200
        assert crop_bounds(image, CropOptions()).cut(image).shape == shape


def test_the_smallest_image_that_is_scanned_can_be():
    image = np.full((16, 16), 150, np.uint8)
    image[:3] = 0
    assert crop_bounds(image, CropOptions(padding=2)).top in (0, 1)


def test_bounds_cut_their_part_of_an_image():
    image = np.arange(30).reshape(5, 6)
    bounds = Bounds(1, 4, 2, 6)
    assert np.array_equal(bounds.cut(image), image[1:4, 2:6])
    assert bounds.shape == (3, 4)


@pytest.mark.parametrize(
    "wrong", [{"band": 0}, {"most": 0.5}, {"dark_fraction": 1.2}, {"padding": -1}, {"bandd": 0.1}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(CropOptions).validate_json(json.dumps(wrong))
    assert caught.value.errors()[0]["loc"] == tuple(wrong)


@pytest.mark.real
def test_few_real_squared_radiographs_are_cut(real_data):
    files = find_images(real_data / "chest_xray_pneumonia")[::100]
    whole = [crop_bounds(read_grey(f), CropOptions()) == (0, 224, 0, 224) for f in files]
    assert 0.7 < np.mean(whole) < 1  # some do have a straight black edge
