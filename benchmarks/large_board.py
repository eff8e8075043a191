"""How long the leaderboard of a large run takes, with every pair tested.

python -m benchmarks.large_board --explainers 20 --metrics 20 --images 5000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from xaibench.leaderboards.board import tables_of
from xaibench.leaderboards.names import RANDOM
from xaibench.leaderboards.summary import Analysis, analyse


def rows(explainers: int, metrics: int, images: int, seed: int = 0) -> pd.DataFrame:
    """Return scores between 0 and 1 of so many explainers, two images a group."""
    names = [RANDOM, *(f"explainer_{i}" for i in range(1, explainers))]
    image, every = np.arange(images), explainers * metrics
    text = lambda values: pd.array(values, dtype="str")
    whose = np.tile(np.repeat(names, images), metrics)
    metric = np.repeat([f"metric_{i}" for i in range(metrics)], explainers * images)
    return pd.DataFrame(
        {
            **{key: text(np.repeat(key, every * images)) for key in ("dataset", "split", "model")},
            "image": text(np.tile([f"image_{i}" for i in image], every)),
            "group": text(np.tile([f"group_{i // 2}" for i in image], every)),
            "target": text(np.repeat("t", every * images)),
            "training_seed": 0,
            "explainer": text(whose),
            "control": whose == RANDOM,
            "metric": text(metric),
            "protocol": text(np.char.add(metric, "[]")),
            "higher_is_better": True,
            "bound_low": 0.0,
            "bound_high": 1.0,
            "value": np.random.default_rng(seed).random(every * images),
            "status": text(np.repeat("ok", every * images)),
            "reason": None,
        }
    )


def timed(scores: pd.DataFrame) -> tuple[Analysis, float]:
    """Return the analysis and the seconds that it took with its text."""
    begun = time.perf_counter()
    found = analyse(scores)
    for table in tables_of(found.summary, scores.head(0), "Leaderboard", None):
        table.markdown()
        table.latex()
    return found, time.perf_counter() - begun


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--explainers", type=int, default=20)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--images", type=int, default=5000)
    options = parser.parse_args(arguments)
    scores = rows(options.explainers, options.metrics, options.images)
    found, seconds = timed(scores)
    print(f"{len(scores):,} rows, {len(found.pairs):,} pairs: {seconds:.1f} s")


if __name__ == "__main__":
    main()
