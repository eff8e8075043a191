"""How the library Quantus is asked, and what it is kept from.

Quantus is asked one image at a time (its normalisations and assertions go over all images of a
call), with its warnings, prints and progress bars off, numpy's global generator seeded by the image
and given back.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool
from torch import Tensor

with warnings.catch_warnings(action="ignore"):  # of the libraries that it imports in turn
    import quantus
    from quantus.helpers import utils
    from quantus.helpers.model.pytorch_model import PyTorchModel

from xaibench.engine import Maps

QUIET = {"disable_warnings": True, "display_progressbar": False, "return_aggregate": False}
VERSION = {"quantus": ".".join(quantus.__version__.split(".")[:2])}
REFUSED = "Quantus refuses a map that is constant or negative everywhere"


@contextlib.contextmanager
def contained(seed: int) -> Iterator[None]:
    """Keep what Quantus does to the process within the block; seed what it draws."""
    state, area = np.random.get_state(), utils.calculate_auc
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])
    utils.calculate_auc = unit_area  # its own is lost with numpy 2.4
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            np.errstate(all="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            yield
    finally:
        np.random.set_state(state)
        utils.calculate_auc = area
        for name in ("_get_last_softmax_layer_index", "_get_model_with_linear_top"):
            getattr(PyTorchModel, name).cache_clear()  # which keeps every model ever asked


def unit_area(values: Any, dx: int = 1, batched: bool = False) -> Any:
    """Return the trapezoid area with unit steps, as Quantus' ``calculate_auc``."""
    trapezoid = getattr(np, "trapezoid", None) or np.trapz  # before numpy 2
    return trapezoid(np.asarray(values), dx=dx, axis=1 if batched else -1)


def refused(maps: Maps) -> Bool[Tensor, " batch"]:
    """Say which maps Quantus does not take: those without order, or nowhere above zero."""
    flat = maps.flatten(1)
    least, most = flat.aminmax(dim=1)
    return (least == most) | (most < 0) | ~flat.isfinite().all(1)


def as_array(tensor: Tensor) -> np.ndarray:
    """Return a copy that Quantus may write to."""
    return tensor.detach().cpu().numpy().copy()
