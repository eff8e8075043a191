"""Gradients and maps that several explainers of a block ask for: computed once a block.

Each explainer's cost is what it would be alone: what is found already counts its passes again; see
``KeptGradients``, which says what is kept for how long.
"""

from __future__ import annotations

import torch

from xaibench.engine.batch import Batch, Pixels
from xaibench.engine.gradients import target_gradients
from xaibench.engine.kept_gradients import Meter
from xaibench.engine.layers import (
    FeatureMaps,
    layer_logits,
    layer_maps,
    maps_and_gradients,
)
from xaibench.models.base import Classifier
from xaibench.types import Space


def block_image_gradients(model: Classifier, batch: Batch, space: Space) -> Pixels:
    """Return the gradient of each image's target score at the image; see ``target_gradients``."""
    whole, rows = batch.block()
    found = whole.gradients.find(model, "image gradient", space, rows)
    if found is None:
        meter = Meter(model)
        found = (target_gradients(model, batch.images, batch.targets, space),)
        whole.gradients.keep(model, "image gradient", space, rows, found, meter.spent())
    return found[0]


def block_layer_maps(model: Classifier, batch: Batch, layer: str) -> FeatureMaps:
    """Return the maps that a layer gives of each image; see ``layer_maps``."""
    whole, rows = batch.block()
    found = whole.gradients.find(model, "layer maps", layer, rows)
    if found is None:
        meter = Meter(model)
        maps, _ = layer_maps(model, batch, layer)
        found = (maps,)
        whole.gradients.keep(model, "layer maps", layer, rows, found, meter.spent())
    return found[0]


def block_layer_gradients(
    model: Classifier, batch: Batch, layer: str
) -> tuple[FeatureMaps, FeatureMaps]:
    """Return a layer's maps and the gradient of the target's logit there; see ``layer_gradients``.

    The maps are kept for ``block_layer_maps``, too.
    """
    whole, rows = batch.block()
    found = whole.gradients.find(model, "layer gradient", layer, rows)
    if found is None:
        meter = Meter(model)
        output, logits = layer_logits(model, batch, layer)
        maps = (model.feature_maps(output.detach()),)
        whole.gradients.keep(model, "layer maps", layer, rows, maps, meter.spent())
        with torch.enable_grad():
            score = model.read(logits, batch.targets, "logit")
        found = maps_and_gradients(model, output, score)
        whole.gradients.keep(model, "layer gradient", layer, rows, found, meter.spent())
    return found
