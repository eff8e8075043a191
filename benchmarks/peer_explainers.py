"""Explainers of other packages, called as their documentation shows; each imported when called."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import torch
from torch import Tensor

from benchmarks.subjects import Subject
from xaibench.engine.batch import Batch


def captum_occlusion(subject: Subject, batch: Batch, per_evaluation: int | None) -> Tensor:
    """Return captum's square occlusion; ``per_evaluation`` None is its default, all images a call.

    With a number, images go one by one, so that a call is that many passes.
    """
    from captum.attr import Occlusion

    size, model = subject.size, subject.model
    options = {
        "sliding_window_shapes": (size.channels, size.window, size.window),
        "strides": (size.channels, size.stride, size.stride),
        "baselines": batch.dataset_mean.view(1, -1, 1, 1).expand(1, *batch.images.shape[1:]),
    }
    return _by_call(Occlusion(model.score), batch, per_evaluation, lambda part: options)


def captum_feature_ablation(subject: Subject, batch: Batch, per_evaluation: int | None) -> Tensor:
    """Return captum's occlusion of superpixels; ``per_evaluation`` as for square occlusion."""
    from captum.attr import FeatureAblation

    mean = batch.dataset_mean.view(1, -1, 1, 1).expand(1, *batch.images.shape[1:])
    options = lambda part: {"feature_mask": part.segments[:, None], "baselines": mean}
    return _by_call(FeatureAblation(subject.model.score), batch, per_evaluation, options)


def _by_call(method, batch: Batch, per_evaluation: int | None, options) -> Tensor:
    parts = [batch] if per_evaluation is None else batch.split(1)
    maps = [
        method.attribute(
            part.images,
            additional_forward_args=(part.targets,),
            perturbations_per_eval=per_evaluation or 1,
            **options(part),
        )
        for part in parts
    ]
    return torch.cat(maps)[:, 0].detach()


def captum_lime(subject: Subject, batch: Batch, per_evaluation: int) -> Tensor:
    """Return captum's LIME with its own kernel and regression, black behind hidden segments."""
    from captum.attr import Lime

    lime = Lime(subject.model.score)
    maps = [
        lime.attribute(
            part.images,
            baselines=0,
            additional_forward_args=(part.targets,),
            feature_mask=part.segments[:, None],
            n_samples=subject.size.samples,
            perturbations_per_eval=per_evaluation,
        )
        for part in batch.split(1)
    ]
    return torch.cat(maps)[:, 0].detach()


def captum_kernel_shap(subject: Subject, batch: Batch, per_evaluation: int) -> Tensor:
    """Return captum's KernelSHAP, black behind what a coalition leaves out."""
    from captum.attr import KernelShap

    kernel_shap = KernelShap(subject.model.score)
    maps = [
        kernel_shap.attribute(
            part.images,
            baselines=0,
            additional_forward_args=(part.targets,),
            feature_mask=part.segments[:, None],
            n_samples=subject.size.samples,
            perturbations_per_eval=per_evaluation,
        )
        for part in batch.split(1)
    ]
    return torch.cat(maps)[:, 0].detach()


def captum_integrated_gradients(subject: Subject, batch: Batch, per_evaluation: int) -> Tensor:
    from captum.attr import IntegratedGradients

    logit = lambda images, targets: subject.model.score(images, targets, "logit")
    relevance = IntegratedGradients(logit).attribute(
        batch.images,
        baselines=0,
        additional_forward_args=(batch.targets,),
        n_steps=subject.size.path,
        internal_batch_size=per_evaluation,
    )
    return relevance.abs().mean(1).detach()


def lime_image(subject: Subject, batch: Batch) -> Tensor:
    """Return the lime package's coefficients on the given superpixels, its other defaults kept."""
    from lime.lime_image import LimeImageExplainer

    model, channels = subject.model, subject.size.channels

    @torch.no_grad()
    def classify(images: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(images).permute(0, 3, 1, 2)[:, :channels].float()
        return model.probabilities(model(x.to(model.device))).double().cpu().numpy()

    maps = []
    for i, image in enumerate(batch.images.cpu()):
        seed, target = int(batch.seeds[i]), int(batch.targets[i])
        segments = batch.segments[i].cpu().numpy()
        explainer = LimeImageExplainer(random_state=np.random.RandomState(seed % 2**32))
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar cannot be turned off
            explanation = explainer.explain_instance(
                image.expand(3, -1, -1).permute(1, 2, 0).double().numpy(),
                classify,
                labels=(target,),
                top_labels=None,
                hide_color=0,
                num_samples=subject.size.samples,
                segmentation_fn=lambda _, segments=segments: segments,
                random_seed=0,
            )
        weights = np.zeros(segments.max() + 1)
        for segment, weight in explanation.local_exp[target]:
            weights[segment] = weight
        maps.append(torch.from_numpy(weights[segments]))
    return torch.stack(maps)


def package_grad_cam(subject: Subject, batch: Batch) -> Tensor:
    """Return the grad-cam package's maps, each shifted and scaled to [0, 1] by the package."""
    from pytorch_grad_cam import GradCAM

    model = subject.model
    targets = [
        lambda output, t=t: model.read(output[None], t[None], "logit")[0] for t in batch.targets
    ]
    with GradCAM(model, [model.module(model.cam_layer)]) as cam:
        # The model's weights ask for no gradient, so the images must.
        return torch.from_numpy(cam(batch.images.clone().requires_grad_(), targets))


def package_masked_cam(name: str, subject: Subject, batch: Batch, batch_size: int | None) -> Tensor:
    """Return the grad-cam package's ScoreCAM or AblationCAM, image by image.

    Args:
        batch_size: of its masked passes; None for its own default.
    """
    import pytorch_grad_cam as package

    model = subject.model
    maps = []
    for image, target in zip(batch.images, batch.targets, strict=True):
        read = lambda output, t=target: model.read(output[None], t[None], "logit")[0]
        with getattr(package, name)(model, [model.module(model.cam_layer)]) as cam:
            if batch_size:
                cam.batch_size = batch_size
            with contextlib.redirect_stderr(io.StringIO()):  # its progress bars have no switch
                maps.append(torch.from_numpy(cam(image[None].clone(), [read])))
    return torch.cat(maps)


def grad_cam_gap(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference once ours are scaled likewise; maps of zeros have no scale."""
    low, high = ours.amin(dim=(1, 2), keepdim=True), ours.amax(dim=(1, 2), keepdim=True)
    some = (high > low).flatten().cpu()
    if not some.any():
        return float("nan")
    scaled = ((ours - low) / (high - low)).cpu()
    return float((scaled - theirs)[some].abs().max())
