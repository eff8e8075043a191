"""What CAMs of other libraries share: the layer, targets, normalised images, nothing left behind.

Maps and gradients are read by the engine, and the library makes of them what it makes of its own.
Neither its ReLU nor ours is undone, but its scaling of each map to [0, 1] is left out everywhere,
so that zero stays zero.
"""

from __future__ import annotations

import copy
import io
import warnings
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import torch
from jaxtyping import Float
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn
from torch.nn import functional as F

from xaibench.engine import (
    Batch,
    Maps,
    block_layer_gradients,
    block_layer_maps,
    maps_in_batches,
    read_layer,
)
from xaibench.engine.seeding import seeded
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer, Need
from xaibench.models.base import Classifier, PassCount

Small = Float[Tensor, "batch h w"]
"""Maps of a layer's own size."""
TargetFunction = Callable[[Tensor], Tensor]
"""Gives the target's logit of one row of outputs."""
FeatureMaps = Float[Tensor, "batch channel h w"]
SAME_FOR_EVERY_CLASS: Mapping[str, str] = {
    "explains each class differently": "it reads what the layer gives, whatever class is asked for"
}


@dataclass(frozen=True)
class LayerMap(Explainer):
    """A map of a layer's own size, ``small``, enlarged bilinearly to the image.

    ``layer`` names the module whose output is read; the model's own ``cam_layer`` by default.
    """

    needs: ClassVar[tuple[Need, ...]] = ("gradients", "feature maps")
    at_once: ClassVar[int | None] = None
    """Images that the library takes at once; None for as many as the model takes."""

    layer: str | None = None

    def check(self, model: Classifier) -> None:
        model.check_feature_maps(self.layer_name(model))

    def facts(self, model: Classifier) -> dict[str, object]:
        return {"layer": self.layer_name(model)}

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch))

    def layer_name(self, model: Classifier) -> str:
        return read_layer(model, self.layer, self.name)

    @abstractmethod
    def small(self, model: Classifier, batch: Batch) -> Small:
        """Return the map of the layer's size, or of any other; not negative."""

    def attribute(self, model: Classifier, batch: Batch) -> Maps:
        def of(part: Batch) -> Tensor:
            few = part.split(self.at_once or len(part))
            return torch.cat([self.small(model, some) for some in few])

        with model.as_found(), quiet():
            model.requires_grad_(False)  # the gradient is wanted at the layer, not at the weights
            maps = maps_in_batches(model, batch, of).to(model.device)
        return F.interpolate(maps[:, None], batch.images.shape[2:], mode="bilinear")[:, 0]


@dataclass(frozen=True)
class PackageMap(LayerMap):
    """A map that a class of the grad-cam package makes of a layer's maps and gradients there."""

    peer: ClassVar[type[BaseCAM]]
    reads_gradients: ClassVar[bool] = True

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        return PassCount(len(batch), len(batch) * self.reads_gradients)

    def options(self) -> dict[str, object]:
        """Return what the class of the package is made with."""
        return {}

    def smooth(self) -> bool:
        """Say whether the weighted maps become one by their first principal component."""
        return False

    def maps_and_gradients(
        self, model: Classifier, batch: Batch, layer: str
    ) -> tuple[FeatureMaps, FeatureMaps]:
        """Return a layer's maps, and the gradient of what is differentiated there."""
        return block_layer_gradients(model, batch, layer)

    def small(self, model: Classifier, batch: Batch) -> Small:
        layer = self.layer_name(model)
        if self.reads_gradients:
            maps, gradients = self.maps_and_gradients(model, batch, layer)
        else:
            maps = block_layer_maps(model, batch, layer)
            gradients = maps  # of which nothing but the shape may be asked
        return self.combined(self.made(model, layer), batch, maps, gradients)

    def made(self, model: Classifier, layer: str) -> BaseCAM:
        """Return the package's own, without the hooks that it sets."""
        module = model.module(layer)
        cam = self.peer(model, [module], reshape_transform=model.feature_maps, **self.options())
        cam.activations_and_grads.release()
        return cam

    def combined(
        self,
        cam: BaseCAM,
        batch: Batch,
        maps: FeatureMaps,
        gradients: FeatureMaps,
        targets: list[TargetFunction] | None = None,
    ) -> Small:
        made = cam.get_cam_image(
            batch.images,
            cam.target_layers[0],
            targets,
            maps.cpu().numpy(),
            gradients.cpu().numpy(),
            self.smooth(),
        )
        return torch.as_tensor(made).float().relu()


@dataclass(frozen=True)
class WeightedMap(PackageMap):
    """A weighted sum of maps, or, by ``eigen_smooth``, their first principal component."""

    eigen_smooth: bool = False

    def smooth(self) -> bool:
        return self.eigen_smooth


@dataclass(frozen=True)
class SeededMap(PackageMap):
    """A map for which the package draws random numbers: image by image, from the image's seed."""

    def combined(
        self,
        cam: BaseCAM,
        batch: Batch,
        maps: FeatureMaps,
        gradients: FeatureMaps,
        targets: list[TargetFunction] | None = None,
    ) -> Small:
        made = []
        for i, seed in enumerate(batch.seeds.tolist()):
            with seeded(seed, torch.device("cpu")):
                at = slice(i, i + 1)
                made.append(super().combined(cam, batch.take([i]), maps[at], gradients[at]))
        return torch.cat(made)


@dataclass(frozen=True)
class TorchcamMap(LayerMap):
    """A map that a class of torchcam makes, given normalised images one by one."""

    at_once: ClassVar[int | None] = 1

    @abstractmethod
    def extractor(self, twin: Classifier, **options: object) -> Callable[..., list[Tensor]]:
        """Return torchcam's own for normalised images, made with the options."""

    def extracted(
        self,
        extractor: Callable[..., list[Tensor]],
        model: Classifier,
        batch: Batch,
        logits: Float[Tensor, "batch output"],
    ) -> Small:
        """Return the map after the extractor has seen the pass of these logits."""
        targets = target_functions(model, batch)
        return extractor(targets=targets, scores=logits, normalized=False)[0]

    def small(self, model: Classifier, batch: Batch) -> Small:
        twin, given = normalised(model, batch)
        layer = model.module(self.layer_name(model))
        extractor = self.extractor(twin, target_layer=layer, reshape_transform=model.feature_maps)
        # An operation in place behind the layer would overwrite what the extractor keeps.
        copied = layer.register_forward_hook(lambda _, __, output: output.clone())
        try:
            with torch.enable_grad(), seeded(int(batch.seeds[0]), torch.device("cpu")):
                logits = twin(given.images.requires_grad_())
                return self.extracted(extractor, model, given, logits).detach()
        finally:
            copied.remove()
            extractor.remove_hooks()


def target_functions(model: Classifier, batch: Batch) -> list[TargetFunction]:
    """Return what gives the target's logit of one row of outputs, a function an image."""
    return [partial(_logit, model, target) for target in batch.targets]


def _logit(model: Classifier, target: Tensor, output: Tensor) -> Tensor:
    return model.read(output[None], target[None], "logit")[0]


def columns(
    model: Classifier, logits: Float[Tensor, "batch output"]
) -> Float[Tensor, "batch class"]:
    """Return a column of logits for each class: -z and z of a single logit z."""
    return torch.cat([-logits, logits], dim=1) if model.head == "single_logit" else logits


def check_other_class(explainer: Explainer, model: Classifier) -> None:
    """Raise UserError where there is no class beside the target."""
    if len(model.classes) < 2:
        raise UserError(f"{explainer.name}: it compares with other classes, and the model has one")


def normalised(model: Classifier, batch: Batch) -> tuple[Classifier, Batch]:
    """Return a twin of the model for normalised images, as the libraries are used, and these.

    It has the model's modules and counts the model's passes; hooks on the twin itself are its own.
    """
    twin = copy.copy(model)
    twin._buffers = {"mean": torch.zeros_like(model.mean), "std": torch.ones_like(model.std)}
    for name, table in vars(model).items():
        if "_hooks" in name and isinstance(table, dict):
            vars(twin)[name] = OrderedDict()
    return twin, replace(batch, images=((batch.images - model.mean) / model.std).detach())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the libraries print and warn of to themselves."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def without_progress(module: ModuleType) -> Iterator[None]:
    """Take the bar of progress away from a module: it writes, and leaves a thread behind."""
    bar = module.tqdm
    module.tqdm = SimpleNamespace(tqdm=lambda parts: parts)
    try:
        yield
    finally:
        module.tqdm = bar


@contextmanager
def module_kept(model: Classifier, name: str) -> Iterator[nn.Module]:
    """Give a module, and put it back at its place, whatever stands there after."""
    parent, _, stem = name.rpartition(".")
    place = model.module(parent) if parent else model.net
    module = place.get_submodule(stem)
    try:
        yield module
    finally:
        place._modules[stem] = module
