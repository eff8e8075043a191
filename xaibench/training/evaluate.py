"""Reading images ahead of the model, its logits for a split, and what those are worth."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Literal, TypedDict

import numpy as np
import torch
from jaxtyping import Float, Shaped
from sklearn.metrics import roc_auc_score
from torch import Tensor

from xaibench.errors import UserError
from xaibench.models.base import Classifier
from xaibench.progress import Progress, SilentProgress
from xaibench.training.losses import Loss, loss_for
from xaibench.types import VALIDATION, Data, Images, Labels, Split

Monitor = Literal["accuracy", "auroc", "loss"]
FIGURES = ("loss", "accuracy", "auroc", "mae")
"""What a log says of training and validation images."""

_BLOCK = 256


class Figures(TypedDict):
    """What a model's logits are worth; NaN where a figure cannot be had.

    Attributes:
        loss: in [0, inf), as in training, with the weights of positives where it has them.
        accuracy: share of right answers in [0, 1], over all labels that are there; NaN for
            regression.
        auroc: area under the ROC curve in [0, 1]: of class 1 for two classes, else the mean
            over classes (one against the rest) or labels. NaN for regression.
        mae: mean absolute error of a regression, over all labels that are there, in [0, inf);
            NaN for any other head.
        skipped: the classes or labels that the AUROC leaves out, since the images hold only
            positives or only negatives of them.
    """

    loss: float
    accuracy: float
    auroc: float
    mae: float
    skipped: tuple[str, ...]


class InMemory(Split):
    """A split whose images have been read once and for all."""

    def __init__(self, split: Split, images: Images) -> None:
        self.ids, self.groups, self.labels = split.ids, split.groups, split.labels
        self._images = images

    def images(self, indices: np.ndarray) -> Images:
        return self._images[indices]


def in_memory(split: Split, at_most: int, progress: Progress, title: str) -> Split:
    """Return the split with its images in memory if they take ``at_most`` bytes, else as it is."""
    if isinstance(split, InMemory) or split.images(np.arange(1)).nbytes * len(split) > at_most:
        return split
    blocks = []
    with progress.stage(title, len(split)) as advance:
        for start in range(0, len(split), _BLOCK):
            blocks.append(split.images(np.arange(start, min(start + _BLOCK, len(split)))))
            advance(len(blocks[-1]))
    return InMemory(split, np.concatenate(blocks))


def read_ahead(
    split: Split, batches: Iterable[np.ndarray], pin: bool = False, ahead: int = 2
) -> Iterator[Shaped[Tensor, "batch height width channel"]]:
    """Yield the images of each batch of indices, read in a thread up to ``ahead`` batches early.

    Args:
        pin: put them in page-locked memory, from which a GPU copies without waiting.
    """

    def read(indices: np.ndarray) -> Tensor:
        # Copied: torch warns of arrays that a split may hand out read-only.
        images = torch.tensor(split.images(indices))
        return images.pin_memory() if pin else images

    left = iter(batches)
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(read, b) for b in islice(left, ahead))
        while waiting:
            block = waiting.popleft().result()
            waiting.extend(pool.submit(read, b) for b in islice(left, 1))
            yield block


def as_images(
    block: Shaped[Tensor, "batch height width channel"], device: torch.device
) -> Float[Tensor, "batch channel height width"]:
    """Return what a split gave as float32 images in [0, 1] on the device, in channels_last."""
    block = block.to(device, non_blocking=True)
    if block.dtype == torch.uint8:
        # Only after the copy: a quarter of the bytes cross the bus.
        block = block.float() / 255
    # Height, width, channel in memory is channels_last already; only the view changes.
    return block.float().permute(0, 3, 1, 2)


def as_labels(labels: Labels) -> Shaped[Tensor, "n *labels"]:
    """Return labels as int64, or float32 where a label may be missing (NaN) or continuous."""
    dtype = torch.float32 if np.issubdtype(labels.dtype, np.floating) else torch.int64
    return torch.tensor(labels, dtype=dtype)


def predict_logits(
    model: Classifier,
    split: Split,
    indices: np.ndarray | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    title: str = "Predicting",
    passes: Callable[[Classifier], Callable[[Tensor], Tensor]] = lambda model: model,
) -> Float[Tensor, "n output"]:
    """Return the logits of a split's images, float32 on the CPU; the model is left as found.

    Args:
        indices: which images, in any order; all of them if None.
        batch_size: the model's own if None.
        progress: shows a stage of ``len(indices)`` units under ``title``.
        passes: gives what makes logits of images in [0, 1], of the model in evaluation mode.
    """
    indices = np.arange(len(split)) if indices is None else np.asarray(indices)
    size = batch_size or model.batch_size
    batches = [indices[start : start + size] for start in range(0, len(indices), size)]
    blocks = read_ahead(split, batches, pin=model.device.type == "cuda")
    logits = []
    stage = (progress or SilentProgress()).stage(title, len(indices))
    with stage as advance, closing(blocks), model.as_found(), torch.inference_mode():
        logits_of = passes(model.eval())
        for block in blocks:
            logits.append(logits_of(as_images(block, model.device)).float())
            advance(len(block))
    # Joined outside inference mode, so that it is a normal tensor, which autograd may use.
    return torch.cat(logits).cpu()


def figures(
    model: Classifier,
    logits: Float[Tensor, "n output"],
    labels: Shaped[Tensor, "n *labels"],
    loss: Loss | None = None,
) -> Figures:
    """Return what logits are worth against the true labels; never an invented figure.

    Args:
        loss: the head's own, without weights, if None.
    """
    logits, labels = logits.cpu(), labels.cpu()
    if not logits.isfinite().all():
        none = dict.fromkeys(FIGURES, math.nan)
        return Figures(**none, skipped=model.classes)
    auroc, skipped = _auroc(model, logits, labels)
    return Figures(
        loss=_loss(loss or loss_for(model.head), logits, labels),
        accuracy=_accuracy(model, logits, labels),
        auroc=auroc,
        mae=_mae(model, logits, labels),
        skipped=skipped,
    )


def worth(model: Classifier, data: Data) -> dict[str, float | None]:
    """Return the figures of a model on the validation images; None where one cannot be had."""
    split = data.splits.get(VALIDATION)
    if split is None or len(split) == 0:
        return dict.fromkeys(FIGURES)
    found = figures(model, predict_logits(model, split), as_labels(split.labels))
    return {name: found[name] if math.isfinite(found[name]) else None for name in FIGURES}


def check_monitor(model: Classifier, labels: Shaped[Tensor, "n *labels"], monitor: Monitor) -> None:
    """Raise if labels cannot give the monitored figure: before the first epoch, not after it."""
    outputs = 1 if model.head == "single_logit" else len(model.classes)
    found = figures(model, torch.zeros(len(labels), outputs), labels)
    if not math.isnan(found[monitor]):
        return
    if model.head == "regression" and monitor != "loss":
        raise UserError(f"training.monitor: regression has no {monitor}; use monitor: loss")
    known = "no label is known"
    if found["skipped"]:
        known = f"they hold only positives or only negatives of {', '.join(found['skipped'])}"
    raise UserError(
        f"training.monitor: the {len(labels)} validation images give no {monitor}, since {known}; "
        "use another monitor or a larger validation split"
    )


def better(monitor: Monitor, value: float, best: float) -> bool:
    """Say whether a figure beats the best so far (NaN: none yet); a tie does not."""
    if math.isnan(best):
        return True
    return value < best if monitor == "loss" else value > best


def _loss(loss: Loss, logits: Tensor, labels: Tensor) -> float:
    if labels.is_floating_point() and labels.isnan().all():
        return math.nan
    return float(loss(logits.double(), labels))


def _mae(model: Classifier, logits: Tensor, labels: Tensor) -> float:
    if model.head != "regression":
        return math.nan
    return float((logits.double() - labels.reshape(logits.shape).double()).abs().nanmean())


def _accuracy(model: Classifier, logits: Tensor, labels: Tensor) -> float:
    if model.head == "regression":
        return math.nan
    if model.head == "softmax":
        return float((logits.argmax(1) == labels).double().mean())
    labels = labels.reshape(logits.shape).double()
    right = (logits > 0) == (labels == 1)
    # The mean of nothing is NaN, which is what a set without labels deserves.
    return float(right[~labels.isnan()].double().mean())


def _auroc(model: Classifier, logits: Tensor, labels: Tensor) -> tuple[float, tuple[str, ...]]:
    if model.head == "regression":
        return math.nan, ()
    names, scores, truth = _one_against_rest(model, logits.double(), labels)
    areas, skipped = [], []
    for name, score, true in zip(names, scores.T.numpy(), truth.T.numpy(), strict=True):
        present = ~np.isnan(true)
        if len(np.unique(true[present])) < 2:
            skipped.append(name)
        else:
            areas.append(roc_auc_score(true[present], score[present]))
    return float(np.mean(areas)) if areas else math.nan, tuple(skipped)


def _one_against_rest(
    model: Classifier, logits: Float[Tensor, "n output"], labels: Shaped[Tensor, "n *labels"]
) -> tuple[tuple[str, ...], Float[Tensor, "n curve"], Float[Tensor, "n curve"]]:
    """Return names, scores and 0/1/NaN truths, a column for each ROC curve."""
    if model.head == "multilabel":
        return model.classes, logits, labels.double()
    if model.head == "single_logit":
        return model.classes[1:], logits, labels.reshape(-1, 1).double()
    if len(model.classes) == 2:
        # Differences of logits rank as probabilities do, without the ties of saturated ones.
        return model.classes[1:], logits[:, 1:] - logits[:, :1], labels[:, None].double()
    rest = labels[:, None] == torch.arange(len(model.classes))
    return model.classes, logits.softmax(1), rest.double()
