"""Which steps of a network are done on patches around a window, and what that saves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from math import prod

from torch import fx, nn

from xaibench.engine.windows.flow import Flow, Shapes
from xaibench.engine.windows.locality import Sliding, pointwise, sliding_of
from xaibench.engine.windows.patches import Read
from xaibench.engine.windows.reach import Placement, Reach, Slide

_STILL = (Slide(), Slide())
# What it takes to read and write one value, and to start the small steps of one read, in the
# multiply-adds of a convolution that take as long: rough figures, the second ones for a GPU.
_MOVE = 30
_START = {"cpu": 3e6, "cuda": 1e9}
# Recomputing patches has to save at least so much of a whole pass.
_GAIN = 0.1
# Windows that are done in the memory of one pass: more are no faster.
_MOST = 8
_SHARES = (0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class WindowPlan:
    """Steps on patches where windows reach a small part of a map, on whole maps from there on.

    Attributes:
        flow: the network.
        shapes: of every tensor in a pass of one image.
        reach: of the nodes of which only patches are made, the images among them.
        sliding: how those of them slide that do.
    """

    flow: Flow
    shapes: Shapes
    reach: dict[fx.Node, Reach]
    sliding: dict[fx.Node, Sliding]

    @property
    def window(self) -> Placement:
        """Where patches of the images lie."""
        return Placement.of_patches(self.reach[self.flow.image], _STILL)

    def below(self, share: float) -> WindowPlan:
        """Return the plan with whole maps wherever patches cover more than a share of the map."""
        kept: dict[fx.Node, Reach] = {}
        for node, reach in self.reach.items():
            if reach.share <= share and self._sources(node) <= kept.keys():
                kept[node] = reach
        sliding = {node: s for node, s in self.sliding.items() if node in kept}
        return WindowPlan(self.flow, self.shapes, kept, sliding)

    @cached_property
    def reads(self) -> dict[tuple[fx.Node, fx.Node], Read]:
        """How (reader, source) reads a source of patches; what reads them as they are is not in."""
        reads = {}
        for node in self.flow.steps:
            for source in self._sources(node) & self.reach.keys():
                read = self._read(node, source)
                if not read.patch.equals(read.region):
                    reads[node, source] = read
        return reads

    @cached_property
    def per_pass(self) -> int:
        """How many windows take the memory of one pass of a whole image; 1 to ``_MOST``.

        The largest map of each decides: what is on patches shrinks the largest maps of a network.
        """
        whole = {node: prod(shape) for node, shape in self.shapes.items()}
        share = {node: reach.share for node, reach in self.reach.items()}
        made = (values * share.get(node, 1.0) for node, values in whole.items())
        read = (self._values(source, read) for (_, source), read in self.reads.items())
        return int(min(_MOST, max(1, max(whole.values()) // max(*made, *read))))

    def cost(self, masks: int, batch_size: int, device: str) -> float:
        """Return about what one window's score takes, in multiply-adds.

        Args:
            masks: windows of an image, which share the pass of the image itself.
            batch_size: passes of whole images that are done together.
            device: its type; ``cpu`` or ``cuda``.
        """
        steps = ((node, self._step_cost(node)) for node in self.flow.steps)
        total = 0.0
        for node, cost in steps:
            done = self.reach[node].share if node in self.reach else 1.0
            total += cost * (done + (node in self.reach) / masks)
        for (_, source), read in self.reads.items():
            started = _START.get(device, _START["cuda"]) / (batch_size * self.per_pass)
            total += _MOVE * self._values(source, read) + started
        return total

    def _values(self, source: fx.Node, read: Read) -> int:
        return self.shapes[source][1] * read.region.height * read.region.width

    def _sources(self, node: fx.Node) -> set[fx.Node]:
        return self.flow.moving.intersection(node.all_input_nodes)

    def _read(self, node: fx.Node, source: fx.Node) -> Read:
        reach = self.reach[source]
        slides, value, padding = _STILL, 0.0, (0, 0, 0, 0)
        if node not in self.reach:
            region = Placement.of_map(reach)
        elif node in self.sliding:
            slides, value = self.sliding[node].slides, self.sliding[node].value
            region = Placement.read_for(self.reach[node], slides)
            sides = zip(slides, self.shapes[source][2:], self.shapes[node][2:], strict=True)
            after = [max(0, s.needed(made) - side - s.before) for s, side, made in sides]
            padding = (slides[1].before, after[1], slides[0].before, after[0])
        else:
            region = Placement.read_for(self.reach[node], slides)
        return Read(padding, value, Placement.of_patches(reach, slides), region)

    def _step_cost(self, node: fx.Node) -> float:
        """Return what a step on whole maps takes, in multiply-adds."""
        module = self.flow.modules.get(node)
        if node not in self.shapes or node not in self.flow.moving or type(module) is nn.Identity:
            return 0.0
        values = prod(self.shapes[node])
        weights = module.weight[0].numel() if isinstance(module, nn.Conv2d | nn.Linear) else 0
        return float(values * (weights + _MOVE))


def best_plan(
    flow: Flow,
    shapes: Shapes,
    window: Reach,
    masks: int,
    batch_size: int,
    device: str,
    speedup: float = 1.0,
) -> WindowPlan | None:
    """Return the plan of the lowest cost; None where whole passes cost about as little.

    Args:
        shapes: of every tensor in a pass of one image.
        window: what each window reaches of the image itself.
        masks, batch_size, device: see ``WindowPlan.cost``.
        speedup: of a whole pass through the model's backend; windows run through eager PyTorch.
    """
    local = local_steps(flow, shapes, window)
    plans = [local.below(share) for share in _SHARES]
    cost = lambda plan: plan.cost(masks, batch_size, device)
    best = min(plans, key=cost)
    return best if cost(best) * speedup <= (1 - _GAIN) * cost(local.below(0.0)) else None


def local_steps(flow: Flow, shapes: Shapes, window: Reach) -> WindowPlan:
    """Return the plan with patches of every map that can be made of patches."""
    reach, sliding = {flow.image: window}, {}
    for node in flow.steps:
        module = flow.modules.get(node)
        sources = flow.moving.intersection(node.all_input_nodes)
        if not sources or not sources <= reach.keys() or len(shapes.get(node, ())) != 4:
            continue
        first, outputs = next(iter(sources)), shapes[node][2:]
        slide = sliding_of(module, shapes[first][2:], outputs)
        if slide is not None:
            sliding[node] = slide
            reach[node] = reach[first].through(slide.slides, outputs)
        elif pointwise(node, module) and _aligned(flow, shapes, node):
            reach[node] = reduce(Reach.joined, (reach[source] for source in sources))
    return WindowPlan(flow, shapes, reach, sliding)


def _aligned(flow: Flow, shapes: Shapes, node: fx.Node) -> bool:
    """Say whether all that a step reads is as large as what it makes, or one value a channel."""
    for source in node.all_input_nodes:
        shape = shapes.get(source, ())
        if source in flow.moving and shape[2:] != shapes[node][2:]:
            return False
        if source not in flow.moving and set(shape[-2:]) > {1}:
            return False
    return True
