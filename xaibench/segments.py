"""SLIC superpixels, computed once an image."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from skimage.segmentation import slic
from torch import Tensor

from xaibench.config import SegmentOptions


def superpixels(
    images: Float[Tensor, "batch channel height width"], options: SegmentOptions
) -> Int[Tensor, "batch height width"]:
    """Return the label map of each image, labels 0..K-1; a grey image is stacked to three channels.

    Source: Achanta et al. 2012, in scikit-image's implementation.
    """
    labels = [_superpixels(image, options) for image in images.cpu().numpy()]
    return torch.from_numpy(np.stack(labels)).to(images.device)


def _superpixels(
    image: Float[np.ndarray, "channel height width"], options: SegmentOptions
) -> Int[np.ndarray, "height width"]:
    color = np.repeat(image, 3, axis=0) if len(image) == 1 else image
    labels = slic(
        color.transpose(1, 2, 0),
        n_segments=options.n_segments,
        compactness=options.compactness,
        sigma=options.sigma,
        convert2lab=options.lab,
        start_label=0,
    )
    # Numbered anew without gaps: the engine's masks count segments from 0 to K - 1.
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)
