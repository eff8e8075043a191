"""What a run explains: images of a split, the models that see them, and what those predict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from xaibench.config.run_config import RunConfig
from xaibench.engine.network import whole_passes
from xaibench.imaging.means import channel_mean
from xaibench.imaging.references import reference_images
from xaibench.progress import Progress
from xaibench.runs.fitting import Fitted, by_seed
from xaibench.runs.selection import (
    candidates,
    groups_of,
    same_images,
    select,
    too_few,
    too_few_at_most,
    with_targets,
)
from xaibench.store.predictions import prediction_table
from xaibench.store.schema import SEED
from xaibench.training.evaluate import predict_logits
from xaibench.types import VALIDATION, Data, Split


@dataclass(frozen=True, eq=False)
class Subject:
    """The images to explain as the models of one training seed see them.

    Attributes:
        split: the name of the one whose images are explained.
        fitted: the model, or one a label.
        predictions: a row for each image of the split.
        validation: likewise of the validation split, on which thresholds are chosen; None where
            the data set has none, or it is the explained one.
        items: a row for each image and target to explain; the index is the image's in the split.
        dataset_mean: of the training images, one a channel, in [0, 1].
        references: a few training images, the same for every training seed.
    """

    data: Data
    split: str
    fitted: tuple[Fitted, ...]
    predictions: pd.DataFrame
    validation: pd.DataFrame | None
    items: pd.DataFrame
    dataset_mean: np.ndarray
    references: np.ndarray

    @classmethod
    def of(
        cls, config: RunConfig, data: Data, fitted: tuple[Fitted, ...], progress: Progress
    ) -> Subject:
        """Predict the whole split, and the validation split; choose what to explain."""
        split = config.images.split
        predictions = predictions_of(fitted, data, split, progress)
        validation = _validation_of(fitted, data, split, progress)
        items = with_targets(predictions, config.target, data.classes)
        chosen = select(items, config.images, data.classes, config.seed)
        if len(fitted) > 1:  # a block has one model
            chosen = _by_target(chosen, data.classes)
        asked = config.images.count
        if asked != "all" and len(chosen) < asked:
            progress.say(f"images: only {len(chosen)} of the {asked} asked for are there")
        there = groups_of(candidates(items, config.images, data.classes)).nunique()
        drawn = groups_of(chosen).nunique()
        progress.say(f"images: {drawn} of {there} groups")
        few = too_few(drawn)
        if few and not too_few_at_most(config.images, data):  # else it was said at the start
            progress.say(few)
        mean = channel_mean(data.splits["train"], config.seed)
        references = reference_images(data.splits["train"], config.seed)
        return cls(data, split, fitted, predictions, validation, chosen, mean, references)

    def seen_by(self, fitted: tuple[Fitted, ...], target: str, progress: Progress) -> Subject:
        """Return the same images as the models of another training seed see them."""
        predictions = predictions_of(fitted, self.data, self.split, progress)
        # In the split's order first, as the seed alone would have them.
        items = same_images(self.items.sort_index(kind="stable"), predictions, target)
        if len(fitted) > 1:
            items = _by_target(items, self.data.classes)
        validation = _validation_of(fitted, self.data, self.split, progress)
        own = {"predictions": predictions, "validation": validation, "items": items}
        return replace(self, fitted=fitted, **own)

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


def _validation_of(
    fitted: Sequence[Fitted], data: Data, explained: str, progress: Progress
) -> pd.DataFrame | None:
    """Return what the models say of the validation split; None where it is explained itself."""
    if explained == VALIDATION or not len(data.splits.get(VALIDATION, ())):
        return None
    return predictions_of(fitted, data, VALIDATION, progress)


def _by_target(items: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    numbers = items["target"].map(classes.index)
    return items.iloc[np.argsort(numbers.to_numpy(), kind="stable")]


def predictions_of(
    fitted: Sequence[Fitted], data: Data, split: str, progress: Progress
) -> pd.DataFrame:
    """Return what the models say of every image of a split."""
    columns = []
    for each in fitted:
        title = f"Predicting {split}" + (f", {each.label}" if each.label else "")
        logits = predict_logits(
            each.model, data.splits[split], progress=progress, title=title, passes=whole_passes
        )
        columns.append(each.model.probabilities(logits).numpy())
    return prediction_table(data, split, np.concatenate(columns, axis=1))
