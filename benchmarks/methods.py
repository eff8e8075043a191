"""Each method with its contestants: ours, and every peer that computes the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks import loops, peer_explainers, peer_metrics
from benchmarks.method import (
    OUR_BATCHES,
    Method,
    Peer,
    captum_calls,
    maps_of,
    method_of,
    segments_of,
)
from benchmarks.subjects import Subject
from xaibench.engine import step_counts
from xaibench.engine.batch import Batch
from xaibench.explainers.ablation_cam import AblationCam
from xaibench.explainers.grad_cam import GradCam
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.explainers.kernel_shap import KernelShap
from xaibench.explainers.lime import Lime
from xaibench.explainers.rise import Rise
from xaibench.explainers.score_cam import ScoreCam
from xaibench.explainers.square_occlusion import SquareOcclusion
from xaibench.explainers.superpixel_occlusion import SuperpixelOcclusion
from xaibench.metrics.cumulative_drop import CumulativeDrop
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.insertion import Insertion
from xaibench.models.base import Classifier


def deletion_insertion(subject: Subject) -> Method:
    size, maps = subject.size, subject.maps
    counts = step_counts(size.steps, size.pixels**2, maps.device)

    def ours(model: Classifier, batch: Batch) -> Tensor:
        its = maps[: len(batch)]
        deletion = Deletion(size.steps, "black").score(model, batch, its).curves["deletion"]
        insertion = Insertion(size.steps, "black").score(model, batch, its).curves["insertion"]
        return torch.stack([deletion.y, insertion.y])

    peers = [
        Peer(
            "torchcam DeletionInsertionMetric",
            "torchcam",
            lambda b: peer_metrics.torchcam_deletion_insertion(subject, b, maps[: len(b)]),
            peer_metrics.mean_area_gap,
            "compared: mean areas, all that it returns; 32 a call (its default)",
        ),
        Peer(
            "one call a step (system A)",
            "loop",
            lambda b: loops.deletion_insertion(subject.model, b, maps[: len(b)], counts),
            note="compared: both curves",
        ),
    ]
    said = f"{size.steps} steps, black"
    return method_of(subject, "deletion_insertion", ours, peers, said, 2 * size.steps)


def pixel_flipping(subject: Subject) -> Method:
    size, maps = subject.size, subject.maps

    def ours(model: Classifier, batch: Batch) -> Tensor:
        metric = Deletion(size.flip_steps, "black")
        return metric.score(model, batch, maps[: len(batch)]).curves["deletion"].y

    peer = Peer(
        "Quantus PixelFlipping",
        "quantus",
        lambda b: peer_metrics.quantus_pixel_flipping(subject, b, maps[: len(b)]),
        partial(peer_metrics.pixel_flipping_gap, size),
        "compared: curves, at the steps that end on whole pixels",
    )
    said = f"deletion alone, {size.flip_steps} steps, black"
    return method_of(subject, "pixel_flipping", ours, [peer], said, size.flip_steps)


def cumulative_drop(subject: Subject) -> Method:
    maps = subject.maps

    def ours(model: Classifier, batch: Batch) -> Tensor:
        curves = CumulativeDrop().score(model, batch, maps[: len(batch)]).curves
        return torch.stack([curves["morf"].y, curves["lerf"].y])

    peer = Peer(
        "one call a step",
        "loop",
        lambda b: loops.cumulative_drop(subject.model, b, maps[: len(b)]),
        note="compared: both curves",
    )
    said = f"{segments_of(subject)}, dataset mean, both orders"
    work = 2 * subject.size.segments
    return method_of(subject, "cumulative_drop", ours, [peer], said, work)


def square_occlusion(subject: Subject) -> Method:
    size = subject.size
    peers = [
        Peer(
            f"captum Occlusion, {words}",
            "captum",
            lambda b, each=each: peer_explainers.captum_occlusion(subject, b, each),
        )
        for words, each in captum_calls(subject).items()
    ]
    explainer = SquareOcclusion(size.window, size.stride)
    said = f"window {size.window}, stride {size.stride}, dataset mean"
    work = (1 + -(-(size.pixels - size.window) // size.stride)) ** 2
    return method_of(subject, "square_occlusion", maps_of(explainer), peers, said, work)


def superpixel_occlusion(subject: Subject) -> Method:
    peers = [
        Peer(
            f"captum FeatureAblation, {words}",
            "captum",
            lambda b, each=each: peer_explainers.captum_feature_ablation(subject, b, each),
        )
        for words, each in captum_calls(subject).items()
    ]
    loop = lambda b: loops.superpixel_occlusion(subject.model, b)
    peers.append(Peer("one call a segment (system B)", "loop", loop))
    ours = maps_of(SuperpixelOcclusion())
    said = f"{segments_of(subject)}, dataset mean"
    work = subject.size.segments
    return method_of(subject, "superpixel_occlusion", ours, peers, said, work)


def lime(subject: Subject) -> Method:
    size = subject.size
    peers = [
        Peer(
            "lime LimeImageExplainer",
            "lime",
            lambda b: peer_explainers.lime_image(subject, b),
            note="same samples and segments; 10 a call (its default)",
        ),
        Peer(
            f"captum Lime, {OUR_BATCHES}",
            "captum",
            lambda b: peer_explainers.captum_lime(subject, b, subject.model.batch_size),
            gap=None,
            note="not compared: it draws other samples, weighs them by another kernel and fits a "
            "lasso instead of a ridge",
        ),
    ]
    ours = maps_of(Lime(size.samples, "slic", "black"))
    said = f"{size.samples} samples, {segments_of(subject)}, black"
    return method_of(subject, "lime", ours, peers, said, size.samples, images=size.lime_images)


def integrated_gradients(subject: Subject) -> Method:
    size = subject.size
    peer = Peer(
        f"captum IntegratedGradients, {OUR_BATCHES}",
        "captum",
        lambda b: peer_explainers.captum_integrated_gradients(subject, b, subject.model.batch_size),
        note="compared: maps",
    )
    ours = maps_of(IntegratedGradients(size.path))
    said = f"{size.path} points, black, logit"
    work = 3 * size.path
    return method_of(subject, "integrated_gradients", ours, [peer], said, work, backward=True)


def grad_cam(subject: Subject) -> Method:
    peer = Peer(
        "grad-cam GradCAM",
        "pytorch_grad_cam",
        lambda b: peer_explainers.package_grad_cam(subject, b),
        peer_explainers.grad_cam_gap,
        "compared: our maps scaled to [0, 1], as it scales its own",
    )
    ours, images = maps_of(GradCam()), subject.size.cam_images
    said = f"layer {subject.model.cam_layer}, logit"
    return method_of(subject, "grad_cam", ours, [peer], said, 3, images=images, backward=True)


def kernel_shap(subject: Subject) -> Method:
    size = subject.size
    peers = [
        Peer(
            f"captum KernelShap, {words}",
            "captum",
            lambda b, each=each: peer_explainers.captum_kernel_shap(subject, b, each or 1),
            gap=None,
            note="not compared: it draws other coalitions, without pairs; as many passes",
        )
        for words, each in captum_calls(subject).items()
    ]
    ours = maps_of(KernelShap(size.samples, fill="black"))
    said = f"{size.samples} coalitions, {segments_of(subject)}, black"
    work = size.samples
    return method_of(subject, "kernel_shap", ours, peers, said, work, images=size.lime_images)


def rise(subject: Subject) -> Method:
    size = subject.size
    explainer = Rise(size.samples)
    peer = Peer(
        "all masks, then batches (authors' code)",
        "loop",
        lambda b: loops.rise(subject.model, b, explainer),
        note="compared: maps of the same masks",
    )
    said = f"{size.samples} masks of {explainer.cells} x {explainer.cells} cells, dataset mean"
    images = size.lime_images
    return method_of(subject, "rise", maps_of(explainer), [peer], said, size.samples, images=images)


def score_cam(subject: Subject) -> Method:
    peers = [
        Peer(
            f"grad-cam ScoreCAM, {words}",
            "pytorch_grad_cam",
            lambda b, each=each: peer_explainers.package_masked_cam("ScoreCAM", subject, b, each),
            gap=None,
            note="image by image; not compared: it upsamples masks with their corners aligned",
        )
        for words, each in captum_calls(subject).items()
    ]
    said = f"layer {subject.model.cam_layer}, black, logit"
    ours = maps_of(ScoreCam(fill="black"))
    return method_of(subject, "score_cam", ours, peers, said, 512, half_passes=False)


def ablation_cam(subject: Subject) -> Method:
    peers = [
        Peer(
            f"grad-cam AblationCAM, {words}",
            "pytorch_grad_cam",
            lambda b, each=each: peer_explainers.package_masked_cam(
                "AblationCAM", subject, b, each
            ),
            gap=None,
            note="image by image; not compared: it divides by the score, which may be negative",
        )
        for words, each in captum_calls(subject).items()
    ]
    said = f"layer {subject.model.cam_layer}, logit"
    ours = maps_of(AblationCam())
    return method_of(subject, "ablation_cam", ours, peers, said, 100, half_passes=False)


_MAKERS = (
    deletion_insertion,
    pixel_flipping,
    cumulative_drop,
    square_occlusion,
    superpixel_occlusion,
    lime,
    kernel_shap,
    rise,
    integrated_gradients,
    grad_cam,
    score_cam,
    ablation_cam,
)
METHODS = tuple(maker.__name__ for maker in _MAKERS)
BRIEF_METHODS = tuple(name for name in METHODS if name not in ("score_cam", "ablation_cam"))
"""Without those that pass an image once a channel, as often as the network decides."""


def methods(subject: Subject) -> dict[str, Callable[[], Method]]:
    """Return name -> how a method of the subject is made."""
    return {maker.__name__: partial(maker, subject) for maker in _MAKERS}
