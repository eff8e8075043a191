"""Occlusion by a sliding window, through captum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from captum.attr import Occlusion as Peer
from pydantic import PositiveInt

from xaibench.engine import Batch, Maps, Pixels, fill_images
from xaibench.engine.bounds import check_square
from xaibench.errors import UserError
from xaibench.explainers.captum.base import Attributions, RegionAttribution, score_function
from xaibench.models.base import Classifier, PassCount
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Occlusion(RegionAttribution):
    """Drop of the score where a sliding window hides the image, overlaps averaged, signed.

    Windows of ``window`` pixels (of the image's side where it is smaller) start at multiples of
    ``stride``; the last ones are cut at the border. captum has no default window, and hides by
    black. Cost: one pass a window, and one. Source: Zeiler and Fergus 2014, "Visualizing and
    understanding convolutional networks", section 4.2.
    """

    window: PositiveInt = 16
    stride: PositiveInt = 8

    def validate(self) -> None:
        if self.stride > self.window:
            raise UserError(
                f"{self.name}: stride {self.stride} is larger than window {self.window}; make it "
                "at most the window, so that every pixel is hidden once"
            )

    def check(self, model: Classifier) -> None:
        check_square("window", self.window, model.input_shape[1:])

    def _window(self, side: int) -> tuple[int, int, int]:
        """Return a window's size, its stride and how many there are along one side."""
        window = min(self.window, side)
        stride = min(self.stride, window)
        return window, stride, 1 - (window - side) // stride

    def cost(self, model: Classifier, batch: Batch) -> PassCount:
        rows, columns = (self._window(side)[2] for side in batch.images.shape[2:])
        return PassCount(len(batch) * (rows * columns + 1), 0)

    def on_linear_model(self, weights: Pixels, batch: Batch) -> Maps:
        each = (weights * (batch.images - fill_images(batch, self.baseline))).sum(1)
        rows, columns = (self._covers(side).to(each) for side in each.shape[1:])
        drops = rows.T @ (rows @ each @ columns.T) @ columns
        return drops / torch.outer(rows.sum(0), columns.sum(0))

    def _covers(self, side: int) -> torch.Tensor:
        window, stride, count = self._window(side)
        starts = torch.arange(count)[:, None] * stride
        return (torch.arange(side) >= starts) & (torch.arange(side) < starts + window)

    def attributions(self, model: Classifier, batch: Batch) -> Attributions:
        channels, height, width = batch.images.shape[1:]
        (tall, down, _), (wide, across, _) = self._window(height), self._window(width)
        return Peer(score_function(model, self.space)).attribute(
            batch.images,
            sliding_window_shapes=(channels, tall, wide),
            strides=(channels, down, across),
            baselines=fill_images(batch, self.baseline),
            additional_forward_args=(batch.targets,),
            perturbations_per_eval=model.batch_size,
        )
