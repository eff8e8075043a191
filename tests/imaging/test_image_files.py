"""Every kind of file is read as the same grey; what is no image is named."""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xaibench.errors import UserError
from xaibench.imaging import image_files
from xaibench.imaging.image_files import (
    BadImage,
    find_images,
    luma,
    read_colour,
    read_grey,
)

GREY = np.random.default_rng(0).integers(0, 256, (12, 17), dtype=np.uint8)


def palette() -> Image.Image:
    """A palette in another order than the grey levels, so that the indices are not the picture."""
    order = np.random.default_rng(1).permutation(256)
    image = Image.fromarray(np.argsort(order)[GREY].astype(np.uint8))
    image.putpalette([int(level) for level in order for _ in range(3)])
    return image


def alpha(image: Image.Image, level: int) -> Image.Image:
    image.putalpha(level)
    return image


def kinds() -> dict[str, Image.Image]:
    grey = Image.fromarray(GREY)
    return {
        "L": grey,
        "RGB": Image.merge("RGB", [grey] * 3),
        "RGBA": alpha(Image.merge("RGB", [grey] * 3), 255),
        "RGBA half": alpha(Image.merge("RGB", [grey] * 3), 128),
        "LA": alpha(grey.copy(), 255),
        "P": palette(),
        "I;16": Image.fromarray(GREY.astype(np.uint16) * 257),
        "I": Image.fromarray(GREY.astype(np.int32) * 257),
    }


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_every_kind_is_read_as_the_same_grey(tmp_path, kind, ending):
    if kind == "I" or (ending == "bmp" and kind not in ("L", "RGB", "P")):
        ending = "TIFF"  # the others cannot hold it
    file = tmp_path / f"image.{ending}"
    kinds()[kind].save(file)
    assert np.array_equal(read_grey(file), GREY)


def test_a_palette_with_transparency_is_read(tmp_path):
    palette().save(tmp_path / "p.png", transparency=bytes([0, 128] + [255] * 254))
    assert np.array_equal(read_grey(tmp_path / "p.png"), GREY)


def test_one_bit_becomes_black_and_white(tmp_path):
    Image.fromarray(GREY > 127).save(tmp_path / "bits.png")
    assert np.array_equal(read_grey(tmp_path / "bits.png"), np.where(GREY > 127, 255, 0))


def test_sixteen_bits_span_the_whole_range(tmp_path):
    wide = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    twin = [round(int(value) * 255 / 65535) for value in wide[0]]
    assert read_grey(tmp_path / "wide.png").tolist() == [twin]
    assert twin == [0, 0, 1, 1, 128, 255]


def test_big_endian_sixteen_bits_are_read(tmp_path):
    Image.frombytes("I;16B", (17, 12), (GREY.astype(">u2") * 257).tobytes()).save(
        tmp_path / "b.tif"
    )
    assert np.array_equal(read_grey(tmp_path / "b.tif"), GREY)


def test_colour_becomes_luma(tmp_path):
    Image.new("RGB", (2, 2), (200, 100, 50)).save(tmp_path / "c.png")
    assert (read_grey(tmp_path / "c.png") == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()


def test_jpeg_of_grey_and_of_its_copies_agree(tmp_path):
    smooth = Image.fromarray(GREY).resize((64, 64), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "one.JPG", quality=95)
    Image.merge("RGB", [smooth] * 3).save(tmp_path / "three.jpeg", quality=95)
    one, three = read_grey(tmp_path / "one.JPG"), read_grey(tmp_path / "three.jpeg")
    assert np.abs(one.astype(int) - three).max() <= 1


def broken(folder: Path) -> dict[Path, str]:
    """Files that are no images, and what is said of each."""
    Image.fromarray(np.tile(GREY, (9, 9))).save(folder / "whole.jpeg")
    Image.fromarray(np.tile(GREY, (9, 9))).save(folder / "whole.png")
    jpeg, png = (folder / "whole.jpeg").read_bytes(), (folder / "whole.png").read_bytes()
    Image.fromarray(GREY.astype(np.int32) * 70000).save(folder / "wider.tif")
    Image.fromarray(GREY.astype(np.float32)).save(folder / "floats.tif")
    contents = {"empty.png": b"", "text.jpeg": b"no image\n" * 9}
    contents |= {"cut.jpeg": jpeg[: len(jpeg) // 2], "cut.png": png[: len(png) // 2]}
    contents |= {"sum.png": png[:60] + bytes([png[60] ^ 255]) + png[61:]}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    said = {
        "empty.png": "is empty",
        "text.jpeg": "is no image",
        "cut.jpeg": "cannot be decoded (image file is truncated",
        "cut.png": "cannot be decoded (",
        "sum.png": "cannot be decoded (",
        "wider.tif": "has pixels of more than 16 bits",
        "floats.tif": "has floating-point pixels",
        "absent.png": "is not there",
    }
    return {folder / name: reason for name, reason in said.items()}


def test_a_file_that_is_no_image_says_why(tmp_path):
    for file, reason in broken(tmp_path).items():
        with pytest.raises(BadImage) as caught:
            read_grey(file)
        assert caught.value.path == file
        assert caught.value.reason.startswith(reason), file
        assert str(caught.value).startswith(f"{file}: {reason}")


def test_an_image_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "large.png")
    monkeypatch.setattr(image_files, "MAX_PIXELS", GREY.size - 1)
    with pytest.raises(BadImage, match="is 17x12, over 203 pixels"):
        read_grey(tmp_path / "large.png")


def test_a_decompression_bomb_is_refused(tmp_path):
    parts = [b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)]
    parts += [b"IDAT" + zlib.compress(b"\0"), b"IEND"]
    chunks = [struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts]
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(BadImage, match="is over 64000000 pixels"):
        read_grey(tmp_path / "bomb.png")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["png", "jpeg", "bmp", "tiff"]), st.data())
def test_damage_is_an_image_or_a_bad_image(tmp_path_factory, ending, data):
    file = tmp_path_factory.mktemp("damage") / f"image.{ending}"
    Image.fromarray(GREY).save(file)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    with suppress(BadImage):  # any other error fails the test
        assert read_grey(file).ndim == 2


def test_images_are_found_in_order_without_copies_and_hidden_files(tmp_path):
    wanted = ["b/2.TIF", "a/1.jpeg", "a.png", "b/c/x.JPG", "z.bmp", "b/y.tiff", "a/w.jpg"]
    others = ["__MACOSX/a/1.jpeg", "a/._1.jpeg", ".cache/q.png", "a/notes.txt", "a/jpeg", "x.csv"]
    for name in wanted + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_images(tmp_path)
    assert found == sorted(tmp_path / name for name in wanted)


def test_a_root_that_is_hidden_itself_is_searched(tmp_path):
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "1.png").touch()
    assert find_images(tmp_path / ".data") == [tmp_path / ".data" / "1.png"]


def test_links_to_folders_are_followed_and_lead_round_only_once(tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "e.png").touch()
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "x.png").touch()
    (root / "a" / "b" / "y.png").touch()
    links = {
        "a/b/up": root / "a",  # each of these leads back to where it lies
        "here": root,
        "out": tmp_path,
        "far": tmp_path / "elsewhere",
        "twice": root / "a",  # not back: another name of the folder beside it
    }
    for name, target in links.items():
        (root / name).symlink_to(target, target_is_directory=True)
    (tmp_path / "elsewhere" / "deep" / "home").symlink_to(root)
    (root / "self.png").symlink_to(root / "self.png")
    found = [str(file.relative_to(root)) for file in find_images(root)]
    once = ["a/b/y.png", "a/x.png", "far/deep/e.png", "self.png"]
    assert found == [*once, "twice/b/y.png", "twice/x.png"]


def test_a_folder_called_as_an_image_is_a_folder(tmp_path):
    (tmp_path / "x.png").mkdir()
    (tmp_path / "x.png" / "y.png").touch()
    assert find_images(tmp_path) == [tmp_path / "x.png" / "y.png"]


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a" / "locked").mkdir(parents=True)
    scan = os.scandir

    def refusing(folder):  # tests may run as root, whom permissions do not stop
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(image_files.os, "scandir", refusing)
    with pytest.raises(UserError, match=r"locked: cannot be read \(Permission denied\); let it"):
        find_images(tmp_path)


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent: is no folder; name the folder that holds"):
        find_images(tmp_path / "absent")


RGB = np.random.default_rng(2).integers(0, 256, (12, 17, 3), dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_read_the_right_way_up(tmp_path, orientation):
    """The camera's note says how the stored rows lie; Pillow's own constants are the twin."""
    stored = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "o.png", exif=exif)
    turns = [None, 0, 3, 1, 5, 4, 6, 2]  # of Image.Transpose, by orientation - 1
    turn = turns[orientation - 1]
    upright = RGB if turn is None else np.asarray(stored.transpose(Image.Transpose(turn)))
    assert np.array_equal(read_colour(tmp_path / "o.png"), upright)
    assert read_grey(tmp_path / "o.png").shape == upright.shape[:2]


def test_a_photograph_that_lies_on_its_side_is_turned(tmp_path):
    tall = np.zeros((40, 20, 3), np.uint8)
    tall[:10] = 255  # the sky
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(tall)).save(tmp_path / "side.jpg", exif=exif, quality=95)
    found = read_grey(tmp_path / "side.jpg")
    assert found.shape == (40, 20)
    assert found[:8].min() > 200
    assert found[14:].max() < 60


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_bits_say_what_is_white(tmp_path, bits):
    top = 2**bits - 1
    wide = np.array([[0, 1, top // 2, top - 1, top]], np.uint16)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    twin = [int(int(value) * 255 / top + 0.5) for value in wide[0]]
    assert read_grey(tmp_path / "wide.png", bits).tolist() == [twin]
    assert read_colour(tmp_path / "wide.png", bits)[0].tolist() == [[v] * 3 for v in twin]


def test_a_value_beyond_the_bits_is_bad(tmp_path):
    Image.fromarray(np.array([[0, 4096]], np.uint16)).save(tmp_path / "wide.png")
    with pytest.raises(BadImage, match=r"pixels of more than 12 bits \(0 to 4096\)"):
        read_grey(tmp_path / "wide.png", bits=12)


def test_colours_are_read_as_they_are(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "c.png")
    assert np.array_equal(read_colour(tmp_path / "c.png"), RGB)
    Image.fromarray(RGB).convert("RGBA").save(tmp_path / "a.png")
    assert np.array_equal(read_colour(tmp_path / "a.png"), RGB)


@pytest.mark.parametrize("kind", kinds())
def test_grey_of_every_kind_is_copied_to_the_colours(tmp_path, kind):
    ending = "TIFF" if kind == "I" else "png"
    kinds()[kind].save(tmp_path / f"g.{ending}")
    assert np.array_equal(read_colour(tmp_path / f"g.{ending}"), np.stack([GREY] * 3, -1))


def test_cmyk_is_read(tmp_path):
    Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "k.jpg", quality=100)
    red, green, blue = read_colour(tmp_path / "k.jpg")[0, 0]
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("ending", ["gif", "tif", "png", "webp"])
def test_a_file_of_several_pictures_is_bad(tmp_path, ending):
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (0, 90, 200)]
    frames[0].save(tmp_path / f"many.{ending}", save_all=True, append_images=frames[1:])
    with pytest.raises(BadImage, match="holds 3 pictures; save the one that is meant"):
        read_grey(tmp_path / f"many.{ending}")


def test_luma_is_pillows():
    assert np.array_equal(luma(RGB), np.asarray(Image.fromarray(RGB).convert("L")))
    assert np.array_equal(luma(np.stack([RGB, RGB]))[1], luma(RGB))
