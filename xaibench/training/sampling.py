"""Which training images a step takes. Imports no torch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from xaibench.errors import UserError
from xaibench.randomness import image_seed
from xaibench.types import Head, Labels

Rows = Int[np.ndarray, " batch"]


def balanced(labels: Labels, head: Head) -> Float[np.ndarray, " n"]:
    """Return each image's probability to be drawn: 1 / (classes * images of its class).

    The class is the label of a softmax; of any other head whether the label is at least 0.5. A
    label that is NaN is never drawn.
    """
    columns = labels.reshape(len(labels), -1)
    if columns.shape[1] != 1:
        raise UserError(
            f"training.sampling: balanced needs one label an image, and there are "
            f"{columns.shape[1]}; use sampling: uniform with pos_weight: balanced, or a model for "
            "each label"
        )
    label = columns[:, 0]
    known = ~np.isnan(label)
    if not known.any():
        raise UserError("training.sampling: balanced has no label to draw from; all are missing")
    classes = label if head == "softmax" else label >= 0.5
    weight = np.zeros(len(label))
    names, place, counts = np.unique(classes[known], return_inverse=True, return_counts=True)
    weight[known] = 1 / (len(names) * counts[place])
    return weight / weight.sum()


class Order:
    """The batches of all epochs, each a function of the seed and its step.

    ``uniform`` takes each image once an epoch; ``balanced`` draws as many with replacement.
    """

    def __init__(
        self, seed: int, batch_size: int, probability: Float[np.ndarray, " n"] | None, images: int
    ) -> None:
        self.seed, self.batch_size, self.images = seed, batch_size, images
        self.probability = probability
        self._epoch = lru_cache(1)(self._drawn)

    def _drawn(self, epoch: int) -> Rows:
        generator = np.random.default_rng(image_seed(self.seed, f"order/{epoch}"))
        if self.probability is None:
            return generator.permutation(self.images)
        return generator.choice(self.images, self.images, p=self.probability)

    def batch(self, epoch: int, at: int) -> Rows:
        """Return the images of an epoch's batch number ``at``, both from 0."""
        return self._epoch(epoch)[self._places(at)]

    def draws(self, epoch: int, at: int) -> Rows:
        """Return a number for each image of that batch that no other draw of the epoch has.

        The image's own index where it is drawn once; else its place in the epoch, so that an image
        drawn twice is augmented in two ways.
        """
        if self.probability is None:
            return self.batch(epoch, at)
        return np.arange(self.images)[self._places(at)]

    def _places(self, at: int) -> slice:
        return slice(at * self.batch_size, (at + 1) * self.batch_size)
