"""How often the leaderboard's intervals hold and its marks are false, where the truth is known.

Eight explainers, one of them the control, one metric; images of one group are alike (correlation
0.3). The intervals, tests and ranks are those of the product; beside them stands what the same
would be if every image were a patient of its own.

python -m benchmarks.coverage --tables 1000
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.records import RESULTS, Record
from benchmarks.tables import markdown
from xaibench.atomic import write_text
from xaibench.leaderboards.names import RANDOM
from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.intervals import binary, bounds_of, mean_interval
from xaibench.leaderboards.statistics.ranks import rank_intervals
from xaibench.leaderboards.statistics.seeds import crossed
from xaibench.leaderboards.statistics.sign_flips import max_t

EXPLAINERS = [RANDOM, *"abcdefg"]
ALIKE = 0.3  # correlation of two images of one group
MODELS = 0.3  # standard deviation of an explainer between models
THESE = tuple(MODELS * np.sqrt(1.5) * np.array([-1, 0, 1]))  # of three models, as large
NONE = (0.0,) * 8
STRONG = (0.0,) * 7 + (1.0,)
GRADED = (0.0, 0.0, 0.0, 0.25, 0.25, 0.5, 0.75, 1.0)  # standard deviations of z
UNEQUAL = [1, 1, 2, 3, 8]
KINDS = ["normal", "skewed", "bounded", "ties", "missing"]
GROUPS = [4, 8, 16, 40, 200]
FLIPS, RESAMPLES = 499, 999


@dataclass(frozen=True)
class Setting:
    """What tables are drawn.

    Attributes:
        kind: ``normal``; ``skewed``, exponential (skewness 2); ``bounded``, Beta(1/2, 2);
            ``ties``, 1 for four of five images and else 0; ``missing``, normal with a fifth of the
            rows gone, each explainer its own.
        groups: patients.
        equal: whether each has 3 images, else 1, 1, 2, 3, 8 in turn.
        seeds: trained models; with several each explainer has a deviation of its own in each.
    """

    kind: str
    groups: int
    equal: bool = True
    seeds: int = 1

    @property
    def sizes(self) -> np.ndarray:
        return np.resize([3] if self.equal else UNEQUAL, self.groups)


def quantile(kind: str, z: np.ndarray) -> np.ndarray:
    """Return values of a kind from standard normal ones."""
    if kind in ("normal", "missing"):
        return z
    share = stats.norm.cdf(z)
    if kind == "skewed":
        return -np.log1p(-np.minimum(share, 1 - 1e-12))
    if kind == "ties":
        return (share > 0.2).astype(float)
    return stats.beta(0.5, 2).ppf(share)


@functools.cache
def truth(kind: str, shift: float, spread: float = 1.0) -> float:
    """Return the true mean where normal values of this mean and deviation are turned."""
    if kind in ("normal", "missing"):
        return shift
    places = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    return float(quantile(kind, shift + spread * places).mean())


def truths(setting: Setting, shifts: Sequence[float], these: bool) -> np.ndarray:
    """Return the true mean of each explainer, over these models or over all that might be."""
    if setting.seeds == 1:
        return np.array([truth(setting.kind, shift) for shift in shifts])
    if these:
        each = [[truth(setting.kind, shift + own) for own in THESE] for shift in shifts]
        return np.mean(each, axis=1)
    spread = float(np.hypot(1, MODELS))
    return np.array([truth(setting.kind, shift, spread) for shift in shifts])


def bounds(kind: str) -> tuple[float, float]:
    return (0.0, 1.0) if kind in ("bounded", "ties") else (-np.inf, np.inf)


def draw(setting: Setting, shifts: Sequence[float], rng: np.random.Generator, these: bool) -> Rows:
    """Return the rows of one table.

    Args:
        these: give each explainer the deviations of ``THESE``, in an order of its own, so that over
            these models explainers of one shift are equal.
    """
    group = np.repeat(np.arange(setting.groups), setting.sizes)
    count, wide, seeds = len(group), len(EXPLAINERS), setting.seeds
    own = np.sqrt(ALIKE) * rng.standard_normal((setting.groups, wide))[group]
    if seeds == 1:
        z = own + np.sqrt(1 - ALIKE) * rng.standard_normal((count, wide))
        values = quantile(setting.kind, z + np.array(shifts))
    else:
        # The image's part is shared by the models, each model adds its own.
        image = np.sqrt(0.4) * rng.standard_normal((count, wide))
        model = MODELS * rng.standard_normal((seeds, 1, wide))
        if these:
            model = rng.permuted(np.tile(THESE, (wide, 1)), axis=1).T[:, None]
        noise = np.sqrt(1 - ALIKE - 0.4) * rng.standard_normal((seeds, count, wide))
        values = quantile(setting.kind, own + image + model + noise + np.array(shifts)).reshape(
            -1, wide
        )
        group = np.tile(group, seeds)
    if setting.kind == "missing":
        values[rng.random(values.shape) < 0.2] = np.nan
    return Rows(values, group, np.repeat(np.arange(seeds), count))


PAIRS = np.array(list(itertools.combinations(range(len(EXPLAINERS)), 2)))


@dataclass(frozen=True, eq=False)
class Rows:
    """Values (R, 8), and the group and the trained model of each row."""

    values: np.ndarray
    groups: np.ndarray
    seeds: np.ndarray

    def pooled(self) -> Rows:
        """Return them as if each row were a patient of its own, and all models one."""
        return Rows(self.values, np.arange(len(self.values)), np.zeros_like(self.seeds))


@dataclass
class Tally:
    """What came of some tables: sums over them."""

    tables: int = 0
    means: float = 0.0
    given: float = 0.0
    tested: int = 0
    control: int = 0
    pairs: int = 0
    ranks: int = 0
    false: int = 0
    found: int = 0

    def add_means(self, rows: Rows, truth: np.ndarray, kind: str, seed: int) -> None:
        """Judge the intervals of a table's means."""
        clusters = Clusters.of(rows.values, rows.groups)
        columns = pd.DataFrame([bounds(kind)] * len(truth), columns=["bound_low", "bound_high"])
        limits = bounds_of(columns, rows.values)
        added = crossed(rows.values, rows.groups, rows.seeds, clusters, 0.95)
        options = {"added": added, "resamples": RESAMPLES, "seed": seed}
        low, high = mean_interval(clusters, limits, binary(rows.values, limits), 0.95, **options)
        self.means += ((low <= truth) & (truth <= high)).mean()
        self.given += np.isfinite(low).mean()

    def add_tests(self, rows: Rows, truth: np.ndarray, seed: int) -> None:
        """Judge a table's comparisons, marks and ranks."""
        self.tables += 1
        first, second = PAIRS.T
        clusters = Clusters.of(rows.values[:, first] - rows.values[:, second], rows.groups)
        found = max_t(clusters, flips=FLIPS, seed=seed)
        tested = np.isfinite(found.p)
        if not tested.any():
            return
        self.tested += 1
        gap = truth[first] - truth[second]
        inside = ~(np.abs(clusters.mean - gap) > found.half)  # what is not given is not wrong
        self.control += inside[first == 0].all()
        self.pairs += inside.all()
        sure = tested & (found.p <= 0.05)
        self.false += (sure & (np.sign(clusters.mean) != np.sign(gap))).any()
        self.found += (sure & (clusters.mean < 0))[(first == 0) & (second == len(truth) - 1)].item()
        better = np.where(clusters.mean > 0, first, second)
        pairs = pd.DataFrame({"a": first, "b": second, "better": np.where(sure, better, np.nan)})
        self.ranks += _ranks_hold(rank_intervals(pairs, range(len(truth))), truth)

    def share(self, name: str) -> float:
        """Return a count as a share of the tables that were tested; NaN where none was."""
        return getattr(self, name) / self.tested if self.tested else np.nan


def _ranks_hold(found: pd.DataFrame, mean: np.ndarray) -> bool:
    """Say whether every interval holds all ranks that its explainer's true mean allows."""
    first = 1 + (mean[None] > mean[:, None]).sum(axis=1)
    last = len(mean) - (mean[None] < mean[:, None]).sum(axis=1)
    return bool(((found["rank_low"] <= first) & (found["rank_high"] >= last)).all())


def study(setting: Setting, tables: int) -> dict[str, object]:
    """Return what came of so many tables without any difference, and of as many with some."""
    kind = setting.kind
    null, graded, strong, naive, means = (Tally() for _ in range(5))
    for at in range(tables):
        rng = np.random.default_rng([at, setting.groups, setting.seeds, KINDS.index(kind)])
        # Tests are about the models that were trained, intervals about all that might have been.
        for tally, shifts in ((null, NONE), (graded, GRADED), (strong, STRONG)):
            rows = draw(setting, shifts, rng, these=True)
            true = truths(setting, shifts, these=True)
            tally.add_tests(rows, true, at)
            if tally is null:
                naive.add_tests(rows.pooled(), true, at)
        for shifts in (NONE, GRADED):
            rows = draw(setting, shifts, rng, these=False)
            true = truths(setting, shifts, these=False)
            means.add_means(rows, true, kind, at)
            if shifts is NONE:
                naive.add_means(rows.pooled(), true, kind, at)
    return asdict(setting) | {
        "tables": tables,
        "means": means.means / means.given if means.given else np.nan,
        "means_given": means.given / (2 * tables),
        "control": graded.share("control"),
        "pairs": graded.share("pairs"),
        "ranks": graded.share("ranks"),
        "false_marks": null.share("false"),
        "tested": null.tested / tables,
        "found": strong.share("found"),
        "naive_means": naive.means / naive.given,
        "naive_false_marks": naive.share("false"),
    }


def settings(kinds: Sequence[str], groups: Sequence[int]) -> list[Setting]:
    """Return every combination, and those of three trained models."""
    every = itertools.product(kinds, groups, (True, False))
    crossed = itertools.product(kinds, groups, (True, False), (3,))
    return [Setting(*one) for one in every] + [
        Setting(*one) for one in crossed if one[0] in ("normal", "bounded")
    ]


HEAD = [
    *("values", "groups", "images a group", "models", "mean", "control", "all pairs", "ranks"),
    *("false marks", "found", "mean, unclustered", "false marks, unclustered"),
]


def cells(row: dict[str, object]) -> list[str]:
    """Return a row of the table as text; refused where nothing was said."""
    told = lambda value, given: f"{value:.3f}" if given and np.isfinite(value) else "refused"
    names = ("control", "pairs", "ranks", "false_marks", "found")
    return [
        row["kind"],
        str(row["groups"]),
        "3" if row["equal"] else "1–8",
        str(row["seeds"]),
        told(row["means"], row["means_given"]),
        *(told(row[name], row["tested"]) for name in names),
        told(row["naive_means"], True),
        told(row["naive_false_marks"], True),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=1000, help="of each setting")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--groups", nargs="+", type=int, default=GROUPS)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of coverage.{json,md}")
    options = parser.parse_args(arguments)
    record, begun = Record(options.out / "coverage.json", {}), time.monotonic()
    done, todo = [], settings(options.kinds, options.groups)
    with ProcessPoolExecutor(options.jobs) as pool:
        for row in pool.map(study, todo, itertools.repeat(options.tables)):
            done.append(row)
            left = (time.monotonic() - begun) / len(done) * (len(todo) - len(done))
            print(f"{len(done)} of {len(todo)}: {' | '.join(cells(row))}", end="", flush=True)
            print(f" ({left / 60:.0f} min left)", flush=True)
            record.put("coverage", {"rows": done, "flips": FLIPS, "resamples": RESAMPLES})
    write_text(options.out / "coverage.md", markdown(HEAD, map(cells, done)) + "\n")
    print(f"written: {options.out / 'coverage.md'}")


if __name__ == "__main__":
    main()
