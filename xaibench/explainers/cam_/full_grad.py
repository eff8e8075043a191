"""FullGrad by the grad-cam package."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pytorch_grad_cam import FullGrad as Peer

from xaibench.engine import Batch, Maps, maps_in_batches, outputs_kept
from xaibench.explainers.base import Explainer
from xaibench.explainers.cam_.base import normalised, quiet
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class FullGrad(Explainer):
    """FullGrad: |input times gradient| plus |bias times gradient| of every convolution and norm.

    The target's logit; biases of ``nn.Conv2d`` and ``nn.BatchNorm2d`` alone, of the latter with
    its mean: in most transformers those of the patch embedding. The package scales each channel
    of each term to [0, 1], enlarges it and adds them up; its scaling of the whole map is left
    out. Image by image, since it enlarges every channel of a layer. The input is the normalised
    image. Not negative.
    Cost: one forward and one backward pass. Source: Srinivas and Fleuret 2019, "Full-gradient
    representation for neural network visualization".
    """

    needs = ("gradients",)

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        with model.as_found(), quiet():
            model.requires_grad_(False)  # the gradient is wanted at images and layers
            return maps_in_batches(
                model,
                batch,
                lambda part: torch.cat([self._map(model, one) for one in part.split(1)]),
            )

    def _map(self, model: Classifier, batch: Batch) -> Maps:
        twin, given = normalised(model, batch)
        cam, images = Peer(twin, []), given.images.clone().requires_grad_()
        cam.activations_and_grads.release()
        with torch.enable_grad(), outputs_kept(cam.target_layers) as kept:
            score = twin.score(images, batch.targets, "logit").sum()
        used = sorted(kept)
        images.grad, *gradients = torch.autograd.grad(
            score, [images, *(kept[i] for i in used)], allow_unused=True, materialize_grads=True
        )
        # By layer: the package pairs gradients, in the order of passes, with layers by name.
        # As copies: the package detaches them in place when it is done, which a view refuses.
        cam.activations_and_grads.gradients = [gradient.clone() for gradient in gradients]
        cam.bias_data = [cam.bias_data[i] for i in used]
        made = cam.compute_cam_per_layer(images, None, False)
        return torch.as_tensor(made[:, 0]).float().to(model.device)
