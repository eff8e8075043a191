"""The standard's grey pipeline for one pixel at a time, as slow as it is literal."""

from __future__ import annotations

import math

import numpy as np


def looked_up(value, spec):
    """PS3.3 C.11.1.1 and C.11.2.1.1: the first and the last entry stand for what is outside."""
    first, entries = spec
    at = math.floor(value + 0.5) - first
    return entries[min(max(at, 0), len(entries) - 1)]


def windowed(x, centre, width, function):
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, for outputs from 0 to 255."""
    if function == "SIGMOID":
        exponent = -4 * (x - centre) / width
        return 255 / (1 + math.exp(exponent)) if exponent < 700 else 0.0
    if function == "LINEAR_EXACT":
        if x <= centre - width / 2:
            return 0.0
        return 255.0 if x > centre + width / 2 else ((x - centre) / width + 0.5) * 255
    if x <= centre - 0.5 - (width - 1) / 2:
        return 0.0
    if x > centre - 0.5 + (width - 1) / 2:
        return 255.0
    return ((x - (centre - 0.5)) / (width - 1) + 0.5) * 255


def twin(raw, bits=16, signed=False, rescale=None, modality=None, voi=None, window=None,
         inverted=False):  # fmt: skip
    """One stored word to one grey.

    Args:
        modality, voi: (first input, entries, bits of an entry).
        window: (centre, width, function).
    """
    value = int(raw) & ((1 << bits) - 1)
    low, high = 0, (1 << bits) - 1
    if signed:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        value -= (1 << bits) if value >> (bits - 1) else 0
    if modality:
        value, low, high = looked_up(value, modality[:2]), 0, (1 << modality[2]) - 1
    if rescale:
        slope, intercept = rescale
        value, low, high = (v * slope + intercept for v in (value, low, high))
    if voi:
        shown = looked_up(value, voi[:2]) / ((1 << voi[2]) - 1) * 255
    elif window:
        shown = windowed(value, *window)
    else:
        shown = (value - min(low, high)) / abs(high - low) * 255
    return math.floor((255 - shown if inverted else shown) + 0.5)


def twins(raw, **rules):
    return np.array([[twin(value, **rules) for value in row] for row in raw.astype(object)])
