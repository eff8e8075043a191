"""What of the header says how a frame's grey is shown, as functions of pixel values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_windowing

from xaibench.imaging.dicom.lookup import Table, table_of
from xaibench.imaging.dicom.refused import Refused
from xaibench.imaging.dicom.stored import Layout, little_endian

_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
KEYWORDS = (
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PresentationLUTShape",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)

_NARROWEST = {"LINEAR": 1.0, "LINEAR_EXACT": 0.0, "SIGMOID": 0.0}  # C.11.2.1.2 and C.11.2.1.3
_SHAPES = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}  # C.7.6.1


@dataclass(frozen=True)
class Rescale:
    """Rescale Slope and Intercept (PS3.3 C.11.1)."""

    slope: float
    intercept: float

    def __call__(self, values: Num[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        return values * self.slope + self.intercept


@dataclass(frozen=True, eq=False)
class Window:
    """A window with its function (PS3.3 C.11.2.1.2 and C.11.2.1.3), as pydicom computes it.

    Attributes:
        rule: Window Center, Window Width, VOI LUT Function; and the 8 bits of the output. pydicom
            would take the output's range from the stored bits and the rescale, which a negative
            slope turns upside down.
    """

    rule: Dataset

    @property
    def span(self) -> tuple[float, float]:
        return 0.0, 255.0

    def __call__(self, values: Num[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        with np.errstate(over="ignore"):  # of a sigmoid far below its centre, which is 0
            return apply_windowing(values.astype(np.float64), self.rule)


@dataclass(frozen=True, eq=False)
class Rules:
    """How a frame's grey is shown.

    Attributes:
        voi: None where the file has no window and no table.
        padding: the lowest and the highest stored value that is padding.
    """

    modality: Table | Rescale
    voi: Table | Window | None
    inverted: bool
    padding: tuple[int, int] | None


def rules_of(dataset: FileDataset, layout: Layout, frame: int) -> Rules:
    """Return a frame's rules; Refused where they contradict each other or cannot be followed."""
    little = little_endian(dataset)
    parts = list(_parts(dataset, frame))
    modality = next(filter(None, (_modality(part, layout, little) for part in parts)), None)
    modality = modality or Rescale(1.0, 0.0)
    # A modality table has no negative output, a rescale may have.
    signed = isinstance(modality, Rescale) and modality(np.array(layout.span)).min() < 0
    voi = next(filter(None, (_voi(part, bool(signed), little) for part in parts)), None)
    shape = dataset.get("PresentationLUTShape")
    if shape and shape != _SHAPES[layout.photometric]:
        raise Refused(
            f"is {layout.photometric}, which its presentation LUT shape contradicts: black and "
            "white may be swapped"
        )
    return Rules(modality, voi, layout.photometric == "MONOCHROME1", _padding(dataset))


def _parts(dataset: FileDataset, frame: int) -> Iterator[Dataset]:
    """Yield where a frame's rules may stand, the most particular first (PS3.3 C.7.6.16)."""
    for groups, at in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = dataset.get(groups) or []
        if at < len(items):
            for group in _GROUPS:
                yield from items[at].get(group) or []
    yield dataset


def _modality(part: Dataset, layout: Layout, little: bool) -> Table | Rescale | None:
    if part.get("ModalityLUTSequence"):
        return table_of(
            part.ModalityLUTSequence[0],
            "LUTDescriptor",
            "LUTData",
            signed=layout.signed,
            little_endian=little,
        )
    slope, intercept = _number(part, "RescaleSlope"), _number(part, "RescaleIntercept")
    if slope is None and intercept is None:
        return None
    if slope is None or intercept is None:
        raise Refused("has only one of rescale slope and intercept")
    rescale = Rescale(slope, intercept)
    if rescale.slope == 0:
        raise Refused("has a rescale slope of 0")
    return rescale


def _voi(part: Dataset, signed: bool, little: bool) -> Table | Window | None:
    if part.get("VOILUTSequence"):
        item = part.VOILUTSequence[0]
        table = table_of(item, "LUTDescriptor", "LUTData", signed=signed, little_endian=little)
        if table.bits > 8 and np.ptp(table.entries) < 1 << (table.bits - 3):
            raise Refused(
                f"has a VOI table of {table.bits} bits that spans fewer than 1 in 8 greys"
            )
        return table
    centre, width = _number(part, "WindowCenter"), _number(part, "WindowWidth")
    if centre is None and width is None:
        return None
    if centre is None or width is None:
        raise Refused("has only one of window centre and width")
    function = str(part.get("VOILUTFunction") or "LINEAR").upper()
    if function not in _NARROWEST:
        raise Refused("has a VOI LUT function other than LINEAR, LINEAR_EXACT and SIGMOID")
    narrowest = _NARROWEST[function]
    wide = width >= narrowest if function == "LINEAR" else width > narrowest
    if not wide:
        raise Refused(f"has a window of width {width:g}, which {function} does not allow")
    rule = Dataset()
    rule.add(part["WindowCenter"])
    rule.add(part["WindowWidth"])
    rule.VOILUTFunction = function
    rule.PhotometricInterpretation = "MONOCHROME2"
    rule.BitsStored, rule.PixelRepresentation = 8, 0
    return Window(rule)


def _number(part: Dataset, keyword: str) -> float | None:
    """Return the first of one or more numbers; None where there is none."""
    value = part.get(keyword)
    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    if value is None:
        return None
    if not isinstance(value, float | int) or not np.isfinite(value):  # pydicom hands on other text
        raise Refused(f"has no usable {keyword}")
    return float(value)


def _padding(dataset: FileDataset) -> tuple[int, int] | None:
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = value, limit if isinstance(limit, int) else value
    return min(ends), max(ends)
