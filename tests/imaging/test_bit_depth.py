"""Bits of a set as a whole, told from its brightest pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from xaibench.imaging.bit_depth import told_bits
from xaibench.imaging.image_cache import prepared_images
from xaibench.imaging.preprocess import Preprocessing, ResizeOptions
from xaibench.imaging.reading import Reading
from xaibench.progress import SilentProgress


def write(folder, **brightest):
    files = []
    for name, value in brightest.items():
        wide = value > 255 or name.startswith("w")
        pixels = np.linspace(0, value, 64).reshape(8, 8)
        files.append(folder / f"{name}.png")
        Image.fromarray(pixels.astype(np.uint16 if wide else np.uint8)).save(files[-1])
    return files


@pytest.mark.parametrize(
    ("brightest", "bits"),
    [
        ({"a": 255, "b": 200}, None),
        ({"w": 255}, 8),
        ({"a": 255, "w": 256}, 10),
        ({"w": 1023}, 10),
        ({"w": 1024}, 12),
        ({"w1": 300, "w2": 4095}, 12),
        ({"w": 4096}, 14),
        ({"w": 16384}, 16),
        ({"w": 65535}, 16),
    ],
)
def test_as_many_as_the_brightest_pixel_needs(tmp_path, brightest, bits):
    assert told_bits(write(tmp_path, **brightest), SilentProgress()) == bits


def test_what_is_no_image_says_nothing(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    files = [tmp_path / "broken.png", *write(tmp_path, w=900)]
    assert told_bits(files, SilentProgress()) == 10


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_bits_are_told_in_either_order_of_bytes(tmp_path, mode):
    values = np.array([[1, 2], [3, 700]], ">u2" if mode.endswith("B") else "<u2")
    Image.frombytes(mode, (2, 2), values.tobytes()).save(tmp_path / "b.tif")
    with Image.open(tmp_path / "b.tif") as written:
        assert written.mode == mode
    assert told_bits([tmp_path / "b.tif"], SilentProgress()) == 10


def test_files_of_8_bits_are_not_decoded(tmp_path, monkeypatch):
    files = write(tmp_path, a=255, b=9, w=900)
    decoded = []
    load = ImageFile.ImageFile.load
    listening = lambda image: (decoded.append(Path(image.filename).name), load(image))[1]
    monkeypatch.setattr(ImageFile.ImageFile, "load", listening)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", listening, raising=False)
    assert told_bits(files, SilentProgress()) == 10
    assert set(decoded) == {"w.png"}


def prepared(files, tmp_path, **reading):
    options = Preprocessing(None, ResizeOptions(8))
    return prepared_images(
        files, options, cache=tmp_path, reading=Reading(**reading), progress=SilentProgress()
    )


def test_twelve_bits_in_sixteen_are_not_black(tmp_path):
    files = write(tmp_path, w1=2000, w2=4095)
    found = prepared(files, tmp_path)
    assert found.reading.bits == 12
    assert found.images[1].max() == 255
    assert found.images[0].max() == round(2000 * 255 / 4095)  # one scale for both
    again = prepared(files, tmp_path)
    assert again.reading == found.reading
    told = prepared(files, tmp_path, bits=16)
    assert told.key != found.key
    assert told.images.max() == round(4095 * 255 / 65535)


def test_colours_are_kept_and_padded_in_colour(tmp_path):
    image = np.zeros((6, 12, 3), np.uint8)
    image[..., 0], image[..., 2] = 200, 40
    Image.fromarray(image).save(tmp_path / "c.png")
    for mode, fill in (("cover", "reflect"), ("pad", "reflect"), ("pad", "median")):
        options = Preprocessing(None, ResizeOptions(8, mode, fill))
        found = prepared_images(
            [tmp_path / "c.png"],
            options,
            cache=tmp_path,
            reading=Reading(colour=True),
            progress=SilentProgress(),
        )
        assert found.images.shape == (1, 8, 8, 3)
        assert (found.images == [200, 0, 40]).all()
