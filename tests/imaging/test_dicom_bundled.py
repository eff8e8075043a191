"""Every file that pydicom brings along: a picture, or the reason that it has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_twin import twins
from pydicom.pixels import apply_color_lut

from xaibench.imaging.dicom import is_dicom, read_dicom, read_header
from xaibench.imaging.image_files import BadImage

DATA = Path(pydicom.__file__).parent / "data"
TESTS = DATA / "test_files"
FOLDER = TESTS / "dicomdirtests"
BARS, TILE = (1, 100, 100, 3), (1, 256, 256, 3)
NO_PIXELS, NO_PREAMBLE = "has no pixels", "has no DICM preamble"
FEW = "of 256 greys and has no window: it claims more bits than it uses"
DOSE = "has 32 bits stored and no window"

FILES = {
    "693_J2KI.dcm": (1, 512, 512),
    "CT_small.dcm": f"spans 9 {FEW}",
    "ExplVR_BigEnd.dcm": (1, 60, 80, 3),
    "ExplVR_BigEndNoMeta.dcm": NO_PREAMBLE,
    "ExplVR_LitEndNoMeta.dcm": NO_PREAMBLE,
    "GDCMJ2K_TextGBR.dcm": (1, 400, 400, 3),
    "J2K_pixelrep_mismatch.dcm": (1, 512, 512),
    "JPEG-lossy.dcm": "cannot be decoded (",
    "JPEG2000-embedded-sequence-delimiter.dcm": "cannot be decoded (",
    "JPEG2000.dcm": f"spans 2 {FEW}",
    "JPEGLSNearLossless_08.dcm": (1, 45, 10),
    "JPEGLSNearLossless_16.dcm": (1, 50, 10),
    "JPGExtended.dcm": f"spans 17 {FEW}",
    "MR_small.dcm": (1, 64, 64),
    "MR_small_RLE.dcm": (1, 64, 64),
    "MR_small_bigendian.dcm": (1, 64, 64),
    "MR_small_expb.dcm": (1, 64, 64),
    "MR_small_implicit.dcm": (1, 64, 64),
    "MR_small_jp2klossless.dcm": (1, 64, 64),
    "MR_small_jpeg_ls_lossless.dcm": (1, 64, 64),
    "MR_small_padded.dcm": (1, 64, 64),
    "MR_truncated.dcm": "is truncated: 8130 of 8192 bytes of pixels",
    "SC_jpeg_no_color_transform.dcm": TILE,
    "SC_jpeg_no_color_transform_2.dcm": TILE,
    "SC_rgb_dcmtk_+eb+cr.dcm": BARS,
    "SC_rgb_dcmtk_+eb+cy+n1.dcm": BARS,
    "SC_rgb_dcmtk_+eb+cy+n2.dcm": BARS,
    "SC_rgb_dcmtk_+eb+cy+np.dcm": BARS,
    "SC_rgb_dcmtk_+eb+cy+s2.dcm": BARS,
    "SC_rgb_dcmtk_+eb+cy+s4.dcm": BARS,
    "SC_rgb_gdcm_KY.dcm": BARS,
    "SC_rgb_jls_lossy_line.dcm": BARS,
    "SC_rgb_jls_lossy_sample.dcm": BARS,
    "SC_rgb_jpeg.dcm": TILE,
    "SC_rgb_jpeg_app14_dcmd.dcm": TILE,
    "SC_rgb_jpeg_dcmd.dcm": TILE,
    "SC_rgb_jpeg_dcmtk.dcm": BARS,
    "SC_rgb_jpeg_gdcm.dcm": BARS,
    "SC_rgb_jpeg_lossy_gdcm.dcm": BARS,
    "SC_rgb_rle.dcm": BARS,
    "SC_rgb_rle_16bit.dcm": BARS,
    "SC_rgb_rle_16bit_2frame.dcm": (2, 100, 100, 3),
    "SC_rgb_rle_2frame.dcm": (2, 100, 100, 3),
    "SC_rgb_rle_32bit.dcm": BARS,
    "SC_rgb_rle_32bit_2frame.dcm": (2, 100, 100, 3),
    "SC_rgb_small_odd.dcm": (1, 3, 3, 3),
    "SC_rgb_small_odd_big_endian.dcm": (1, 3, 3, 3),
    "SC_rgb_small_odd_jpeg.dcm": (1, 3, 3, 3),
    "SC_ybr_full_422_uncompressed.dcm": BARS,
    "UN_sequence.dcm": NO_PIXELS,
    "badVR.dcm": "has no usable NumberOfFrames",
    "dicomdirtests/77654033/CR1/6154": (1, 16, 16),
    "dicomdirtests/77654033/CR2/6247": (1, 16, 16),
    "dicomdirtests/77654033/CR3/6278": (1, 16, 16),
    "dicomdirtests/77654033/CT2/17106": (1, 16, 16),
    "dicomdirtests/98892003/MR1/15820": (1, 16, 16),
    "dicomdirtests/DICOMDIR": NO_PIXELS,
    "dicomdirtests/DICOMDIR-bigEnd": NO_PIXELS,
    "dicomdirtests/TINY_ALPHA/PT000000/ST000000/SE000000/IM000000": NO_PIXELS,
    "empty_charset_LEI.dcm": NO_PIXELS,
    "examples_jpeg2k.dcm": (1, 480, 640, 3),
    "examples_overlay.dcm": (1, 300, 484),
    "examples_palette.dcm": (1, 350, 800, 3),
    "examples_rgb_color.dcm": (1, 240, 320, 3),
    "examples_ybr_color.dcm": (30, 240, 320, 3),
    "image_dfl.dcm": (1, 512, 512),
    "liver_1frame.dcm": (1, 512, 512),
    "liver_expb_1frame.dcm": (1, 512, 512),
    "meta_missing_tsyntax.dcm": "has no usable Rows",
    "nested_priv_SQ.dcm": "has no usable Rows",
    "no_meta.dcm": NO_PREAMBLE,
    "no_meta_group_length.dcm": NO_PIXELS,
    "priv_SQ.dcm": NO_PIXELS,
    "reportsi.dcm": f"{NO_PIXELS}: it is a file of Basic Text SR Storage",
    "reportsi_with_empty_number_tags.dcm": f"{NO_PIXELS}: it is a file of Basic Text SR Storage",
    "rtdose.dcm": DOSE,
    "rtdose_1frame.dcm": DOSE,
    "rtdose_expb.dcm": DOSE,
    "rtdose_expb_1frame.dcm": DOSE,
    "rtdose_rle.dcm": DOSE,
    "rtdose_rle_1frame.dcm": DOSE,
    "rtplan.dcm": f"{NO_PIXELS}: it is a file of RT Plan Storage",
    "rtplan_truncated.dcm": f"{NO_PIXELS}: it is a file of RT Plan Storage",
    "rtstruct.dcm": NO_PREAMBLE,
    "test-SR.dcm": f"{NO_PIXELS}: it is a file of Comprehensive SR Storage",
    "waveform_ecg.dcm": f"{NO_PIXELS}: it is a file of 12-lead ECG Waveform Storage",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_a_picture_or_has_a_reason(name):
    file, expected = TESTS / name, FILES[name]
    if isinstance(expected, tuple):
        shown = read_dicom(file)
        assert shown.shape == expected
        assert shown.dtype == np.uint8
        assert len(np.unique(shown)) > 1
        header = read_header(file)
        assert (header.frames, header.rows, header.columns) == expected[:3]
    else:
        with pytest.raises(BadImage) as caught:
            read_dicom(file)
        assert caught.value.reason.startswith(expected)


def test_the_table_has_all_images_at_the_top():
    there = {path.name for path in TESTS.glob("*.dcm")}
    assert there == {name for name in FILES if "/" not in name}


@pytest.mark.parametrize("folder", ["charset_files", "palettes", "test_files/dicomdirtests"])
def test_all_others_are_pictures_or_have_a_reason(folder):
    pictures = 0
    for file in sorted((DATA / folder).rglob("*")):
        if not file.is_file() or not is_dicom(file):
            continue
        try:
            pictures += len(read_dicom(file))
        except BadImage as bad:
            assert bad.reason.startswith(NO_PIXELS)  # noqa: PT017 - either is right
    assert pictures == {"charset_files": 12, "palettes": 0}.get(folder, 31)


RULES = {
    "MR_small.dcm": {"bits": 16, "signed": True, "window": (600, 1600, "LINEAR")},
    "dicomdirtests/77654033/CR1/6154": {
        "bits": 12, "rescale": (0.684, 200), "window": (1600, 2800, "LINEAR"), "inverted": True},
    "dicomdirtests/77654033/CT2/17106": {
        "bits": 16, "signed": True, "rescale": (1, -1024), "window": (30, 100, "LINEAR")},
    "examples_overlay.dcm": {"bits": 12, "window": (450, 790, "LINEAR")},
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_raw_words_become_what_the_standard_says(name):
    dataset = pydicom.dcmread(TESTS / name)
    raw = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)[:64, :64]
    shown = read_dicom(TESTS / name)[0, :64, :64]
    assert np.array_equal(shown, twins(raw, **RULES[name]))


def test_raw_bytes_without_a_window_are_the_picture():
    dataset = pydicom.dcmread(TESTS / "image_dfl.dcm")
    raw = np.frombuffer(dataset.PixelData, np.uint8).reshape(512, 512)
    assert np.array_equal(read_dicom(TESTS / "image_dfl.dcm")[0], raw)


def test_single_bits_are_black_and_white():
    dataset = pydicom.dcmread(TESTS / "liver_1frame.dcm")
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    assert np.array_equal(read_dicom(TESTS / "liver_1frame.dcm").ravel(), bits * 255)


@pytest.mark.parametrize("name", [n for n in FILES if n.startswith("MR_small_")])
def test_one_picture_in_every_syntax_is_one_picture(name):
    assert np.array_equal(read_dicom(TESTS / name), read_dicom(TESTS / "MR_small.dcm"))


COLOURS = [
    (255, 0, 0), (255, 128, 128), (0, 255, 0), (128, 255, 128), (0, 0, 255), (128, 128, 255),
    (0, 0, 0), (64, 64, 64), (192, 192, 192), (255, 255, 255),
]  # fmt: skip
LOSSLESS = ("gdcm_KY", "rle", "jpeg_gdcm")


@pytest.mark.parametrize("name", [n for n, shape in FILES.items() if shape == BARS])
def test_bars_have_their_colours_in_every_encoding(name):
    bars = np.repeat(np.repeat([COLOURS], 10, axis=1).swapaxes(0, 1), 100, axis=1)
    far = np.abs(read_dicom(TESTS / name)[0].astype(int) - bars)
    if any(name.startswith(f"SC_rgb_{kind}") for kind in LOSSLESS):
        assert far.max() == 0
    assert far[4::10].max() <= 6  # the middles, away from chroma of two bars in one
    assert np.median(far) <= 2


def test_samples_of_more_bits_are_the_same_bars():
    for bits in (16, 32):
        wide = read_dicom(TESTS / f"SC_rgb_rle_{bits}bit_2frame.dcm")
        assert np.array_equal(wide, read_dicom(TESTS / "SC_rgb_rle_2frame.dcm"))


def test_a_palette_is_looked_up_as_pydicom_does():
    dataset = pydicom.dcmread(TESTS / "examples_palette.dcm")
    raw = np.frombuffer(dataset.PixelData, np.uint8).reshape(350, 800)
    peer = apply_color_lut(raw, dataset)[..., :3] / 65535 * 255
    assert np.array_equal(read_dicom(TESTS / "examples_palette.dcm")[0], np.floor(peer + 0.5))


@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "JPGExtended.dcm"])
def test_files_that_claim_more_bits_than_they_use_span_what_is_there(name):
    shown = read_dicom(TESTS / name, unwindowed="present")
    assert (shown.min(), shown.max()) == (0, 255)
    raw = pydicom.dcmread(TESTS / name).pixel_array.astype(float)
    exact = (raw - raw.min()) / (raw.max() - raw.min()) * 255
    assert np.array_equal(shown[0], np.floor(exact + 0.5))
