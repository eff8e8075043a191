"""Scores of images with one window hidden, at the price of what the window reaches.

A window changes a small part of the first maps of a network, so only that part of them is computed
anew and put into the image's own maps, until windows reach most of a map; from there on passes
are ordinary. Equal to whole passes but for rounding. Source: Nakandala, Kumar and Papakonstantinou
2019, "Incremental and approximate inference for faster occlusion-based deep CNN explanations".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from xaibench.engine.batch import Pixels, Targets
from xaibench.engine.batches import in_batches
from xaibench.engine.masks import BoxMasks
from xaibench.engine.network import ForwardNetwork, forward_network
from xaibench.engine.scores import masked_scores
from xaibench.engine.windows.flow import flow_of
from xaibench.engine.windows.passes import WindowPass
from xaibench.engine.windows.plan import WindowPlan, best_plan
from xaibench.engine.windows.reach import Reach, Span
from xaibench.models.base import Classifier
from xaibench.types import Space

# The maps of so many images are at hand at once that their windows fill a few batches, but of no
# more than a part of a batch: memory must depend on the batch alone.
_BATCHES_AHEAD = 4
_PART_OF_A_BATCH = 8


def window_scores(
    model: Classifier,
    images: Pixels,
    fills: Pixels,
    targets: Targets,
    masks: BoxMasks,
    space: Space = "prob",
) -> Float[Tensor, "batch mask"]:
    """Return the target's score of every image with each box hidden; see ``masked_scores``.

    Whole passes are made instead where recomputing saves less than the model's ``backend`` does,
    where the network's steps cannot be read or must be seen at work, and where images have
    different numbers of boxes. Windows run in the model's ``precision``, through eager PyTorch.

    Cost: counted as one forward pass a mask. The pass of each image as it is, whose maps the
    windows share, is counted for nobody, as the unmasked score is. Out of memory halves
    ``model.batch_size`` and goes on.
    """
    run = _Run(model, forward_network(model), space)
    with torch.inference_mode():
        passes = run.passes(images, masks)
        if passes is None:
            return masked_scores(model, images, fills, targets, masks, space)
        scores = torch.empty(len(images), int(masks.counts[0]), device=images.device)

        def score(part: slice) -> None:
            ahead = _BATCHES_AHEAD * model.batch_size * passes.per_pass / scores.shape[1]
            for some in _groups(part, min(math.ceil(ahead), model.batch_size // _PART_OF_A_BATCH)):
                run.score(passes, images[some], fills[some], targets[some], scores[some])

        in_batches(model, len(images), score)
    return scores


def _groups(part: slice, size: int) -> Iterator[slice]:
    """Yield the images of a part in groups, whose maps are at hand at once; a size of 0 is 1."""
    for first in range(part.start, part.stop, max(1, size)):
        yield slice(first, min(first + max(1, size), part.stop))


@dataclass(frozen=True)
class _Run:
    """Windows put into images that one network scores."""

    model: Classifier
    network: ForwardNetwork
    space: Space

    def passes(self, images: Pixels, masks: BoxMasks) -> WindowPass | None:
        """Return passes for these boxes; None where whole ones are to be made."""
        net, counts, batch_size = self.network.net, masks.counts.cpu(), self.model.batch_size
        if net is None or not len(counts) or counts.min() != counts.max() or counts.max() == 0:
            return None
        boxes = masks.boxes[: int(counts[0])].cpu()
        key = (tuple(images.shape[1:]), images.device, batch_size, boxes.numpy().tobytes())
        if net not in _PASSES or _PASSES[net][0] != key:
            plan = self._plan(net, boxes, tuple(images.shape[1:]))
            known = plan and WindowPass(plan, boxes.to(images.device))
            _PASSES[net] = (key, known)
        return _PASSES[net][1]

    def score(
        self,
        passes: WindowPass,
        images: Float[Tensor, "image channel height width"],
        fills: Float[Tensor, "image channel height width"],
        targets: Int[Tensor, " image"],
        scores: Float[Tensor, "image mask"],
    ) -> None:
        """Write the scores of a few images, whose maps are at hand at once, into ``scores``."""
        own, windows = passes.own_maps(self._ready(images), self._ready(fills)), scores.shape[1]

        def score_pairs(part: slice) -> None:
            # Pairs are sorted by image: the maps of only a few are in use.
            first, last = part.start // windows, (part.stop - 1) // windows
            pair = torch.arange(part.start, part.stop, device=scores.device)
            image, mask = pair // windows, pair % windows
            logits = passes.logits(own.of(slice(first, last + 1)), image - first, mask)
            self.model.passes.forward += len(pair)
            scores[image, mask] = self.model.read(logits.float(), targets[image], self.space)

        in_batches(self.model, scores.numel(), score_pairs, per_pass=passes.per_pass)

    def _plan(
        self, net: nn.Module, boxes: Int[Tensor, "mask 4"], shape: tuple[int, ...]
    ) -> WindowPlan | None:
        flow = flow_of(net)
        if flow is None:
            return None
        noise = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
        shapes = flow.shapes(net, self._ready(noise.to(self.model.device)))
        if shapes is None:
            return None
        top, bottom, left, right = boxes.T
        rows, columns = (
            Span.of_window(start, end, side)
            for start, end, side in ((top, bottom, shape[1]), (left, right, shape[2]))
        )
        model = self.model
        of_batch = (len(boxes), model.batch_size, model.device.type, model.speedup)
        return best_plan(flow, shapes, Reach(rows, columns), *of_batch)

    def _ready(
        self, images: Float[Tensor, "image channel height width"]
    ) -> Float[Tensor, "image channel height width"]:
        """Return images as the network itself takes them."""
        ready = self.network.normalised(images).contiguous(memory_format=torch.channels_last)
        return ready.bfloat16() if self.model.precision == "bf16" else ready


# Of each network the boxes that were last put into it: blocks of one run have the same ones.
_PASSES: WeakKeyDictionary[nn.Module, tuple[tuple, WindowPass | None]] = WeakKeyDictionary()
