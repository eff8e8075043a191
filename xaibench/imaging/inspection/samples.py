"""Images drawn at random from a data set, with their labels and masks, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from xaibench.progress import Progress
from xaibench.types import Data, Images, Mask, Split


@dataclass(frozen=True, eq=False)
class Sample:
    """Some images of a data set.

    Attributes:
        table: one row an image: ``split``, ``index`` in it, ``id``, ``label`` as text.
        masks: name -> the union of the masks of each image's labels.
    """

    table: pd.DataFrame
    images: Images
    masks: dict[str, Bool[np.ndarray, "n height width"]]


def draw_sample(
    data: Data, count: int, seed: int, progress: Progress, *, masked: bool = False
) -> Sample:
    """Return at most ``count`` images drawn from all splits; a seed gives the same ones.

    Args:
        masked: only images that have a mask; there may be fewer than ``count``.
    """
    found: list[tuple[str, int, dict[str, Mask]]] = []
    everything = [(name, at) for name, split in data.splits.items() for at in range(len(split))]
    order = np.random.default_rng(seed).permutation(len(everything))
    order = order if masked else order[:count]
    with progress.stage("Drawing images", len(order)) as advance:
        for place in order:
            split, index = everything[place]
            shown = _masks(data.splits[split], index)
            if shown or not masked:
                found.append((split, index, shown))
            if len(found) == count:
                break
            advance(1)
    rows, images = [], [np.zeros((0, *data.size, data.channels), np.uint8)]
    for name, index, _ in found:
        split = data.splits[name]
        rows.append((name, index, str(split.ids[index]), label_text(data, split.labels[index])))
        images.append(split.images(np.array([index])))
    masks = [shown for *_, shown in found]
    empty = np.zeros(data.size, bool)
    names = dict.fromkeys(name for each in masks for name in each)
    return Sample(
        pd.DataFrame(rows, columns=["split", "index", "id", "label"]),
        np.concatenate(images[1:] or images),
        {name: np.stack([each.get(name, empty) for each in masks]) for name in names},
    )


def label_text(data: Data, label: np.generic | Float[np.ndarray, " labels"]) -> str:
    """Return an image's class, or its labels above 0, those below 1 with their value."""
    if np.ndim(label) == 0:
        return data.classes[int(label)]
    present = [
        name if value >= 1 else f"{name} {value:.2g}"
        for name, value in zip(data.classes, label, strict=True)
        if value > 0
    ]
    return ", ".join(present) or ("unknown" if np.isnan(label).all() else "none")


def _masks(split: Split, index: int) -> dict[str, Mask]:
    """Return the masks of an image that are not empty, united over its labels."""
    targets = _targets(split.labels[index])
    masks = split.masks(np.full(len(targets), index), targets)
    return {name: united for name, mask in masks.items() if (united := mask.any(axis=0)).any()}


def _targets(label: np.generic | Float[np.ndarray, " labels"]) -> Int[np.ndarray, " targets"]:
    if np.ndim(label) == 0:
        return np.array([int(label)])
    present = np.flatnonzero(np.nan_to_num(label) > 0)
    return present if len(present) else np.array([0])  # masks that hang on no label are there still
