"""Colour, palettes, frames and codecs of DICOM files; what has no picture says why."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from dicom_files import NATIVE, dataset, item, save, write, write_encoded
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import apply_color_lut
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import (
    MPEG2MPML,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from xaibench.errors import UserError
from xaibench.imaging import image_files
from xaibench.imaging.dicom import is_dicom, read_dicom, read_header
from xaibench.imaging.image_files import BadImage

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (8, 10), np.uint8)
COLOUR = RNG.integers(0, 256, (8, 10, 3), np.uint8)
SMOOTH = np.add.outer(np.arange(32) * 4, np.arange(40) * 3).astype(np.uint8)


def rgb_of(y, cb, cr):
    """ITU-T T.871, 7: full-range YCbCr to RGB."""
    exact = (
        y + 1.402 * (cr - 128),
        y - (0.114 * 1.772 * (cb - 128) + 0.299 * 1.402 * (cr - 128)) / 0.587,
        y + 1.772 * (cb - 128),
    )
    return [min(max(int(np.floor(value + 0.5)), 0), 255) for value in exact]


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
def test_rgb_is_as_it_is(tmp_path, syntax):
    shown = read_dicom(write(tmp_path / "x.dcm", COLOUR, syntax))
    assert np.array_equal(shown, COLOUR[None])
    assert shown.dtype == np.uint8


def test_planes_one_after_the_other_are_the_same_picture(tmp_path):
    made = dataset(COLOUR, PlanarConfiguration=1)
    made.PixelData = COLOUR.transpose(2, 0, 1).tobytes()
    assert np.array_equal(read_dicom(save(tmp_path / "x.dcm", made)), COLOUR[None])


def test_colours_of_more_bits_are_scaled(tmp_path):
    wide = RNG.integers(0, 1 << 12, (8, 10, 3), np.uint16)
    shown = read_dicom(write(tmp_path / "x.dcm", wide, BitsStored=12))
    assert np.array_equal(shown[0], np.floor(wide / 4095 * 255 + 0.5))


def test_colour_knows_no_window(tmp_path):
    file = write(tmp_path / "x.dcm", COLOUR, WindowCenter=3, WindowWidth=4, RescaleSlope=2)
    assert np.array_equal(read_dicom(file)[0], COLOUR)


def test_ybr_becomes_rgb(tmp_path):
    file = write(tmp_path / "x.dcm", COLOUR, PhotometricInterpretation="YBR_FULL")
    twin = [[rgb_of(*map(int, pixel)) for pixel in row] for row in COLOUR]
    assert np.array_equal(read_dicom(file)[0], twin)


def test_chroma_of_two_pixels_is_shared_by_both(tmp_path):
    made = dataset(COLOUR, PhotometricInterpretation="YBR_FULL_422")
    pairs = COLOUR.reshape(-1, 2, 3)
    made.PixelData = np.stack(
        [pairs[:, 0, 0], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 2]], axis=1
    ).tobytes()
    twin = [[rgb_of(*map(int, (one[0], *pair[0][1:]))) for one in pair] for pair in pairs]
    file = save(tmp_path / "x.dcm", made)
    assert np.array_equal(read_dicom(file)[0], np.reshape(twin, COLOUR.shape))


def palette(entries: np.ndarray, first: int, bits: int, packed: bool = False) -> dict[str, object]:
    """Elements of a discrete palette. ``entries``: (n, 3); packed: a byte each."""
    elements: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for at, colour in enumerate(("Red", "Green", "Blue")):
        name = f"{colour}PaletteColorLookupTable"
        elements[f"{name}Descriptor"] = [len(entries) % 65536, first, bits]
        elements[f"{name}Data"] = entries[:, at].astype("u1" if packed else "<u2").tobytes()
    return elements


PALETTES = {
    "bytes packed": (RNG.integers(0, 256, (256, 3)), 0, 8, True),
    "bytes in words": (RNG.integers(0, 256, (256, 3)), 0, 8, False),
    "words": (RNG.integers(0, 65536, (256, 3)), 0, 16, False),
    "first later, fewer entries": (RNG.integers(0, 65536, (100, 3)), 50, 16, False),
}


@pytest.mark.parametrize("case", PALETTES)
def test_palettes_are_looked_up(tmp_path, case):
    entries, first, bits, packed = PALETTES[case]
    made = dataset(GREY, **palette(entries, first, bits, packed))
    shown = read_dicom(save(tmp_path / "x.dcm", made))[0]
    top = (1 << bits) - 1
    for row, column in np.ndindex(GREY.shape):
        at = min(max(int(GREY[row, column]) - first, 0), len(entries) - 1)
        twin = [(int(level) * 255 + top // 2) // top for level in entries[at]]
        assert shown[row, column].tolist() == twin
    peer = apply_color_lut(GREY, made)
    assert np.array_equal(shown, np.floor(peer / top * 255 + 0.5))


def test_a_palette_has_more_entries_than_a_byte_counts(tmp_path):
    entries = RNG.integers(0, 256, (4096, 3))
    stored = RNG.integers(0, 4096, (8, 10), np.uint16)
    file = write(tmp_path / "x.dcm", stored, BitsStored=12, **palette(entries, 0, 8, True))
    assert np.array_equal(read_dicom(file)[0], entries[stored])


def test_a_palette_in_segments_is_expanded(tmp_path):
    """A discrete segment of two entries, then a line over 254 more (PS3.3 C.7.9.2)."""
    elements: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, end in (("Red", 65535), ("Green", 254), ("Blue", 0)):
        name = f"{colour}PaletteColorLookupTable"
        elements[f"{name}Descriptor"] = [256, 0, 16]
        segments = np.array([0, 2, 0, 0, 1, 254, end], "<u2")
        elements[f"Segmented{name}Data"] = segments.tobytes()
    shown = read_dicom(write(tmp_path / "x.dcm", GREY, **elements))[0]
    line = np.concatenate([[0, 0], np.arange(1, 255) / 254])[GREY]
    assert np.abs(shown[..., 0] - line * 255).max() <= 1
    assert np.abs(shown[..., 1] - line * 254 / 65535 * 255).max() <= 1
    assert not shown[..., 2].any()


def test_a_palette_without_tables_is_named(tmp_path):
    file = write(tmp_path / "x.dcm", GREY, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(BadImage, match="has a lookup table without a descriptor or entries"):
        read_dicom(file)


def test_one_picture_a_frame(tmp_path):
    frames = RNG.integers(0, 256, (3, 8, 10), np.uint8)
    file = write(tmp_path / "x.dcm", frames)
    assert np.array_equal(read_dicom(file), frames)
    assert np.array_equal(read_dicom(file, frames=[2, 0, 2]), frames[[2, 0, 2]])
    assert np.array_equal(read_dicom(file, frames=lambda count: [count - 1]), frames[2:])
    assert read_header(file).frames == 3
    with pytest.raises(BadImage, match="has 3 frames, and another one is asked for"):
        read_dicom(file, frames=[3])
    colours = RNG.integers(0, 256, (2, 8, 10, 3), np.uint8)
    assert np.array_equal(read_dicom(write(file, colours)), colours)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=lambda s: s.name)
@pytest.mark.parametrize("kind", ["bytes", "twelve bits", "signed", "colour", "frames"])
def test_what_a_lossless_codec_kept_is_the_same_picture(tmp_path, syntax, kind):
    smooth = np.tile(SMOOTH, (2, 2))
    pixels, elements = {
        "bytes": (smooth, {}),
        "twelve bits": (smooth.astype(np.uint16) * 16, {"BitsStored": 12}),
        "signed": (smooth.astype(np.int16) * 16 - 2048, {"BitsStored": 12}),
        "colour": (np.stack([smooth, smooth.T.reshape(smooth.shape), smooth], -1), {}),
        "frames": (np.stack([smooth, smooth[::-1]]), {}),
    }[kind]
    plain = write(tmp_path / "plain.dcm", pixels, **elements)
    encoded = dcmread(plain)
    encoded.compress(syntax, generate_instance_uid=False)
    encoded.save_as(tmp_path / "encoded.dcm")
    assert np.array_equal(read_dicom(tmp_path / "encoded.dcm"), read_dicom(plain))


def jpeg(picture: np.ndarray) -> bytes:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "JPEG", quality=95)
    return held.getvalue()


def test_a_jpeg_is_what_other_readers_make_of_it(tmp_path):
    held = jpeg(SMOOTH)
    file = write_encoded(tmp_path / "x.dcm", SMOOTH, [held], JPEGBaseline8Bit)
    peer = np.asarray(Image.open(io.BytesIO(held)))
    assert np.abs(read_dicom(file)[0].astype(int) - peer).max() <= 1
    colour = np.stack([SMOOTH, SMOOTH[::-1], SMOOTH[:, ::-1]], -1)
    held = jpeg(colour)
    elements = {"PhotometricInterpretation": "YBR_FULL_422"}
    file = write_encoded(tmp_path / "x.dcm", colour, [held], JPEGBaseline8Bit, **elements)
    peer = np.asarray(Image.open(io.BytesIO(held)))
    assert np.abs(read_dicom(file)[0].astype(int) - peer).max() <= 6  # chroma is spread otherwise


def refused(folder):
    """Files without a picture, and what is said of each."""
    name = lambda at: folder / f"{at}.dcm"
    whole = write(name("whole"), GREY).read_bytes()
    frames = [jpeg(SMOOTH)]
    contents = {"empty": b"", "text": b"no image\n" * 99, "headless": whole[132:]}
    contents |= {"cut": whole[:-9], "only preamble": whole[:132], "early": whole[:300]}
    for at, content in contents.items():
        name(at).write_bytes(content)
    made = {
        "rows": {"Rows": None},
        "no rows": {"Rows": 0},
        "floats": {"FloatPixelData": b"\0\0\0\0"},
        "samples": {"SamplesPerPixel": 2},
        "space": {"PhotometricInterpretation": "CMYK"},
        "bits": {"BitsStored": 9},
        "packed": {"BitsAllocated": 12, "BitsStored": 12},
        "high": {"BitsStored": 6, "HighBit": 7},
        "more frames": {"NumberOfFrames": 2},
    }
    for at, elements in made.items():
        write(name(at), GREY, **elements)
    pixelless = dataset(GREY)
    pixelless.PixelData = b""
    save(name("no pixels"), pixelless)
    write_encoded(name("video"), SMOOTH, frames, MPEG2MPML)
    write_encoded(name("half"), SMOOTH, [frames[0][: len(frames[0]) // 2]], JPEGBaseline8Bit)
    write_encoded(name("no jpeg"), SMOOTH, [b"no jpeg at all"], JPEGBaseline8Bit)
    write_encoded(name("odd jpeg"), SMOOTH, [b"no jpeg at all\xff\xd9"], JPEGBaseline8Bit)
    write_encoded(name("one of two"), np.stack([SMOOTH] * 2), frames, JPEGBaseline8Bit)
    encoded = write_encoded(name("late"), SMOOTH, frames, JPEGBaseline8Bit).read_bytes()
    name("late").write_bytes(encoded[:-200])
    for at, other in {
        "private": b"1.2.840.99999.1.2.4.50",
        "unknown": b"1.2.840.10008.1.2.4.00",
    }.items():
        name(at).write_bytes(encoded.replace(b"1.2.840.10008.1.2.4.50", other, 1))
    said = {
        "absent": "is not there",
        "empty": "is empty",
        "text": "has no DICM preamble",
        "headless": "has no DICM preamble",
        "only preamble": "",
        "early": "",
        "cut": "is truncated: 71 of 80 bytes of pixels",
        "rows": "has no usable Rows",
        "no rows": "has no pixels",
        "floats": "has floating-point pixels",
        "no pixels": "has no pixels",
        "samples": "has 2 samples a pixel, but is MONOCHROME2",
        "space": "has another photometric interpretation than MONOCHROME1",
        "bits": "has 9 bits stored in 8 allocated",
        "packed": "has 12 bits stored in 12 allocated",
        "high": "has high bit 7 where 6 bits are stored",
        "more frames": "is truncated: 80 of 160 bytes of pixels",
        "video": "has the transfer syntax MPEG2 Main Profile / Main Level, which cannot be read",
        "unknown": "has a private or unknown transfer syntax",
        "private": "has a private or unknown transfer syntax",
        "no jpeg": "is truncated: the code of its pixels has no end",
        "odd jpeg": "cannot be decoded (",
        "one of two": "cannot be decoded (",
        "half": "is truncated: the code of its pixels has no end",
        "late": "has no pixels, or ends before they do",
    }
    return {name(at): reason for at, reason in said.items()}


def test_a_file_without_a_picture_says_why(tmp_path):
    for file, reason in refused(tmp_path).items():
        with pytest.raises(BadImage) as caught:
            read_dicom(file)
        assert caught.value.path == file
        assert caught.value.reason.startswith(reason), file
        assert "\n" not in str(caught.value)


def test_too_many_pixels_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", GREY.size)
    file = write(tmp_path / "x.dcm", np.stack([GREY] * 3))
    with pytest.raises(BadImage, match="is 10x8x3, over 80 pixels"):
        read_dicom(file)
    assert np.array_equal(read_dicom(file, frames=[1])[0], GREY)
    monkeypatch.setattr(image_files, "MAX_PIXELS", GREY.size - 1)
    with pytest.raises(BadImage, match="is 10x8, over 79 pixels"):
        read_dicom(file, frames=[1])


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["grey", "palette", "jpeg", "rle"]), st.data())
def test_damage_is_a_picture_or_a_bad_image(tmp_path_factory, kind, data):
    file = tmp_path_factory.mktemp("damage") / "x.dcm"
    if kind == "jpeg":
        write_encoded(file, SMOOTH, [jpeg(SMOOTH)], JPEGBaseline8Bit)
    else:
        elements = palette(RNG.integers(0, 256, (256, 3)), 0, 8) if kind == "palette" else {}
        made = dataset(GREY, **elements)
        if kind == "rle":
            made.file_meta = item(TransferSyntaxUID=ExplicitVRLittleEndian)
            made.compress(RLELossless, generate_instance_uid=False)
        save(file, made, RLELossless if kind == "rle" else ExplicitVRLittleEndian)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    file.write_bytes(content[:cut])
    with suppress(BadImage):  # any other error fails the test
        assert read_dicom(file).ndim in (3, 4)
    with suppress(BadImage):
        assert read_header(file).rows > 0


def test_threads_that_read_together_keep_warnings_to_themselves(tmp_path, caplog, recwarn):
    """pydicom warns of the padding behind the pixels."""
    made = dataset(GREY)
    made.PixelData += b"\0" * 6
    file = save(tmp_path / "x.dcm", made)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        for shown in pool.map(read_dicom, [file] * 64):
            assert np.array_equal(shown[0], GREY)
    assert (warnings.filters, caplog.text, recwarn.list) == (before, "", [])
    warnings.warn("aloud", stacklevel=1)
    assert str(recwarn.pop(UserWarning).message) == "aloud"


def test_decoders_that_are_missing_are_told(tmp_path, monkeypatch):
    file = write_encoded(tmp_path / "x.dcm", SMOOTH, [jpeg(SMOOTH)], JPEGBaseline8Bit)
    monkeypatch.setattr(Decoder, "is_available", property(lambda self: False))
    with pytest.raises(UserError) as caught:
        read_dicom(file)
    assert str(caught.value) == (
        "pixels in JPEG Baseline (Process 1) need decoders that are not installed; "
        "pip install 'xaibench[dicom]'"
    )


def test_without_pydicom_one_sentence_names_the_extra(tmp_path):
    file = write(tmp_path / "x.dcm", GREY)
    code = f"""
import sys
sys.modules["pydicom"] = None
from pathlib import Path
from xaibench.errors import UserError
from xaibench.imaging.dicom import is_dicom, read_dicom, read_header
assert is_dicom(Path({str(file)!r}))
for read in (read_dicom, read_header):
    try:
        read(Path({str(file)!r}))
    except UserError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = (
        f"{file}: a DICOM file needs the package 'pydicom', which is not installed; "
        "pip install 'xaibench[dicom]'"
    )
    assert done.stdout.splitlines() == [said, said]


@pytest.mark.parametrize(
    ("name", "content", "meant"),
    [
        ("a.dcm", b"", True),
        ("a.DICOM", b"", True),
        ("IM000001", b"\0" * 128 + b"DICM", True),
        ("1.2.840.113619.2.55", b"\0" * 128 + b"DICM", True),
        ("1.2.840.113619.2.55", b"\0" * 128 + b"DICN", False),
        ("IM000001", b"DICM", False),
        ("README", b"words", False),
        ("a.png", b"\0" * 128 + b"DICM", False),
        ("DICOMDIR", b"\0" * 128 + b"DICM", False),
        ("absent", None, False),
    ],
)
def test_a_file_is_meant_as_dicom_by_its_extension_or_its_preamble(tmp_path, name, content, meant):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert is_dicom(tmp_path / name) is meant


def test_a_folder_is_no_dicom_file(tmp_path):
    assert not is_dicom(tmp_path)
