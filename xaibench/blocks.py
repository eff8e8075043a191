"""From chosen images to batches: pixels, masks, superpixels and seeds on the device."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from xaibench.config import SegmentOptions
from xaibench.datasets.base import Data
from xaibench.randomness import image_seed
from xaibench.scoring import Block
from xaibench.segments import superpixels
from xaibench.training.evaluate import as_images, as_labels
from xaibench.types import Batch


def make_block(
    items: pd.DataFrame,
    data: Data,
    split: str,
    *,
    about: Mapping[str, object],
    dataset_mean: np.ndarray,
    segments: SegmentOptions,
    seed: int,
    device: torch.device,
) -> Block:
    """Return the items as a batch on the device, with what each of its rows says.

    Args:
        items: columns image, group, target, p_target and, where there is one, label; the index
            is the image's index in the split.
        about: what is the same in every row: run, dataset, split, model.
    """
    records = data.splits[split]
    at = items.index.to_numpy()
    targets = items["target"].map(data.classes.index).to_numpy(copy=True)
    images = as_images(torch.from_numpy(np.ascontiguousarray(records.images(at))), device)
    masks = records.masks(at, targets)
    batch = Batch(
        images=images,
        labels=as_labels(records.labels[at]).to(device),
        targets=torch.from_numpy(targets).to(device),
        ids=tuple(items["image"]),
        groups=tuple(items["group"]),
        masks={name: torch.from_numpy(mask).to(device) for name, mask in masks.items()},
        segments=superpixels(images, segments),
        seeds=torch.tensor([image_seed(seed, i) for i in items["image"]], device=device),
        dataset_mean=torch.from_numpy(dataset_mean).to(device),
    )
    columns = ["image", "group", "label", "target", "p_target"]
    rows = items.reindex(columns=columns).astype(object)
    rows = rows.where(rows.notna(), None).to_dict("records")
    return Block(batch, tuple(dict(about) | row for row in rows))
