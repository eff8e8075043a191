"""Each method with its contestants: ours, and every peer that computes the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks import loops, peer_explainers, peer_metrics
from benchmarks.contest import OURS, Contestant, Gap, largest_difference
from benchmarks.subjects import Subject
from xaibench.engine import step_counts
from xaibench.engine.batch import Batch
from xaibench.explainers.base import Explainer
from xaibench.explainers.grad_cam import GradCam
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.explainers.lime import Lime
from xaibench.explainers.square_occlusion import SquareOcclusion
from xaibench.explainers.superpixel_occlusion import SuperpixelOcclusion
from xaibench.metrics.cumulative_drop import CumulativeDrop
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.insertion import Insertion
from xaibench.models.base import Classifier

HALF = f"{OURS} bf16"


@dataclass(frozen=True)
class Method:
    """A method on a subject.

    Attributes:
        parameters: what ours and peers were given, for the table.
        work: expected model calls of one of ours, for the time left.
    """

    name: str
    images: int
    parameters: str
    work: int
    contestants: tuple[Contestant, ...]
    backward: bool = False


@dataclass(frozen=True)
class _Peer:
    """A peer before it is given images; ``package`` is what is imported, or ``loop``."""

    name: str
    package: str
    run: Callable[[Batch], Tensor]
    gap: Gap | None = largest_difference
    note: str = ""


def deletion_insertion(subject: Subject) -> Method:
    size, maps = subject.size, subject.maps
    counts = step_counts(size.steps, size.pixels**2, maps.device)

    def ours(model: Classifier, batch: Batch) -> Tensor:
        its = maps[: len(batch)]
        deletion = Deletion(size.steps, "black").score(model, batch, its).curves["deletion"]
        insertion = Insertion(size.steps, "black").score(model, batch, its).curves["insertion"]
        return torch.stack([deletion.y, insertion.y])

    peers = [
        _Peer(
            "torchcam DeletionInsertionMetric",
            "torchcam",
            lambda b: peer_metrics.torchcam_deletion_insertion(subject, b, maps[: len(b)]),
            peer_metrics.mean_area_gap,
            "compared: mean areas, all that it returns; 32 a call (its default)",
        ),
        _Peer(
            "one call a step (system A)",
            "loop",
            lambda b: loops.deletion_insertion(subject.model, b, maps[: len(b)], counts),
            note="compared: both curves",
        ),
    ]
    said = f"{size.steps} steps, black"
    return _method(subject, "deletion_insertion", ours, peers, said, 2 * size.steps)


def pixel_flipping(subject: Subject) -> Method:
    size, maps = subject.size, subject.maps

    def ours(model: Classifier, batch: Batch) -> Tensor:
        metric = Deletion(size.flip_steps, "black")
        return metric.score(model, batch, maps[: len(batch)]).curves["deletion"].y

    peer = _Peer(
        "Quantus PixelFlipping",
        "quantus",
        lambda b: peer_metrics.quantus_pixel_flipping(subject, b, maps[: len(b)]),
        partial(peer_metrics.pixel_flipping_gap, size),
        "compared: curves, at the steps that end on whole pixels",
    )
    said = f"deletion alone, {size.flip_steps} steps, black"
    return _method(subject, "pixel_flipping", ours, [peer], said, size.flip_steps)


def cumulative_drop(subject: Subject) -> Method:
    maps = subject.maps

    def ours(model: Classifier, batch: Batch) -> Tensor:
        curves = CumulativeDrop().score(model, batch, maps[: len(batch)]).curves
        return torch.stack([curves["morf"].y, curves["lerf"].y])

    peer = _Peer(
        "one call a step",
        "loop",
        lambda b: loops.cumulative_drop(subject.model, b, maps[: len(b)]),
        note="compared: both curves",
    )
    said = f"{_segments(subject)}, dataset mean, both orders"
    work = 2 * subject.size.segments
    return _method(subject, "cumulative_drop", ours, [peer], said, work)


def square_occlusion(subject: Subject) -> Method:
    size = subject.size
    peers = [
        _Peer(
            f"captum Occlusion, {words}",
            "captum",
            lambda b, each=each: peer_explainers.captum_occlusion(subject, b, each),
        )
        for words, each in _captum_calls(subject).items()
    ]
    explainer = SquareOcclusion(size.window, size.stride)
    said = f"window {size.window}, stride {size.stride}, dataset mean"
    work = (1 + -(-(size.pixels - size.window) // size.stride)) ** 2
    return _method(subject, "square_occlusion", _maps_of(explainer), peers, said, work)


def superpixel_occlusion(subject: Subject) -> Method:
    peers = [
        _Peer(
            f"captum FeatureAblation, {words}",
            "captum",
            lambda b, each=each: peer_explainers.captum_feature_ablation(subject, b, each),
        )
        for words, each in _captum_calls(subject).items()
    ]
    loop = lambda b: loops.superpixel_occlusion(subject.model, b)
    peers.append(_Peer("one call a segment (system B)", "loop", loop))
    ours = _maps_of(SuperpixelOcclusion())
    said = f"{_segments(subject)}, dataset mean"
    work = subject.size.segments
    return _method(subject, "superpixel_occlusion", ours, peers, said, work)


def lime(subject: Subject) -> Method:
    size = subject.size
    peers = [
        _Peer(
            "lime LimeImageExplainer",
            "lime",
            lambda b: peer_explainers.lime_image(subject, b),
            note="same samples and segments; 10 a call (its default)",
        ),
        _Peer(
            f"captum Lime, {_OUR_BATCHES}",
            "captum",
            lambda b: peer_explainers.captum_lime(subject, b, subject.model.batch_size),
            gap=None,
            note="not compared: it draws other samples, weighs them by another kernel and fits a "
            "lasso instead of a ridge",
        ),
    ]
    ours = _maps_of(Lime(size.samples, "slic", "black"))
    said = f"{size.samples} samples, {_segments(subject)}, black"
    return _method(subject, "lime", ours, peers, said, size.samples, images=size.lime_images)


def integrated_gradients(subject: Subject) -> Method:
    size = subject.size
    peer = _Peer(
        f"captum IntegratedGradients, {_OUR_BATCHES}",
        "captum",
        lambda b: peer_explainers.captum_integrated_gradients(subject, b, subject.model.batch_size),
        note="the same code underneath",
    )
    ours = _maps_of(IntegratedGradients(size.path))
    said = f"{size.path} points, black, logit"
    work = 3 * size.path
    return _method(subject, "integrated_gradients", ours, [peer], said, work, backward=True)


def grad_cam(subject: Subject) -> Method:
    peer = _Peer(
        "grad-cam GradCAM",
        "pytorch_grad_cam",
        lambda b: peer_explainers.package_grad_cam(subject, b),
        peer_explainers.grad_cam_gap,
        "compared: our maps scaled to [0, 1], as it scales its own",
    )
    ours, images = _maps_of(GradCam()), subject.size.cam_images
    said = f"layer {subject.model.cam_layer}, logit"
    return _method(subject, "grad_cam", ours, [peer], said, 3, images=images, backward=True)


_MAKERS = (
    deletion_insertion,
    pixel_flipping,
    cumulative_drop,
    square_occlusion,
    superpixel_occlusion,
    lime,
    integrated_gradients,
    grad_cam,
)
METHODS = tuple(maker.__name__ for maker in _MAKERS)


def methods(subject: Subject) -> dict[str, Callable[[], Method]]:
    """Return name -> how a method of the subject is made."""
    return {maker.__name__: partial(maker, subject) for maker in _MAKERS}


_OUR_BATCHES = "batches of our size"


def _captum_calls(subject: Subject) -> dict[str, int | None]:
    """Return what captum is told of its batches: nothing, or the size that suits the machine."""
    return {"default": None, _OUR_BATCHES: subject.model.batch_size}


def _segments(subject: Subject) -> str:
    counts = subject.batch.segments.flatten(1).amax(1) + 1
    return f"{int(counts.min())}-{int(counts.max())} superpixels"


def _maps_of(explainer: Explainer) -> Callable[[Classifier, Batch], Tensor]:
    return lambda model, batch: explainer(model, batch).maps


def _method(
    subject: Subject,
    name: str,
    ours: Callable[[Classifier, Batch], Tensor],
    peers: list[_Peer],
    parameters: str,
    work: int,
    *,
    images: int | None = None,
    backward: bool = False,
) -> Method:
    """Return the method; each run gets a batch of which no score is known yet."""
    count = images or subject.size.images
    model = subject.model
    contestants = [Contestant(OURS, lambda: ours(model, subject.fresh(count)), model)]
    if not backward:  # gradients are taken in fp32 whatever the model's precision
        half = lambda: ours(subject.half, subject.fresh(count))
        contestants.append(Contestant(HALF, half, subject.half))
    contestants += [
        Contestant(
            peer.name,
            lambda peer=peer: peer.run(subject.fresh(count)),
            model,
            () if peer.package == "loop" else (peer.package,),
            peer.gap,
            peer.note,
        )
        for peer in peers
    ]
    return Method(name, count, parameters, count * work, tuple(contestants), backward)
