"""How far the explainers' maps agree with each other."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from xaibench.figures import choice
from xaibench.figures.base import PAGE, blank, span, style, titled, write
from xaibench.figures.looks import ink, looks
from xaibench.leaderboards.board import ScoredRun

SHARE = 0.1  # of the pixels: the ones compared by IoU
TOLD = 24  # explainers whose cells hold their figures
ROW = 0.125  # inches
IMAGES = 128  # enough for a mean
BLOCK = 16  # images read at a time: those of all may not fit in memory


def of_run(run: ScoredRun) -> Iterator[tuple[str, Figure]]:
    """Yield ``agreement`` of the explainers where the run holds their maps."""
    names = choice.drawn(run)
    if names:
        with run.maps() as file:
            table = agreement({name: file["maps"][name] for name in names})
        dataset = f"{run.dataset}{choice.of_first_seed(run)}"
        yield "agreement", draw(table, dataset, choice.controls_of(run))


# Products of so few rows are slower on several threads, the more so on busy cores.
@threadpool_limits.wrap(limits=1)
def agreement(maps: Mapping[str, Sequence[np.ndarray]], seed: int = 0) -> pd.DataFrame:
    """Return the agreement of every pair of explainers, averaged over the first 128 images.

    Args:
        maps: explainer -> N maps (H, W), an array or a dataset of a file.

    Columns: ``first``, ``second``; ``spearman`` (mean rank correlation of the pixels, in [-1, 1]);
    ``iou`` (mean overlap of the top pixels, in [0, 1], k = round(0.1 H W) exactly, ties broken at
    random and independently for each explainer); ``n_spearman``, ``n_iou`` (images behind each
    mean). A failed map (NaN) takes part in neither, a constant one has no rank correlation. Two
    independent random maps expect an IoU of about 0.05.
    """
    names = list(maps)
    ranks, overlaps = [], []
    count = min(IMAGES, *map(len, maps.values()))
    for start in range(0, count, BLOCK):
        block = [maps[name][start : min(start + BLOCK, count)] for name in names]
        for i, images in enumerate(zip(*block, strict=True), start):
            values = np.stack([np.asarray(image, dtype=float).ravel() for image in images])
            ranks.append(_spearman(values))
            overlaps.append(_overlap(values, _top(values, names, seed, i)))
    table = pd.MultiIndex.from_product([names, names], names=["first", "second"]).to_frame(False)
    for name, per_image in (("spearman", ranks), ("iou", overlaps)):
        known = np.isfinite(per_image)
        n = known.sum(axis=0)
        total = np.where(known, per_image, 0).sum(axis=0)
        table[name] = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0).ravel()
        table[f"n_{name}"] = n.ravel()
    return table


def _spearman(values: np.ndarray) -> np.ndarray:
    """Return the rank correlations of the rows, (E, E); NaN for constant and NaN rows."""
    usable = np.isfinite(values).all(axis=1)
    usable &= np.ptp(np.where(np.isfinite(values), values, 0), axis=1) > 0
    result = np.full((len(values), len(values)), np.nan)
    if usable.any():
        ranks = rankdata(values[usable], axis=1)
        ranks -= ranks.mean(axis=1, keepdims=True)
        ranks /= np.linalg.norm(ranks, axis=1, keepdims=True)
        result[np.ix_(usable, usable)] = ranks @ ranks.T
    return result


def _top(values: np.ndarray, names: Sequence[str], seed: int, image: int) -> np.ndarray:
    """Mark exactly k highest pixels in each row, (E, H·W) bool; any of a row that holds NaN."""
    k = _count(values)
    least = np.partition(values, -k, axis=1)[:, -k, None]
    chosen = values > least
    for row, name in enumerate(names):
        tied = np.flatnonzero(values[row] == least[row])
        wanted = k - chosen[row].sum()
        if wanted < len(tied):
            # By name, so that a pair's figure does not depend on which others are there.
            rng = np.random.default_rng([seed, image, zlib.crc32(name.encode())])
            tied = tied[np.argsort(rng.random(values.shape[1])[tied])[len(tied) - wanted :]]
        chosen[row, tied] = True
    return chosen


def _count(values: np.ndarray) -> int:
    return max(1, round(SHARE * values.shape[1]))


def _overlap(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    both = chosen.astype(float) @ chosen.T.astype(float)
    iou = both / (2 * _count(values) - both)
    failed = ~np.isfinite(values).all(axis=1)
    iou[failed | failed[:, None]] = np.nan
    return iou


@style()
def draw(table: pd.DataFrame, dataset: str, controls: Collection[str] = ()) -> Figure:
    """Return two annotated heat maps: rank correlation (centred at 0) and IoU of the top pixels.

    Explainers are numbered; the names stand on the left. Of more than 24 the cells are too small
    for their figures, and a row is as high as its name.
    """
    seen = looks(table["first"], controls)
    beside = len(seen) <= 10  # more than that, and the figures in the cells would touch
    height = 13.5 if len(seen) <= TOLD else 2 * (ROW * len(seen) + 1.2)
    figure = blank(PAGE, 4.2 if beside else height)
    left, right = figure.subplots(*((1, 2) if beside else (2, 1)), sharey=True)
    square = table.set_index(["first", "second"]).unstack().loc[list(seen)]
    ranks, overlaps = (square[column][list(seen)].to_numpy() for column in ("spearman", "iou"))
    _heat(left, ranks, "Spearman rank correlation", "vlag", [-1, -0.5, 0, 0.5, 1])
    _heat(right, overlaps, "IoU of the top 10 % of pixels", "cividis", [0, 0.5, 1])
    names = [f"{look.name}  {at}" for at, look in enumerate(seen.values(), 1)]
    left.set_yticks(range(len(names)), names)
    counts = table[["n_spearman", "n_iou"]]
    few, most = counts.min(axis=None), counts.max(axis=None)
    why = "\n(failed and constant maps have no value)" if few < most else ""
    over = f"{span(few, most)} images{why}"
    return titled(figure, f"{dataset}: agreement of explainers, mean over {over}")


def _heat(ax: Axes, values: np.ndarray, title: str, colours: str, ticks: list[float]) -> None:
    many = len(values) > TOLD
    shape = "auto" if many else "equal"
    drawn = ax.imshow(values, cmap=colours, vmin=ticks[0], vmax=ticks[-1], aspect=shape)
    ax.set_title(title)
    ax.grid(False)
    places = range(4, len(values), 5) if many else range(len(values))
    ax.set_xticks(places, [str(at + 1) for at in places])
    bar = ax.figure.colorbar(
        drawn, ax=ax, location="bottom", fraction=0.05, shrink=0.9, pad=0.02, ticks=ticks
    )
    bar.ax.grid(False)
    if many:
        return
    for (row, column), value in np.ndenumerate(values):
        told = "–" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")
        colour = "black" if np.isnan(value) else ink(drawn.cmap(drawn.norm(value)))
        write(ax, column, row, told, color=colour)
