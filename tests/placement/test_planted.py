"""Faults that were put into plugins are found, each by name and place."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from left import unlisted
from placing import PlacementError
from trials import numbers_there, places

from xaibench.checks.stage import Stage
from xaibench.engine import SharedMasks, masked_scores
from xaibench.errors import PluginError
from xaibench.explainers.base import Explainer
from xaibench.explainers.square_occlusion import SquareOcclusion
from xaibench.metrics.base import LocalisationMetric, MapMetric, Scores

HERE = "tests/placement/test_planted.py"


class Leaving(Explainer):
    """Sums the channels on the CPU."""

    name = "leaving"

    def attribute(self, model, batch):
        return batch.images.cpu().sum(1).to(batch.images.device)


def test_a_planted_cpu_is_found():
    _, waits = numbers_there(Leaving(), Stage(images=2))
    assert unlisted(places(waits, "cpu")) == {f"{HERE}:attribute"}
    assert "cpu of 6144 numbers at tests/placement/test_planted.py:attribute, line" in str(waits[0])


class Staying(Leaving):
    """Leaves its maps on the CPU."""

    name = "staying"

    def attribute(self, model, batch):
        return batch.images.cpu().sum(1)


def test_maps_that_stay_on_the_cpu_are_refused():
    with pytest.raises(PluginError, match="staying: maps on cpu, images on cuda:0"):
        numbers_there(Staying(), Stage(images=2))


class Misplaced(LocalisationMetric):
    """Weighs pixels by a ramp that it makes on the CPU."""

    name = "misplaced"

    def against(self, mask, maps, seeds):
        ramp = torch.linspace(0, 1, maps.shape[-1])
        return (maps * ramp * mask).flatten(1).sum(1)


def test_a_planted_tensor_of_the_cpu_is_found():
    with pytest.raises(PlacementError) as found:
        numbers_there(Misplaced(), Stage(images=2))
    assert str(found.value).startswith(
        "aten.mul.Tensor got tensors of cuda:0 and cpu (of shape (32,)) at "
        "tests/placement/test_planted.py:against, line "
    )


class Elsewhere(MapMetric):
    """Gives its values on the CPU."""

    name = "elsewhere"

    def score(self, model, batch, maps):
        return Scores({self.name: torch.tensor(maps.flatten(1).sum(1).tolist())})


def test_values_on_the_cpu_are_found():
    with pytest.raises(AssertionError, match="elsewhere gives elsewhere on the CPU"):
        numbers_there(Elsewhere(), Stage(images=2))


@dataclass(frozen=True)
class Asking(SquareOcclusion):
    """Asks for each window's score by itself."""

    name = "asking"

    def attribute(self, model, batch):
        found = super().attribute(model, batch)
        total = sum(row.sum().item() for row in found[0][:: self.stride])
        return found + total


def test_a_planted_item_in_a_loop_is_counted():
    asked = lambda stride: [
        wait
        for wait in numbers_there(Asking(window=16, stride=stride), Stage(images=2))[1]
        if wait.where.startswith(HERE)
    ]
    assert [len(asked(8)), len(asked(4))] == [4, 8]
    assert asked(8)[0].what == "item"


def test_a_mask_of_the_cpu_is_found_in_the_engine():
    class Choosing(Explainer):
        """Hands the engine fills that are on the CPU."""

        name = "choosing"

        def attribute(self, model, batch):
            masks = SharedMasks(batch.masks["evidence"][:1], torch.ones_like(batch.targets))
            fills = torch.zeros(batch.images.shape)
            scores = masked_scores(model, batch.images, fills, batch.targets, masks)
            return scores[:, :, None].expand(-1, *batch.images.shape[2:])

    with pytest.raises(PlacementError, match=r"at xaibench/engine/\w+\.py:\w+, line"):
        numbers_there(Choosing(), Stage(images=2))
