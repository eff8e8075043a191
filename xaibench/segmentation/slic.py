"""SLIC superpixels. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skimage
from jaxtyping import Float32, Integer
from skimage.segmentation import slic

from xaibench.segmentation.base import Segmentation, as_color


@dataclass(frozen=True)
class Slic(Segmentation):
    """SLIC superpixels; a grey image is clustered as three equal channels.

    ``lab``: cluster in CIELAB instead of RGB. Source: Achanta et al. 2012, in scikit-image's
    implementation.
    """

    n_segments: int
    compactness: float
    sigma: float
    lab: bool

    @property
    def id(self) -> str:
        parameters = f"{self.n_segments},{self.compactness!r},{self.sigma!r},lab={self.lab}"
        return f"slic({parameters})/scikit-image {skimage.__version__}"

    def segment(
        self, image: Float32[np.ndarray, "channel height width"], seed: int
    ) -> Integer[np.ndarray, "height width"]:
        return slic(
            as_color(image),
            n_segments=self.n_segments,
            compactness=self.compactness,
            sigma=self.sigma,
            convert2lab=self.lab,
            start_label=0,
        )
