"""The eight standard explainers and the three perturbation metrics, with the harness's defaults."""

from __future__ import annotations

from xaibench.explainers.base import Explainer
from xaibench.explainers.cam import Cam
from xaibench.explainers.center_prior import CenterPrior
from xaibench.explainers.grad_cam import GradCam
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.explainers.lime import Lime
from xaibench.explainers.random import Random
from xaibench.explainers.square_occlusion import SquareOcclusion
from xaibench.explainers.superpixel_occlusion import SuperpixelOcclusion
from xaibench.metrics.base import MapMetric
from xaibench.metrics.cumulative_drop import CumulativeDrop
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.insertion import Insertion


def explainers(samples: int) -> dict[str, Explainer]:
    """Return name -> explainer, as the main config has them.

    Args:
        samples: of LIME; 1,000 there.
    """
    return {
        "random": Random(),
        "center_prior": CenterPrior(),
        "square_occlusion": SquareOcclusion(),
        "superpixel_occlusion": SuperpixelOcclusion(),
        "cam": Cam(),
        "grad_cam": GradCam(),
        "integrated_gradients": IntegratedGradients(),
        "lime": Lime(samples, hide="black", positive_only=True, num_features=5),
    }


def metrics(steps: int) -> dict[str, MapMetric]:
    """Return name -> metric; ``steps`` of deletion and insertion, 100 in the main config."""
    return {
        "deletion": Deletion(steps),
        "insertion": Insertion(steps),
        "cumulative_drop": CumulativeDrop(),
    }
