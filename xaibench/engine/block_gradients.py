"""Gradients and maps that several explainers of a block ask for: computed once a block.

So where the batch ``shares``; elsewhere everyone computes their own. Each explainer's cost is what
it would be alone: what is found counts its passes again. ``KeptGradients`` says what is kept, and
how long.
"""

from __future__ import annotations

import torch

from xaibench.engine.batch import Batch, Pixels
from xaibench.engine.gradient_model import gradient_model
from xaibench.engine.gradients import target_gradients
from xaibench.engine.kept_gradients import KeptGradients, Meter, Rows
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
    kept, rows = _kept(batch)
    found = kept.find(model, "image gradient", space, rows)
    if found is None:
        meter = Meter(model)
        found = (target_gradients(model, batch.images, batch.targets, space),)
        kept.keep(model, "image gradient", space, rows, found, meter.spent())
    return found[0]


def block_layer_maps(model: Classifier, batch: Batch, layer: str) -> FeatureMaps:
    """Return the maps that a layer gives of each image; see ``layer_maps``."""
    kept, rows = _kept(batch)
    found = kept.find(model, "layer maps", layer, rows)
    if found is None:
        meter = Meter(model)
        # As they are in a pass with gradients, whoever asks first.
        maps, _ = layer_maps(gradient_model(model, layer), batch, layer)
        found = (maps,)
        kept.keep(model, "layer maps", layer, rows, found, meter.spent())
    return found[0]


def block_layer_gradients(
    model: Classifier, batch: Batch, layer: str
) -> tuple[FeatureMaps, FeatureMaps]:
    """Return a layer's maps and the gradient of the target's logit there; see ``layer_gradients``.

    The maps are kept for ``block_layer_maps``, too.
    """
    kept, rows = _kept(batch)
    found = kept.find(model, "layer gradient", layer, rows)
    if found is None:
        meter = Meter(model)
        output, logits = layer_logits(model, batch, layer)
        maps = (model.feature_maps(output.detach()),)
        kept.keep(model, "layer maps", layer, rows, maps, meter.spent())
        with torch.enable_grad():
            score = model.read(logits, batch.targets, "logit")
        found = maps_and_gradients(model, output, score)
        kept.keep(model, "layer gradient", layer, rows, found, meter.spent())
    return found


def _kept(batch: Batch) -> tuple[KeptGradients, Rows]:
    whole, rows = batch.block()
    return whole.gradients if whole.shares else KeptGradients(), rows
