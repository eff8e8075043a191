"""Which images are explained, and for which target."""

from __future__ import annotations

import numpy as np
import pandas as pd

from xaibench.config.sections import ConfidenceBand, ImageOptions
from xaibench.errors import UserError, did_you_mean
from xaibench.randomness import image_seed
from xaibench.store.predictions import outcomes, target_labels
from xaibench.types import MIN_GROUPS, Data


def with_targets(predictions: pd.DataFrame, target: str, classes: tuple[str, ...]) -> pd.DataFrame:
    """Return a row for each image and target to explain, with ``target`` and ``p_target``.

    Args:
        predictions: columns image, group, label, predicted, and ``p_CLASS`` for each class; for
            several labels or regression ``label_CLASS`` instead of label.
        target: ``predicted``, ``label``, or a class. Of several labels, ``label`` gives a row for
            each positive one.
    """
    if target == "predicted":
        items = predictions.assign(target=predictions["predicted"])
    elif target in classes:
        items = predictions.assign(target=target)
    elif target != "label":
        raise UserError(f"target: {target!r} is no target{did_you_mean(target, _targets(classes))}")
    elif "label" in predictions:
        items = predictions.assign(target=predictions["label"])
    else:
        items = pd.concat(
            [predictions[predictions[f"label_{c}"] == 1].assign(target=c) for c in classes]
        ).sort_index(kind="stable")
    return _with_p(items)


def same_images(items: pd.DataFrame, predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return items as another model sees them, in their order: with its predictions.

    The images stay, and their targets too, but for ``predicted``: that is what the other model
    predicts.

    Args:
        items: of the first model; the index is the image's in ``predictions``.
        target: as ``with_targets`` takes it.
    """
    rows = predictions.loc[items.index]
    told = rows["predicted"] if target == "predicted" else items["target"]
    return _with_p(rows.assign(target=told.to_numpy()))


def _with_p(items: pd.DataFrame) -> pd.DataFrame:
    """Add ``p_target``, the output for the target."""
    p_target = [row[f"p_{row['target']}"] for row in items.to_dict("records")]
    return items.assign(p_target=p_target)


def check_images(options: ImageOptions, target: str, data: Data) -> None:
    """Raise UserError for a split, target or class that the data set has not."""
    if options.split not in data.splits:
        hint = did_you_mean(options.split, data.splits)
        raise UserError(f"images.split: {data.name} has no split {options.split!r}{hint}")
    if target not in _targets(data.classes):
        hint = did_you_mean(target, _targets(data.classes))
        raise UserError(f"target: {target!r} is no target of {data.name}{hint}")
    for name in options.classes:
        if name not in data.classes:
            hint = did_you_mean(name, data.classes)
            raise UserError(f"images.classes: {data.name} has no class {name!r}{hint}")


def _targets(classes: tuple[str, ...]) -> list[str]:
    return ["predicted", "label", *classes]


def select(
    items: pd.DataFrame, options: ImageOptions, classes: tuple[str, ...], seed: int
) -> pd.DataFrame:
    """Return the items that ``options`` choose, in their old order.

    A draw is spread over the groups: it takes one item of each before it takes a second of any.
    In a group the images with the smallest seeds of their own come first, and the groups come in
    the order of their smallest, so a larger draw holds a smaller one, and adding images to the
    split moves few. Each band of confidence is such a draw.
    """
    chosen = candidates(items, options, classes)
    lottery = chosen["image"].map(lambda image: image_seed(seed, f"select/{image}"))
    # By place: an image that is there for several targets has its index several times.
    by_lot = chosen.iloc[lottery.to_numpy().argsort(kind="stable")]
    if options.confidence:
        by_lot = pd.concat([_band(by_lot, band) for band in options.confidence])
    elif options.count != "all":
        by_lot = _spread(by_lot).head(options.count)
    if by_lot.empty:
        raise UserError(
            f"images: none of the {len(items)} candidates of split {options.split!r} is left by "
            "`outcome`, `classes` and `confidence`; loosen them"
        )
    # An image may be there for several targets, but overlapping bands draw an item once.
    once = ~by_lot.assign(at=by_lot.index).duplicated(["at", "target"])
    return by_lot[once].sort_index(kind="stable")


def candidates(
    items: pd.DataFrame, options: ImageOptions, classes: tuple[str, ...]
) -> pd.DataFrame:
    """Return the items that ``outcome`` and ``classes`` leave, from which the draw is made."""
    chosen = items
    if options.outcome != "any":
        right = outcomes(chosen)
        chosen = chosen[right.eq(options.outcome == "correct").fillna(False)]
    if options.classes:
        for name in options.classes:
            if name not in classes:
                raise UserError(f"images.classes: no class {name!r}{did_you_mean(name, classes)}")
        chosen = chosen[_has_label(chosen, options.classes)]
    return chosen


def groups_of(items: pd.DataFrame) -> pd.Series:
    """Return the patient or slide of each item; the image itself where none is known."""
    return items["group"].astype(object).fillna(items["image"])


def too_few(groups: int) -> str | None:
    """Return what is said of so few groups that nothing can be tested; None of enough."""
    if groups >= MIN_GROUPS:
        return None
    return (
        f"images: only {groups} group{'s' * (groups != 1)}: too few to test ({MIN_GROUPS} are "
        "needed); nothing will be marked"
    )


def too_few_at_most(options: ImageOptions, data: Data) -> str | None:
    """Return ``too_few`` of the most groups that a draw can have, before any model has a say."""
    there = len(set(data.splits[options.split].groups))
    drawn = options.count
    if options.confidence:
        drawn = sum(band.count for band in options.confidence)
    return too_few(there if drawn == "all" else min(there, drawn))


def _spread(by_lot: pd.DataFrame) -> pd.DataFrame:
    """Return the items in rounds: the first of each group, then the second of each, and so on."""
    group, _ = pd.factorize(groups_of(by_lot))  # numbered as they first come
    turn = by_lot.groupby(group).cumcount().to_numpy()
    return by_lot.iloc[np.lexsort((group, turn))]


def _band(by_lot: pd.DataFrame, band: ConfidenceBand) -> pd.DataFrame:
    inside = (by_lot["p_target"] >= band.low) & (by_lot["p_target"] < band.high)
    return _spread(by_lot[inside]).head(band.count)


def _has_label(items: pd.DataFrame, classes: tuple[str, ...]) -> pd.Series:
    if "label" in items:
        return items["label"].isin(classes)
    return items["target"].isin(classes) & (target_labels(items) == 1)
