"""What a run explains: images of a split, the models that see them, and what those predict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from xaibench.config.run_config import RunConfig
from xaibench.imaging.means import channel_mean
from xaibench.progress import Progress
from xaibench.runs.fitting import Fitted, by_seed
from xaibench.runs.selection import same_images, select, with_targets
from xaibench.store.predictions import prediction_table
from xaibench.store.schema import SEED
from xaibench.training.evaluate import predict_logits
from xaibench.types import Data, Split


@dataclass(frozen=True, eq=False)
class Subject:
    """The images to explain as the models of one training seed see them.

    Attributes:
        split: the name of the one whose images are explained.
        fitted: the model, or one a label.
        predictions: a row for each image of the split.
        items: a row for each image and target to explain; the index is the image's in the split.
        dataset_mean: of the training images, one a channel, in [0, 1].
    """

    data: Data
    split: str
    fitted: tuple[Fitted, ...]
    predictions: pd.DataFrame
    items: pd.DataFrame
    dataset_mean: np.ndarray

    @classmethod
    def of(
        cls, config: RunConfig, data: Data, fitted: tuple[Fitted, ...], progress: Progress
    ) -> Subject:
        """Predict the whole split, and choose the images and targets to explain."""
        split = config.images.split
        predictions = predictions_of(fitted, data, split, progress)
        items = with_targets(predictions, config.target, data.classes)
        chosen = select(items, config.images, data.classes, config.seed)
        if len(fitted) > 1:  # a block has one model
            chosen = _by_target(chosen, data.classes)
        asked = config.images.count
        if asked != "all" and len(chosen) < asked:
            progress.say(f"images: only {len(chosen)} of the {asked} asked for are there")
        mean = channel_mean(data.splits["train"], config.seed)
        return cls(data, split, fitted, predictions, chosen, mean)

    def seen_by(self, fitted: tuple[Fitted, ...], target: str, progress: Progress) -> Subject:
        """Return the same images as the models of another training seed see them."""
        predictions = predictions_of(fitted, self.data, self.split, progress)
        # In the split's order first, as the seed alone would have them.
        items = same_images(self.items.sort_index(kind="stable"), predictions, target)
        if len(fitted) > 1:
            items = _by_target(items, self.data.classes)
        return replace(self, fitted=fitted, predictions=predictions, items=items)

    @property
    def seed(self) -> int:
        """The training seed."""
        return self.fitted[0].seed

    @property
    def records(self) -> Split:
        return self.data.splits[self.split]

    def about(self, config: RunConfig, run: str) -> Mapping[str, object]:
        """Return what is the same in every row of the run's tables."""
        return {
            "run": run,
            "dataset": self.data.name,
            "split": self.split,
            "model": getattr(config.model, "architecture", config.model.name),
            SEED: self.seed,
        }


def subjects_of(
    config: RunConfig, data: Data, fitted: Iterable[Fitted], progress: Progress
) -> tuple[Subject, ...]:
    """Return the subject of each training seed; what the first one predicts chooses the images."""
    own, *others = by_seed(fitted).values()
    first = Subject.of(config, data, own, progress)
    return first, *(first.seen_by(its, config.target, progress) for its in others)


def _by_target(items: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    numbers = items["target"].map(classes.index)
    return items.iloc[np.argsort(numbers.to_numpy(), kind="stable")]


def predictions_of(
    fitted: Sequence[Fitted], data: Data, split: str, progress: Progress
) -> pd.DataFrame:
    """Return what the models say of every image of a split."""
    columns = []
    for each in fitted:
        title = f"Predicting {each.label}" if each.label else "Predicting"
        logits = predict_logits(each.model, data.splits[split], progress=progress, title=title)
        columns.append(each.model.probabilities(logits).numpy())
    return prediction_table(data, split, np.concatenate(columns, axis=1))
