"""Passes of images with a window hidden that recompute only what the window reaches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, fx
from torch.nn import functional as F

from xaibench.engine.windows.patches import pasted, windowed
from xaibench.engine.windows.plan import WindowPlan

Padded = tuple[fx.Node, tuple[int, int, int, int], float]


@dataclass(frozen=True)
class OwnMaps:
    """What windows are put into: images and their fills, and the images' own maps.

    Attributes:
        sides: each image and its fill, normalised.
        maps: of each node that is read around patches, padded as it is read.
    """

    sides: Float[Tensor, "image 2 height width channel"]
    maps: dict[Padded, Float[Tensor, "image _ _ _"]]

    def of(self, images: slice) -> OwnMaps:
        """Return those of some of the images."""
        return OwnMaps(self.sides[images], {key: m[images] for key, m in self.maps.items()})


class WindowPass:
    """Runs a plan: patches where it says so, whole maps elsewhere.

    Args:
        boxes: the windows; see ``BoxMasks``.

    Attributes:
        per_pass: windows that take the memory of one pass of a whole image.
    """

    def __init__(self, plan: WindowPlan, boxes: Int[Tensor, "mask 4"]) -> None:
        self._flow, self._reach, self._sliding = plan.flow, plan.reach, plan.sliding
        self._boxes, self.per_pass = boxes, plan.per_pass
        self._window = plan.window.to(boxes.device)
        self._reads = {key: read.to(boxes.device) for key, read in plan.reads.items()}
        self._padded: dict[fx.Node, set[Padded]] = {}
        for (_, source), read in self._reads.items():
            self._padded.setdefault(source, set()).add((source, read.padding, read.value))

    def own_maps(
        self,
        clear: Float[Tensor, "image channel height width"],
        hidden: Float[Tensor, "image channel height width"],
    ) -> OwnMaps:
        """Return what windows of these images are put into; one pass, as far as patches go.

        Args:
            clear, hidden: the images and their fills, normalised.
        """
        flow, values, maps = self._flow, {}, {}
        sides = torch.stack([clear, hidden], dim=1).permute(0, 1, 3, 4, 2).contiguous()
        for node in [flow.image, *flow.steps]:
            if node in flow.moving and node not in self._reach:
                continue
            values[node] = clear if node is flow.image else flow.run(node, values.__getitem__)
            for key in self._padded.get(node, ()):
                # A copy even where nothing is padded: a later step may change its input in place.
                padded = F.pad(values[node], key[1], value=key[2])
                maps[key] = padded.permute(0, 2, 3, 1).contiguous()
            for done in flow.spent.get(node, ()):
                values.pop(done, None)
        return OwnMaps(sides, maps)

    def logits(
        self, own: OwnMaps, image: Int[Tensor, " pair"], mask: Int[Tensor, " pair"]
    ) -> Float[Tensor, "pair output"]:
        """Return the network's output for images with one window hidden.

        Args:
            image, mask: of each pair, among the images of ``own`` and among the windows.
        """
        flow = self._flow
        patch = windowed(own.sides, self._boxes, self._window, image, mask)
        values: dict[fx.Node, Any] = {flow.image: patch}
        wholes: dict[fx.Node, Tensor] = {}

        def read_by(node: fx.Node, source: fx.Node) -> Any:
            read = self._reads.get((node, source))
            if read is None:
                return values[source]
            if node not in self._reach and source in wholes:
                return wholes[source]
            maps = own.maps[source, read.padding, read.value]
            region = pasted(maps, values[source], read, image, mask)
            if node not in self._reach:
                wholes[source] = region
            return region

        for node in flow.steps:
            if node in self._sliding:
                values[node] = self._sliding[node].apply(read_by(node, node.all_input_nodes[0]))
            else:
                values[node] = flow.run(node, partial(read_by, node))
            for done in flow.spent[node]:
                values.pop(done, None)
                wholes.pop(done, None)
        return values[flow.steps[-1]]
