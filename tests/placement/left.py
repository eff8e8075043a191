"""Where numbers leave the device, and why they have to: whatever else does so is a fault.

Each entry says which plugin shows it, so that none outlives its reason; see ``test_placement``.
"""

from __future__ import annotations

ONCE = "once a call, so that packing pairs of image and mask never waits for the device"
OUTSIDE = "the library computes on arrays of NumPy"

LEFT: dict[str, tuple[str, str]] = {
    # Beginning of file and function -> explainer or metric that shows it, reason.
    "xaibench/engine/scores.py:packed_scores": ("deletion", ONCE),
    "xaibench/engine/passed_once.py:block_scores": (
        "deletion",
        "once a call: which masked images are known already says what is packed into batches",
    ),
    "xaibench/engine/windows/scores.py:passes": ("square_occlusion", ONCE),
    "xaibench/engine/dropped_tokens.py:dropped_scores": (
        "token_occlusion",
        "once a call: how many tokens are left says how sets are packed",
    ),
    "xaibench/explainers/base.py:_statuses": (
        "random",
        "once a block: statuses are strings of the table, and are asked for when maps are done",
    ),
    "xaibench/explainers/grad_cam.py:_maps": (
        "grad_cam",
        "once a part of a block: the grad-cam package computes on arrays of NumPy",
    ),
    "xaibench/explainers/lime.py:attribute": (
        "lime",
        "once a block: the lime package's samples are those of NumPy's generator",
    ),
    "xaibench/segmentation/segmenter.py:_maps": (
        "lime",
        "once a block, in processes beside the GPU: scikit-image divides arrays of NumPy",
    ),
    "xaibench/metrics/weight_randomisation.py": (
        "weight_randomisation",
        "once a model: layers are drawn anew on the CPU, to be the same on every device",
    ),
    "xaibench/explainers/cam_/": ("cam.score_cam", OUTSIDE),
    "xaibench/explainers/captum/kernel_shap.py": ("captum.kernel_shap", OUTSIDE),
    "xaibench/explainers/captum/lime.py": ("captum.lime", OUTSIDE),
    "xaibench/explainers/captum/noise_tunnel.py": (
        "captum.noise_tunnel",
        "seeds of the CPU's generator draw the noise",
    ),
    "xaibench/explainers/shap/": ("shap.partition", OUTSIDE),
    "xaibench/metrics/quantus/": ("quantus.complexity", OUTSIDE),
}


def unlisted(places: set[str]) -> set[str]:
    return {place for place in places if not place.startswith(tuple(LEFT))}
