"""What is said of a set of radiographs: images, patients and labels of each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from xaibench.progress import Progress
from xaibench.types import Labels, Split


def counts(splits: Mapping[str, Split], classes: Sequence[str]) -> dict[str, dict]:
    """Return images, groups, positives and missing labels of each split.

    A value of 0.5 and more counts as positive; of numbers beyond [0, 1] ``means`` are returned.
    """
    values = {name: label_values(split.labels, classes) for name, split in splits.items()}
    groups = {name: set(split.groups) for name, split in splits.items()}
    sizes = {name: len(own) for name, own in groups.items()}
    summed = lambda which: dict(zip(classes, which.sum(axis=0).tolist(), strict=True))
    known = np.concatenate([v[np.isfinite(v)] for v in values.values()])
    if known.size and (known.min() < 0 or known.max() > 1):
        mean = lambda v: dict(zip(classes, np.nanmean(v, axis=0).tolist(), strict=True))
        about = {"means": {name: mean(v) for name, v in values.items() if len(v)}}
    else:
        about = {"positives": {name: summed(v >= 0.5) for name, v in values.items()}}
    return {
        "images": {name: len(split) for name, split in splits.items()},
        "groups": sizes,
        **about,
        "missing_labels": {name: summed(np.isnan(v)) for name, v in values.items()},
        "groups_in_two_splits": sum(sizes.values()) - len(set().union(*groups.values())),
    }


def preparation(table: pd.DataFrame) -> dict[str, float]:
    """Return the share of images that were cropped and the median area removed from an image."""
    good = table[~table["bad"].astype(bool)]
    return {
        "cropped_share": float(good["cropped"].mean()),
        "median_area_removed": float(good["removed"].median()),
    }


def say_counts(
    progress: Progress, name: str, counted: Mapping[str, dict], made: Mapping[str, float]
) -> None:
    """Print what `counts` and `preparation` return, one line a split."""
    images, groups = counted["images"], counted["groups"]
    cropped = (
        f"; {made['cropped_share']:.1%} cropped, median area removed "
        f"{made['median_area_removed']:.1%}"
    )
    progress.say(
        f"{name}: {sum(images.values())} images of {sum(groups.values())} patients"
        f"{cropped if made['cropped_share'] else ''}"
    )
    for split, count in images.items():
        balance = [
            f"mean {label} {mean:.3g}"
            for label, mean in counted.get("means", {}).get(split, {}).items()
        ]
        for label, positive in counted.get("positives", {}).get(split, {}).items():
            known = count - counted["missing_labels"][split][label]
            balance.append(f"{label} {positive} ({positive / max(known, 1):.1%})")
        progress.say(f"{split}: {count} images of {groups[split]} patients; {', '.join(balance)}")
    progress.say(f"patients in two splits: {counted['groups_in_two_splits']}")


def label_values(labels: Labels, classes: Sequence[str]) -> Float[np.ndarray, "n classes"]:
    """Return what each image is said to show of each class: 1, 0, a value between, or NaN."""
    return (
        labels if labels.ndim == 2 else (labels[:, None] == np.arange(len(classes))).astype(float)
    )
