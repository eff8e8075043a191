"""From rows of scores to the leaderboard: one row for each explainer and metric, one for each pair.

Rows are paired by image, and everything is clustered by patient or slide. Whatever a table marks is
one family of tests: the chance of any false mark is at most 1 - confidence. A row without a value
is never filled in: n and the rates of failure stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd

from xaibench.errors import UserError
from xaibench.leaderboards.names import EDGE, RANDOM
from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.contrasts import contrasts
from xaibench.leaderboards.statistics.intervals import RESAMPLES, binary, bounds_of, mean_interval
from xaibench.leaderboards.statistics.matrix import Matrix, usable_values
from xaibench.leaderboards.statistics.ranks import best_group, rank_intervals, tie_letters
from xaibench.leaderboards.statistics.seeds import by_seed, crossed, spreads
from xaibench.leaderboards.statistics.sign_flips import FLIPS
from xaibench.store.schema import KEYS

CONTROLS = {RANDOM: "beats_random", EDGE: "beats_edge"}
"""The controls that rows are tested against, and the columns that say so."""

COLUMNS = [
    *("explainer", "metric", "mean", "low", "high", "confidence", "n", "n_groups"),
    *("rows", "images", "groups", "seeds", "failed", "nan", "constant", "undefined", "reason"),
    *("control", "higher_is_better", "protocol", "rank", "rank_low", "rank_high", "best"),
    *("letters", "difference", "difference_low", "difference_high", "difference_n", "p"),
    *("effect", "better_than_random", "beats_random", "beats_edge", "depends", "untested"),
    *("sd_seeds", "sd_groups", "rank_seeds", "turns", "top_turns", "tests"),
]
_MISSING_AS = dict.fromkeys(["rank_low", "rank_high", "difference_n", "tests"], "Int64")
_MISSING_AS |= dict.fromkeys(["beats_random", "beats_edge", "depends"], "boolean")


def of_explainers(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about maps; those about the model alone have no explainer."""
    return scores[scores["explainer"].notna()]


def of_model_alone(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about the model alone, such as ``auroc``."""
    return scores[scores["explainer"].isna() & scores["image"].isna()]


def of_images(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about images without any map, such as ``occlusion_probe``."""
    return scores[scores["explainer"].isna() & scores["image"].notna()]


@dataclass(frozen=True, eq=False)
class Analysis:
    """What scores come to.

    Attributes:
        summary: one row for each data set, split, model, explainer and metric; see ``summarise``.
        pairs: one row for each of two explainers and metric; see ``contrasts.PAIRS``.
        seeds: one row for each explainer, metric and training seed; see ``seeds.by_seed``.
        matrices: the values of each data set, split and model, in the order of the scores.
    """

    summary: pd.DataFrame
    pairs: pd.DataFrame
    seeds: pd.DataFrame
    matrices: tuple[Matrix, ...]


def summarise(scores: pd.DataFrame, **options: object) -> pd.DataFrame:
    """Return one row for each data set, split, model, explainer and metric.

    Columns: ``mean`` over rows, ``low`` and ``high`` of its interval (``intervals``; over images
    and models where there are several training seeds); ``images``, ``groups`` and ``seeds`` in all;
    ``rows`` (images, or pairs of image and target where several targets are explained, of each
    seed), ``undefined`` (those for which the metric has no value by definition), ``n`` and
    ``n_groups`` with a value; ``failed``, ``nan`` (of these, the maps that are not finite) and
    ``constant`` (rates in [0, 1] among the rows that are not undefined); ``reason`` (the commonest
    one for a missing value).

    ``rank`` (1 is best, controls included, ties share the mean rank), ``rank_low`` and
    ``rank_high`` (``ranks.rank_intervals``), ``letters`` (``ranks.tie_letters``), ``best`` (in the
    best tie group, controls left out).

    ``difference`` from ``random`` with ``difference_low``, ``difference_high`` (simultaneous),
    ``difference_n``, ``p`` (family-wise over the table), ``effect`` (Cohen's d_z),
    ``better_than_random`` (share of rows); ``beats_random``, ``beats_edge`` and, of a likeness to a
    model that knows nothing, ``depends`` (NA where it was not tested); ``untested``, why.

    ``sd_seeds``, ``sd_groups``, ``rank_seeds``, ``top_turns``: ``seeds.spreads``. ``turns``:
    whether a difference beyond chance from another explainer has the other sign in some seed.
    ``tests``: comparisons in the family.

    Args:
        scores: one row for each image, explainer and metric; rows about the model alone are left
            out.
        options: of ``analyse``.
    """
    return analyse(scores, **options).summary


def analyse(
    scores: pd.DataFrame,
    *,
    flips: int = FLIPS,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Analysis:
    """Return the leaderboard with all pairs; see ``summarise`` and ``Analysis``.

    Args:
        flips: sign flips of the groups, where there are more than so many.
        resamples: draws of the bootstrap-t, which values without bounds have.
    """
    rows = of_explainers(scores)
    options = {"flips": flips, "resamples": resamples, "seed": seed, "confidence": confidence}
    parts = [_analyse_one(part, **options) for _, part in rows.groupby(KEYS, sort=False)]
    if not parts:
        raise UserError("the scores hold no row with an explainer; was the run finished?")
    joined = lambda name: pd.concat([getattr(part, name) for part in parts], ignore_index=True)
    matrices = tuple(matrix for part in parts for matrix in part.matrices)
    return Analysis(*(joined(name) for name in ("summary", "pairs", "seeds")), matrices)


def counted(scores: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return what ``summarise`` does with nothing but counts: for too few groups to claim more."""
    parts = []
    for _, rows in of_explainers(scores).groupby(KEYS, sort=False):
        matrix = Matrix.of(rows)
        parts.append(_known(rows, matrix, Clusters.of(matrix.values.to_numpy(), matrix.groups)))
    told = pd.concat(parts, ignore_index=True).assign(confidence=confidence)
    return told.reindex(columns=[*KEYS, *COLUMNS]).astype(_MISSING_AS)


def _analyse_one(
    rows: pd.DataFrame, *, flips: int, resamples: int, seed: int, confidence: float
) -> Analysis:
    matrix = Matrix.of(rows)
    values = matrix.values.to_numpy()
    clusters = Clusters.of(values, matrix.groups)
    pairs, likeness = contrasts(matrix, flips=flips, seed=seed, confidence=confidence)
    bounds = bounds_of(rows.drop_duplicates(["metric", "explainer"]), values)
    low, high = mean_interval(
        clusters,
        bounds,
        binary(values, bounds),
        confidence,
        added=crossed(values, matrix.groups, matrix.seeds, clusters, confidence),
        resamples=resamples,
        seed=seed,
    )
    table = _known(rows, matrix, clusters)
    table = table.assign(mean=clusters.mean, low=low, high=high, confidence=confidence)
    each = by_seed(matrix)
    table = pd.concat([table, spreads(matrix, clusters, each)], axis=1)
    table = _with_ranks(table, pairs)
    table = _with_marks(table, pairs, likeness, 1 - confidence)
    table = table.assign(tests=int(pairs["p"].notna().sum() + likeness["p"].notna().sum()))
    keys = {key: rows[key].iloc[0] for key in KEYS}
    first = lambda frame: frame.assign(**keys)[[*KEYS, *frame.columns]]
    return Analysis(table[[*KEYS, *COLUMNS]], first(pairs), first(each), (matrix,))


def _known(rows: pd.DataFrame, matrix: Matrix, clusters: Clusters) -> pd.DataFrame:
    """Return what each metric and explainer is, and what is counted, in the matrix's order."""
    table = pd.concat([matrix.columns, _counts(rows)], axis=1)
    table = table.astype({"higher_is_better": "boolean"})
    about = {key: rows[key].iloc[0] for key in KEYS}
    about |= {"images": rows["image"].nunique(), "groups": len(set(matrix.groups))}
    return table.assign(**about, seeds=len(np.unique(matrix.seeds)), n_groups=clusters.groups)


def _counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what is counted of each metric and explainer, in the order of the rows."""
    cell = [rows["metric"], rows["explainer"]]
    known = usable_values(rows).notna()
    states = {name: rows["status"] == name for name in ("nan", "constant", "undefined")}
    flags = pd.DataFrame({"n": known, "rows": True, **states}).astype(int)
    told = flags.groupby(cell, sort=False).sum()
    defined = (told["rows"] - told["undefined"]).replace(0, np.nan)
    rates = {"failed": (defined - told["n"]) / defined}
    rates |= {name: told[name] / defined for name in ("nan", "constant")}
    missing = rows[~known & rows["reason"].notna()]
    # The commonest one; of several the first by the alphabet.
    counts = missing.groupby(["metric", "explainer", "reason"]).size().reset_index(name="count")
    counts = counts.sort_values("count", ascending=False, kind="stable")
    first = counts.drop_duplicates(["metric", "explainer"])
    reasons = first.set_index(["metric", "explainer"])["reason"].to_dict()
    told = told.assign(**rates, reason=[reasons.get(key) for key in told.index])
    order = ["n", "rows", "failed", "nan", "constant", "undefined", "reason"]
    return told[order].reset_index(drop=True)


def _with_ranks(table: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the table with rank, its interval, tie letters, and whether a row may be the best."""
    direction = table["higher_is_better"].map({True: 1.0, False: -1.0}).astype(float)
    table = table.assign(rank=(-direction * table["mean"]).groupby(table["metric"]).rank())
    likened = ~table["metric"].isin(pairs["metric"])
    table.loc[likened, "rank"] = np.nan  # passed or failed, not ranked
    explainers, ranks = table["explainer"].to_numpy(), table["rank"].to_numpy()
    alone = ~table["control"].to_numpy(dtype=bool)
    told = pd.DataFrame({"rank_low": pd.NA, "rank_high": pd.NA}, table.index).astype("Int64")
    letters, best = [""] * len(table), np.zeros(len(table), dtype=bool)
    tested = {m: own for m, own in pairs.groupby("metric", sort=False) if own["p"].notna().any()}
    for metric, places in table.groupby("metric", sort=False).indices.items():
        places = places[np.isfinite(ranks[places])]
        places = places[np.argsort(ranks[places], kind="stable")]
        names, able = list(explainers[places]), places[alone[places]]
        if metric not in tested:  # an explainer alone is the best one without a test
            best[able] = len(able) == 1
            continue
        of_metric = tested[metric]
        told.iloc[places] = rank_intervals(of_metric, names).to_numpy()
        for at, own in zip(places, tie_letters(of_metric, names).values(), strict=True):
            letters[at] = own
        best[able] = np.isin(explainers[able], list(best_group(of_metric, list(explainers[able]))))
    return table.join(told.assign(letters=letters, best=best))


def _with_marks(
    table: pd.DataFrame, pairs: pd.DataFrame, likeness: pd.DataFrame, alpha: float
) -> pd.DataFrame:
    """Return the table with what each row was tested for and passes."""
    against = {name: _against(pairs, name) for name in CONTROLS}
    keys = pd.MultiIndex.from_frame(table[["metric", "explainer"]])
    random = against[RANDOM].reindex(keys)
    marks = {column: against[name].reindex(keys)["beats"] for name, column in CONTROLS.items()}
    own = likeness.set_index(["metric", "explainer"]).reindex(keys)
    turning = pairs[pairs["better"].notna() & pairs["turns"].astype(bool)]
    ends = pd.concat([turning[["metric", end]].set_axis(keys.names, axis=1) for end in ("a", "b")])
    marks["turns"] = keys.isin(pd.MultiIndex.from_frame(ends))
    depends = ((own["p"] <= alpha) & (own["difference"] < 0)).astype("boolean")
    marks["depends"] = depends.mask(own["p"].isna())
    reasons = [random["reason"], against[EDGE].reindex(keys)["reason"], own["reason"]]
    reasons = [reason.astype(object) for reason in reasons]
    untested = reduce(lambda one, other: one.where(one.notna(), other), reasons)
    names = {"low": "difference_low", "high": "difference_high", "n": "difference_n"}
    names |= {"share": "better_than_random"}
    told = random[["difference", "low", "high", "n", "p", "effect", "share"]].rename(columns=names)
    told = told.assign(**marks, untested=untested)
    told["difference_n"] = told["difference_n"].astype("Int64")
    return pd.concat([table, told.reset_index(drop=True)], axis=1)


def _against(pairs: pd.DataFrame, control: str) -> pd.DataFrame:
    """Return by metric and explainer how it compares with a control: its difference from it."""
    first, second = pairs[pairs["b"] == control], pairs[pairs["a"] == control]
    turned = second.assign(
        a=second["b"],
        difference=-second["difference"],
        low=-second["high"],
        high=-second["low"],
        effect=-second["effect"],
        a_better=1 - second["a_better"],
    )
    rows = pd.concat([first, turned]).rename(columns={"a": "explainer", "a_better": "share"})
    beats = (rows["better"] == rows["explainer"]).astype("boolean")
    # Without a direction neither of two is the better one.
    rows["beats"] = beats.mask(rows["p"].isna() | rows["share"].isna())
    return rows.set_index(["metric", "explainer"])
