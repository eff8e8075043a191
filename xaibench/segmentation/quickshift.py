"""The superpixels that the lime package makes by default. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skimage
from jaxtyping import Float32, Integer
from skimage.segmentation import quickshift

from xaibench.segmentation.base import Segmentation, as_color


@dataclass(frozen=True)
class Quickshift(Segmentation):
    """Quickshift with the lime package's parameters: kernel 4, distance 200, ratio 0.2, in CIELAB.

    Its ties go the same way for every image: the seed that the package sets is one that
    scikit-image no longer takes, so that its default holds. Source: Vedaldi and Soatto 2008, in
    scikit-image's implementation.
    """

    @property
    def id(self) -> str:
        return f"quickshift(4,200,0.2)/scikit-image {skimage.__version__}"

    def segment(
        self, image: Float32[np.ndarray, "channel height width"], seed: int
    ) -> Integer[np.ndarray, "height width"]:
        # In double precision, as the package is given images.
        color = as_color(image).astype(np.float64)
        return quickshift(color, kernel_size=4, max_dist=200, ratio=0.2)
