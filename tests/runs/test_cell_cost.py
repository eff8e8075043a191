"""What a cell says of its cost: passes of the model and the twin, seconds, memory, hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import costs as memory
from xaibench.explainers.base import Explainer
from xaibench.metrics.base import ComparisonMetric, ImageMetric, MapMetric, Scores
from xaibench.runs.rows import Block
from xaibench.runs.scoring import Scorer
from xaibench.store.cells import Cell
from xaibench.store.provenance import hardware
from xaibench.store.schema import TIMINGS

IMAGES = 4
ABOUT = {"run": "r", "dataset": "toy", "split": "test", "model": "toy", "label": "a"}
ABOUT |= {"training_seed": 0}


@dataclass(frozen=True)
class Gradient(Explainer):
    """Three passes forward, one backward."""

    name: ClassVar[str] = "gradient"

    def attribute(self, model, batch):
        images = batch.images.clone().requires_grad_()
        model.score(images, batch.targets).sum().backward()
        for _ in range(2):
            model.logits(batch.images)
        return images.grad.sum(1)


@dataclass(frozen=True)
class Passes(MapMetric):
    """A number of passes, whatever the map."""

    name: ClassVar[str] = "passes"
    higher_is_better: ClassVar[None] = None
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    count: int = 5

    def score(self, model, batch, maps):
        for _ in range(self.count):
            model.logits(batch.images)
        return Scores({"passes": maps.flatten(1).mean(1)})


@dataclass(frozen=True)
class Same(ComparisonMetric):
    """The difference of two maps' means."""

    name: ClassVar[str] = "same"
    higher_is_better: ClassVar[None] = None
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def value_names(self, masks):
        return ["same"]

    def others(self, model, twin, seed):
        return {"twin": twin}

    def compare(self, model, others, batch, maps, remake):
        twin_maps = remake(others["twin"], batch)
        return Scores({"same": (maps - twin_maps).flatten(1).mean(1)})


@dataclass(frozen=True)
class Bright(ImageMetric):
    """The mean of an image, after two passes."""

    name: ClassVar[str] = "bright"
    higher_is_better: ClassVar[None] = None
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def value_names(self, masks):
        return ["bright"]

    def score_images(self, model, batch):
        for _ in range(2):
            model.logits(batch.images)
        return Scores({"bright": batch.images.mean((1, 2, 3))})


@pytest.fixture
def block():
    batch = toy_batch(images=IMAGES)
    own = lambda i: {"image": batch.ids[i], "group": batch.groups[i], "target": "a"}
    return Block(batch, tuple(ABOUT | own(i) | {"p_target": 0.7} for i in range(IMAGES)))


def timings_of(block, metrics, explainers=("gradient",), twin=None):
    cells = {Cell(name, 0): Gradient() for name in explainers}
    done = Scorer(toy_model(), metrics, "slic", twin).score_cells(cells, block)
    return [cell.timing for cell in done]


@pytest.mark.parametrize(("twin", "more"), [(None, (0, 0)), (toy_model(), (3, 1))])
def test_a_cell_counts_explaining_and_scoring_apart(block, twin, more):
    metrics = {"passes": Passes()} | ({"same": Same()} if twin else {})
    (timing,) = timings_of(block, metrics, twin=twin)
    assert set(timing) == set(TIMINGS.names)
    assert (timing["explain_forward"], timing["explain_backward"]) == (3 * IMAGES, IMAGES)
    wanted = ((Passes().count + more[0]) * IMAGES, more[1] * IMAGES)
    assert (timing["score_forward"], timing["score_backward"]) == wanted
    assert min(timing["explain_seconds"], timing["score_seconds"]) > 0
    assert timing["device"] == hardware("cpu", torch.get_num_threads())


def test_what_passes_ran_through_is_told_with_their_time(block):
    model = toy_model()
    model.backend = "inductor"
    done = Scorer(model, {"passes": Passes()}, "slic").score_cells(
        {Cell("g", 0): Gradient()}, block
    )
    told = f"passes through torch {torch.__version__} (inductor)"
    assert done[0].timing["device"].endswith(told)


def test_what_scoring_several_explainers_cost_is_shared_among_them(block):
    one, two = timings_of(block, {"passes": Passes()}, ["one", "two"])
    assert one["score_forward"] == two["score_forward"] == Passes().count * IMAGES
    assert one["score_seconds"] == two["score_seconds"] > 0


def test_a_cell_of_images_has_only_scoring_to_tell(block):
    model = toy_model()
    timing = Scorer(model, {"bright": Bright()}, "slic").score_images(Cell(None, 0), block).timing
    explaining = {name for name in TIMINGS.names if name.startswith("explain")}
    assert set(timing) == set(TIMINGS.names) - explaining
    assert (timing["score_forward"], timing["score_backward"]) == (2 * IMAGES, 0)


def test_peaks_are_those_of_the_two_parts(block, monkeypatch):
    peaks = iter([100, 200, 300])
    monkeypatch.setattr(memory, "_reset_resident", lambda: True)
    monkeypatch.setattr(memory, "_peak_resident", lambda: next(peaks))
    (cell,) = timings_of(block, {"passes": Passes()})
    images = Scorer(toy_model(), {"bright": Bright()}, "slic").score_images(Cell(None, 0), block)
    assert cell["explain_peak_bytes"] == 100
    assert cell["score_peak_bytes"] == 200
    assert images.timing["score_peak_bytes"] == 300
