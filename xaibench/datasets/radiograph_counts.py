"""What is said of a set of radiographs: images, patients and labels of each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from xaibench.datasets.base import Split
from xaibench.progress import Progress


def counts(splits: Mapping[str, Split], classes: Sequence[str]) -> dict[str, dict]:
    """Return images, groups, positives and missing labels of each split.

    A value of 0.5 and more counts as positive.
    """
    return {
        "images": {name: len(split) for name, split in splits.items()},
        "groups": {name: len(set(split.groups)) for name, split in splits.items()},
        "positives": {name: _positives(s.labels, classes) for name, s in splits.items()},
        "missing_labels": {name: _missing(s.labels, classes) for name, s in splits.items()},
        "groups_in_two_splits": _shared(splits),
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
    progress.say(
        f"{name}: {sum(images.values())} images of {sum(groups.values())} patients; "
        f"{made['cropped_share']:.1%} cropped, median area removed "
        f"{made['median_area_removed']:.1%}"
    )
    for split, count in images.items():
        balance = []
        for label, positive in counted["positives"][split].items():
            known = count - counted["missing_labels"][split][label]
            balance.append(f"{label} {positive} ({positive / max(known, 1):.1%})")
        progress.say(f"{split}: {count} images of {groups[split]} patients; {', '.join(balance)}")
    progress.say(f"patients in two splits: {counted['groups_in_two_splits']}")


def _positives(labels: Shaped[np.ndarray, "n *labels"], classes: Sequence[str]) -> dict[str, int]:
    if labels.ndim == 1:
        return {name: int((labels == at).sum()) for at, name in enumerate(classes)}
    return {name: int((labels[:, at] >= 0.5).sum()) for at, name in enumerate(classes)}


def _missing(labels: Shaped[np.ndarray, "n *labels"], classes: Sequence[str]) -> dict[str, int]:
    if labels.ndim == 1:
        return dict.fromkeys(classes, 0)
    return {name: int(np.isnan(labels[:, at]).sum()) for at, name in enumerate(classes)}


def _shared(splits: Mapping[str, Split]) -> int:
    """Return how many groups are in more than one split."""
    every = [group for split in splits.values() for group in set(split.groups)]
    return len(every) - len(set(every))
