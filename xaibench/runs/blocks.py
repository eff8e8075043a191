"""From chosen images to batches: pixels, masks, superpixels and seeds on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
import torch

from xaibench.config.sections import SegmentOptions
from xaibench.engine import Batch
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier
from xaibench.randomness import image_seed
from xaibench.runs.rows import Block
from xaibench.segmentation.segmenter import Segmenter
from xaibench.segmentation.slic import Slic
from xaibench.training.evaluate import as_images, as_labels
from xaibench.types import Data


def block_size(asked: int | str, model: Classifier) -> int:
    """Return how many images a block has.

    ``auto``: 16 on a CPU, so that little is lost where a run is stopped; on a GPU as many as a
    batch holds, at most 256, so that one pass an image (CAM, Grad-CAM) fills it, too.
    """
    if asked != "auto":
        return asked
    return 16 if model.device.type == "cpu" else min(256, model.batch_size)


def blocks_of(items: pd.DataFrame, size: int, by_target: bool) -> list[pd.DataFrame]:
    """Return the items in blocks of at most ``size``; with ``by_target`` each of one target."""
    parts = [part for _, part in items.groupby("target", sort=False)] if by_target else [items]
    return [part.iloc[at : at + size] for part in parts for at in range(0, len(part), size)]


@dataclass(frozen=True, eq=False)
class BlockMaker:
    """What makes batches of a data set's images.

    Attributes:
        split: the name of the one whose images are explained.
        about: what is the same in every row: run, dataset, split, model, training_seed.
        dataset_mean: of the training images, one a channel.
        references: a few training images, the same for every block.
        shares: whether equal masked images of a block are passed once.
        seed: of the run.
    """

    data: Data
    split: str
    about: Mapping[str, object]
    dataset_mean: np.ndarray
    references: np.ndarray
    segments: SegmentOptions
    shares: bool
    seed: int
    device: torch.device
    segmenter: Segmenter

    def __call__(self, items: pd.DataFrame, explainers: Iterable[Explainer] = ()) -> Block:
        """Return the items as a batch on the device, with what each of its rows says.

        Args:
            items: columns image, group, target, p_target and, where there is one, label; the index
                is the image's index in the split.
            explainers: what will explain the block; segments of their own are begun here.
        """
        records, device = self.data.splits[self.split], self.device
        at = items.index.to_numpy()
        targets = items["target"].map(self.data.classes.index).to_numpy(copy=True)
        pixels = torch.from_numpy(np.ascontiguousarray(records.images(at)))
        # From page-locked memory a copy does not wait for the work that the GPU has yet to do.
        images = as_images(pixels.pin_memory() if device.type == "cuda" else pixels, device)
        seeds = torch.tensor([image_seed(self.seed, i) for i in items["image"]], device=device)
        superpixels = Slic(**self.segments.model_dump())
        own = (explainer.own_segmentation() for explainer in explainers)
        for segmentation in filter(None, (superpixels, *own)):
            self.segmenter.begin(images, seeds, segmentation)
        masks = records.masks(at, targets)
        batch = Batch(
            images=images,
            labels=as_labels(records.labels[at]).to(device),
            targets=torch.from_numpy(targets).to(device),
            ids=tuple(items["image"]),
            groups=tuple(items["group"]),
            masks={name: torch.from_numpy(mask).to(device) for name, mask in masks.items()},
            segments=self.segmenter.labels(images, seeds, superpixels),
            seeds=seeds,
            dataset_mean=torch.from_numpy(self.dataset_mean).to(device),
            references=as_images(torch.from_numpy(self.references), device),
            segmenter=self.segmenter,
            shares=self.shares,
        )
        columns = ["image", "group", "label", "target", "p_target"]
        rows = items.reindex(columns=columns).astype(object)
        rows = rows.where(rows.notna(), None).to_dict("records")
        return Block(batch, tuple(dict(self.about) | row for row in rows))


def made_ahead(makers: Iterable[Callable[[], Block]], device: torch.device) -> Iterator[Block]:
    """Yield each block in turn, made in a thread while a GPU works on the one before.

    On a CPU, whose cores are all at work already, each is made when it is asked for.
    """
    if device.type != "cuda":
        for make in makers:
            yield make()
        return
    left = iter(makers)
    with ThreadPoolExecutor(1) as thread:
        coming = [thread.submit(make) for make in islice(left, 1)]
        while coming:
            block = coming.pop().result()
            coming = [thread.submit(make) for make in islice(left, 1)]
            yield block
