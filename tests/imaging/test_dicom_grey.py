"""The grey pipeline against a twin that goes through it pixel by pixel, as the standard says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dicom_files import NATIVE, groups, item, table, write
from dicom_twin import twins, windowed
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing

from xaibench.imaging.dicom import read_dicom
from xaibench.imaging.image_files import BadImage

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 7), np.uint8)
WORDS = RNG.integers(0, 1 << 16, (6, 7), np.uint16)  # above 12 bits: overlays, or anything
FALLING = [int(v) for v in np.linspace(65535, 0, 3000)]
RISING_12 = [int(v) for v in 4095 * np.linspace(0, 1, 4096) ** 2]
BYTE_TABLE = RNG.integers(0, 256, 4096).tolist()  # more entries than an entry's type can count
STEPS = RNG.integers(0, 256, 301).tolist()

TWELVE = {"BitsStored": 12}
CASES = {
    "bytes": (BYTES, {}, {"bits": 8}),
    "inverted": (BYTES, {"PhotometricInterpretation": "MONOCHROME1"}, {"bits": 8, "inverted": 1}),
    "presentation shape": (
        BYTES,
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"bits": 8, "inverted": 1},
    ),
    "overlay bits": (WORDS, TWELVE, {"bits": 12}),
    "overlay bits over signed": (
        WORDS.view(np.int16),
        TWELVE,
        {"bits": 12, "signed": True},
    ),
    "sixteen bits": (WORDS, {}, {}),
    "sixteen signed": (WORDS.view(np.int16), {}, {"signed": True}),
    "CT": (
        WORDS.view(np.int16),
        {**TWELVE, "RescaleSlope": 1, "RescaleIntercept": -24, "WindowCenter": 40,
         "WindowWidth": 3000},
        {"bits": 12, "signed": True, "rescale": (1, -24), "window": (40, 3000, "LINEAR")},
    ),
    "rescale alone is no change": (
        WORDS,
        {"RescaleSlope": "0.5", "RescaleIntercept": "-1000"},
        {"rescale": (0.5, -1000)},
    ),
    "negative slope": (
        WORDS,
        {**TWELVE, "RescaleSlope": -2, "RescaleIntercept": 100},
        {"bits": 12, "rescale": (-2, 100)},
    ),
    "negative slope in a window": (
        WORDS,
        {**TWELVE, "RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2000,
         "WindowWidth": 2500},
        {"bits": 12, "rescale": (-1, 4095), "window": (2000, 2500, "LINEAR")},
    ),
    "first of several windows": (
        WORDS,
        {**TWELVE, "WindowCenter": [1000, 50], "WindowWidth": [1500, 20]},
        {"bits": 12, "window": (1000, 1500, "LINEAR")},
    ),
    "threshold": (
        WORDS,
        {**TWELVE, "WindowCenter": 2048, "WindowWidth": 1},
        {"bits": 12, "window": (2048, 1, "LINEAR")},
    ),
    "empty function is linear": (
        WORDS,
        {**TWELVE, "WindowCenter": 2048, "WindowWidth": 1024, "VOILUTFunction": ""},
        {"bits": 12, "window": (2048, 1024, "LINEAR")},
    ),
    "exact": (
        WORDS,
        {**TWELVE, "WindowCenter": "2047.5", "WindowWidth": "999.5",
         "VOILUTFunction": "LINEAR_EXACT"},
        {"bits": 12, "window": (2047.5, 999.5, "LINEAR_EXACT")},
    ),
    "sigmoid, inverted": (
        WORDS,
        {**TWELVE, "WindowCenter": 1800, "WindowWidth": 900, "VOILUTFunction": "SIGMOID",
         "PhotometricInterpretation": "MONOCHROME1"},
        {"bits": 12, "window": (1800, 900, "SIGMOID"), "inverted": 1},
    ),
    "steep sigmoid": (
        WORDS,
        {"WindowCenter": 60000, "WindowWidth": 1, "VOILUTFunction": "SIGMOID"},
        {"window": (60000, 1, "SIGMOID")},
    ),
    "VOI table": (
        WORDS,
        {**TWELVE, "VOILUTSequence": [table(RISING_12, bits=12)]},
        {"bits": 12, "voi": (0, RISING_12, 12)},
    ),
    "VOI table before a window": (
        WORDS,
        {**TWELVE, "VOILUTSequence": [table(FALLING, first=500), table(RISING_12, bits=12)],
         "WindowCenter": 1, "WindowWidth": 2},
        {"bits": 12, "voi": (500, FALLING, 16)},
    ),
    "VOI table of negative inputs": (
        WORDS,
        {**TWELVE, "RescaleSlope": 1, "RescaleIntercept": -1024,
         "VOILUTSequence": [table(FALLING, first=-900)]},
        {"bits": 12, "rescale": (1, -1024), "voi": (-900, FALLING, 16)},
    ),
    "VOI table of fractions": (
        WORDS,
        {**TWELVE, "RescaleSlope": "0.3", "RescaleIntercept": 0,
         "VOILUTSequence": [table(FALLING)]},
        {"bits": 12, "rescale": (0.3, 0), "voi": (0, FALLING, 16)},
    ),
    "many entries of a byte": (
        WORDS,
        {**TWELVE, "VOILUTSequence": [table(BYTE_TABLE, bits=8)]},
        {"bits": 12, "voi": (0, BYTE_TABLE, 8)},
    ),
    "modality table": (
        WORDS,
        {**TWELVE, "ModalityLUTSequence": [table(FALLING, first=100)]},
        {"bits": 12, "modality": (100, FALLING, 16)},
    ),
    "modality table of 12 bits": (
        WORDS,
        {**TWELVE, "ModalityLUTSequence": [table(RISING_12, bits=12)],
         "PhotometricInterpretation": "MONOCHROME1"},
        {"bits": 12, "modality": (0, RISING_12, 12), "inverted": 1},
    ),
    "modality table of signed values, then a window": (
        WORDS.view(np.int16),
        {**TWELVE, "ModalityLUTSequence": [table(STEPS, first=-150, bits=8)], "WindowCenter": 128,
         "WindowWidth": 100},
        {"bits": 12, "signed": True, "modality": (-150, STEPS, 8), "window": (128, 100, "LINEAR")},
    ),
    "both tables": (
        WORDS,
        {**TWELVE, "ModalityLUTSequence": [table(RISING_12, bits=12)],
         "VOILUTSequence": [table(FALLING, first=300)]},
        {"bits": 12, "modality": (0, RISING_12, 12), "voi": (300, FALLING, 16)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("case", CASES)
def test_pixels_are_what_the_standard_says(tmp_path, case, syntax):
    pixels, elements, rules = CASES[case]
    shown = read_dicom(write(tmp_path / "x.dcm", pixels, syntax, **elements))
    unsigned = pixels if pixels.dtype == np.uint8 else pixels.view(np.uint16)
    assert shown.shape == (1, *pixels.shape)
    assert shown.dtype == np.uint8
    assert np.array_equal(shown[0], twins(unsigned, **rules))
    assert len(np.unique(shown)) > 1


@pytest.mark.parametrize("entries", [STEPS, STEPS[:-1]], ids=["odd", "even"])
@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
def test_entries_of_a_byte_may_stand_two_in_a_word(tmp_path, entries, sequence, syntax):
    packed = bytes(entries) + b"\0" * (len(entries) % 2)
    if syntax == NATIVE[2]:
        packed = np.frombuffer(packed, np.uint16).byteswap().tobytes()
    lut = table(entries, bits=8)
    lut.add_new("LUTData", "OW", packed)
    file = write(tmp_path / "x.dcm", BYTES, syntax, **{sequence: [lut]})
    assert np.array_equal(read_dicom(file)[0], np.array(entries)[BYTES])


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
def test_a_table_of_all_words_announces_none(tmp_path, syntax):
    """65536 does not fit into the descriptor, nor the entries into US of an explicit syntax."""
    falling = np.arange(65535, -1, -1).astype(">u2" if syntax == NATIVE[2] else "<u2")
    lut = item(LUTDescriptor=[0, 0, 16])
    lut.add_new("LUTData", "OW", falling.tobytes())
    file = write(tmp_path / "x.dcm", WORDS, syntax, VOILUTSequence=[lut])
    assert np.array_equal(read_dicom(file)[0], twins(65535 - WORDS))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-3000, 6000),
    st.floats(1, 9000).map(lambda w: float(f"{w:.6g}")),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    st.booleans(),
)
def test_any_window_is_what_the_standard_says(tmp_path_factory, centre, width, function, inverted):
    file = write(
        tmp_path_factory.mktemp("window") / "x.dcm",
        WORDS,
        BitsStored=12,
        WindowCenter=centre,
        WindowWidth=width,
        VOILUTFunction=function,
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
    )
    expected = twins(WORDS, bits=12, window=(centre, width, function), inverted=inverted)
    assert np.abs(read_dicom(file)[0].astype(int) - expected).max() <= 1  # a half, rounded
    assert (read_dicom(file)[0] == expected).mean() > 0.9


def test_the_window_of_all_values_changes_nothing(tmp_path):
    """PS3.3 C.11.2.1.2.1, note 4: centre 2^(n-1), width 2^n."""
    file = write(tmp_path / "x.dcm", BYTES, WindowCenter=128, WindowWidth=256)
    assert np.array_equal(read_dicom(file)[0], BYTES)


def test_pydicom_agrees_where_its_output_range_is_that_of_the_bits():
    """A peer: unsigned bytes without a rescale, so that its range is 0 to 255."""
    for centre, width, function in ((100, 50, "LINEAR"), (90, 70, "LINEAR_EXACT"),
                                    (128, 60, "SIGMOID")):  # fmt: skip
        peer = item(
            BitsStored=8, PixelRepresentation=0, PhotometricInterpretation="MONOCHROME2",
            WindowCenter=centre, WindowWidth=width, VOILUTFunction=function,
        )  # fmt: skip
        twinned = [[windowed(int(v), centre, width, function) for v in row] for row in BYTES]
        assert np.allclose(apply_windowing(BYTES, peer), twinned)
        assert np.allclose(apply_voi_lut(BYTES, peer), twinned)


def test_pydicom_agrees_on_tables_of_words(tmp_path):
    values = WORDS & 4095
    elements = {"ModalityLUTSequence": [table(FALLING, first=100)]}
    file = write(tmp_path / "x.dcm", WORDS, BitsStored=12, **elements)
    peer = Dataset()
    peer.ModalityLUTSequence = elements["ModalityLUTSequence"]
    levels = apply_modality_lut(values, peer)
    assert np.array_equal(read_dicom(file)[0], np.floor(levels / 65535 * 255 + 0.5))


PRESENT = (np.arange(42, dtype=np.uint16) * 3 + 1000).reshape(6, 7)


def test_without_a_window_the_values_that_are_there_can_be_spanned(tmp_path):
    file = write(tmp_path / "x.dcm", PRESENT, RescaleSlope=-1, RescaleIntercept=0)
    shown = read_dicom(file, unwindowed="present")[0]
    assert shown.tolist() == [[math.floor(255 * (41 - v) / 41 + 0.5) for v in range(r, r + 7)]
                              for r in range(0, 42, 7)]  # fmt: skip


@pytest.mark.parametrize(("value", "limit"), [(0, None), (5, 0), (0, 5)])
def test_padding_is_not_among_the_values_that_are_there(tmp_path, value, limit):
    padded = PRESENT.copy()
    padded[0, :2] = value, value if limit is None else limit
    file = write(tmp_path / "x.dcm", padded, PixelPaddingValue=value, PixelPaddingRangeLimit=limit)
    shown = read_dicom(file, unwindowed="present")[0]
    assert shown[0, :3].tolist() == [0, 0, 0]  # 1006 is the lowest
    assert shown[0, 3] == math.floor(255 * 3 / (41 - 2) / 3 + 0.5)
    assert shown.max() == 255


def test_one_value_is_black(tmp_path):
    file = write(tmp_path / "x.dcm", np.full((4, 4), 700, np.uint16), BitsStored=12)
    assert not read_dicom(file, unwindowed="present").any()


def test_a_window_goes_before_the_values_that_are_there(tmp_path):
    file = write(tmp_path / "x.dcm", PRESENT, WindowCenter=1000, WindowWidth=4000)
    assert np.array_equal(read_dicom(file), read_dicom(file, unwindowed="present"))


def test_bits_that_are_claimed_and_not_used_are_told(tmp_path):
    file = write(tmp_path / "x.dcm", PRESENT)
    with pytest.raises(BadImage) as caught:
        read_dicom(file)
    assert caught.value.reason == (
        "spans 1 of 256 greys and has no window: it claims more bits than it uses; unwindowed: "
        "present spans the values that are there"
    )
    few = np.array([[0, 31], [5, 6]], np.uint16)
    assert read_dicom(write(file, few.astype(np.uint8))).max() == 31  # a byte loses nothing
    assert read_dicom(write(file, few * 16, BitsStored=12)).max() == 31
    with pytest.raises(BadImage, match="spans 31 of 256 greys"):
        read_dicom(write(file, few * 16 * 30 // 31, BitsStored=12))


def test_many_bits_need_a_window(tmp_path):
    wide = (np.arange(16, dtype=np.uint32) * 100_000_000).reshape(4, 4)
    with pytest.raises(BadImage, match="has 32 bits stored and no window"):
        read_dicom(write(tmp_path / "x.dcm", wide))
    file = write(tmp_path / "x.dcm", wide, WindowCenter=8e8, WindowWidth=1e9)
    assert np.array_equal(
        read_dicom(file)[0].ravel(),
        [math.floor(windowed(int(v), 8e8, 1e9, "LINEAR") + 0.5) for v in wide.ravel()],
    )


def test_each_frame_has_its_own_rules_before_those_of_all(tmp_path):
    """Enhanced multi-frame files: per frame, then shared, then the file's own."""
    frames = np.stack([WORDS, WORDS, WORDS]) & 4095
    voi = lambda centre: groups(WindowCenter=centre, WindowWidth=1000)
    scaled = groups(RescaleSlope=2, RescaleIntercept=-50)
    file = write(
        tmp_path / "x.dcm",
        frames,
        BitsStored=12,
        WindowCenter=7,
        WindowWidth=9,
        SharedFunctionalGroupsSequence=[item(FrameVOILUTSequence=voi(3000))],
        PerFrameFunctionalGroupsSequence=[
            item(FrameVOILUTSequence=voi(900)),
            item(FrameVOILUTSequence=voi(2000), PixelValueTransformationSequence=scaled),
            item(),
        ],
    )
    shown = read_dicom(file)
    assert np.array_equal(shown[0], twins(WORDS, bits=12, window=(900, 1000, "LINEAR")))
    second = twins(WORDS, bits=12, rescale=(2, -50), window=(2000, 1000, "LINEAR"))
    assert np.array_equal(shown[1], second)
    assert np.array_equal(shown[2], twins(WORDS, bits=12, window=(3000, 1000, "LINEAR")))
    assert np.array_equal(read_dicom(file, frames=[2, 0]), shown[[2, 0]])


SHORT = item(LUTDescriptor=[2, 0, 16])
SHORT.add_new("LUTData", "US", [5])
WRONG = {
    "has only one of rescale slope and intercept": {"RescaleSlope": 1},
    "has a rescale slope of 0": {"RescaleSlope": 0, "RescaleIntercept": 1},
    "has only one of window centre and width": {"WindowCenter": 5},
    "has a window of width 0, which LINEAR": {"WindowCenter": 5, "WindowWidth": 0},
    "has a window of width 0.5, which LINEAR": {"WindowCenter": 5, "WindowWidth": "0.5"},
    "has a window of width 0, which SIGMOID": {
        "WindowCenter": 5, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
    "has a VOI LUT function other than": {
        "WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "CUBIC"},
    "is MONOCHROME2, which its presentation LUT shape contradicts": {
        "PresentationLUTShape": "INVERSE"},
    "has a lookup table with entries of 4 bits": {"VOILUTSequence": [table([1, 2], bits=4)]},
    "has a lookup table with entries beyond their 8 bits": {
        "ModalityLUTSequence": [table([1, 256], bits=8)]},
    "has a lookup table of 1 entries where it announces 2": {
        "VOILUTSequence": [SHORT]},
    "has a VOI table of 16 bits that spans fewer than 1 in 8 greys": {
        "VOILUTSequence": [table(RISING_12)]},
    "has a lookup table without a descriptor": {
        "VOILUTSequence": [item(LUTExplanation="none")]},
}  # fmt: skip


@pytest.mark.parametrize("reason", WRONG)
def test_rules_that_cannot_be_followed_are_named(tmp_path, reason):
    file = write(tmp_path / "x.dcm", WORDS, **WRONG[reason])
    with pytest.raises(BadImage) as caught:
        read_dicom(file)
    assert caught.value.reason.startswith(reason)


def test_several_windows_are_several_values():
    """What the cases above rely on."""
    assert isinstance(item(WindowCenter=[1000, 50]).WindowCenter, MultiValue)
