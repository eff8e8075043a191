"""Do choices agree on the ranking of explainers? Between metrics, fills, orders, models, scales.

Kendall's tau-b between two rankings of the explainers that are no controls, by their means, each
turned so that larger is better: 1 for the same order, -1 for the reverse one, ties counted for
neither. Only metrics that rank are compared. There is no score of all of it, and no interval: the
rankings of a dozen explainers by means over a few groups are too few for a bootstrap to hold. tau
describes these means; which of their differences are beyond chance, ``ranks`` says.

Source: Kendall 1945, "The treatment of ties in ranking problems", Biometrika 33(3).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from xaibench.leaderboards.part import Part
from xaibench.leaderboards.raters import MIN_EXPLAINERS, alpha, too_few_explainers
from xaibench.leaderboards.scales import SCALES
from xaibench.store.schema import SEED

COLUMNS = ["kind", "metric", "a", "b", "tau", "alpha", "n", "images", "reason"]


def agreement(part: Part, scaled: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each two rankings, and one for the images of each metric.

    ``kind`` says what a and b are: ``metrics``, and of these apart ``fills`` and ``orders`` (one
    metric whose protocols differ in the fill, or in morf and lerf, and in nothing else); ``seeds``
    (two trained models under one ``metric``); ``scales`` (of one ``metric``, see ``scales``);
    ``images`` (how alike single images rank: ``alpha`` over so many ``images``, see ``raters``,
    instead of ``tau``). ``n``: explainers in both rankings. ``reason``: why tau or alpha is
    missing.

    Args:
        scaled: what ``scales.normalised`` returns of the part.
    """
    rows = [*_metrics(part), *_seeds(part), *_scales(part, scaled), *_images(part)]
    return pd.DataFrame(rows, columns=COLUMNS)


def tau(first: pd.Series, second: pd.Series) -> dict[str, object]:
    """Return ``tau``, ``n`` and the ``reason`` of a missing tau.

    Args:
        first: worth by explainer, NaN for none; those that have one in both are compared.
    """
    both = pd.concat([first, second], axis=1).dropna().to_numpy()
    told = {"tau": np.nan, "n": len(both), "reason": None}
    if len(both) < MIN_EXPLAINERS:
        return told | {"reason": too_few_explainers(len(both))}
    if (both == both[0]).all(axis=0).any():
        return told | {"reason": "every explainer ties with every other"}
    return told | {"tau": float(kendalltau(*both.T).statistic)}


def _metrics(part: Part) -> Iterator[dict[str, object]]:
    means = part.summary.pivot(index="metric", columns="explainer", values="mean")
    worth = {metric: part.worth(means.loc[metric], metric) for metric in part.ranked}
    for a, b in itertools.combinations(part.ranked, 2):
        kind = _kind(part, a, b)
        same = None if kind == "metrics" else part.protocols[a].name
        yield {"kind": kind, "metric": same, "a": a, "b": b} | tau(worth[a], worth[b])


def _kind(part: Part, a: str, b: str) -> str:
    first, second = part.protocols[a], part.protocols[b]
    if first.name == second.name:
        differs = first.differs_in(second)
        if differs in ({"fill"}, {"order"}):
            return f"{differs.pop()}s"
    return "metrics"


def _seeds(part: Part) -> Iterator[dict[str, object]]:
    means = part.seeds.pivot(index=["metric", SEED], columns="explainer", values="mean")
    for metric in part.ranked:
        worth = {s: part.worth(row, metric) for s, row in means.loc[metric].iterrows()}
        for a, b in itertools.combinations(worth, 2):
            names = {"a": f"training seed {a:g}", "b": f"training seed {b:g}"}
            yield {"kind": "seeds", "metric": metric} | names | tau(worth[a], worth[b])


def _scales(part: Part, scaled: pd.DataFrame) -> Iterator[dict[str, object]]:
    for metric in part.ranked:
        own = scaled[scaled["metric"] == metric].set_index("explainer")
        missing = {"over_p": own["n_over_p"], "over_random": own["n_over_random"]}
        for a, b in itertools.combinations(SCALES, 2):
            told = tau(part.worth(own[a], metric), part.worth(own[b], metric))
            for scale in (a, b):
                if scale in missing and not missing[scale].any():
                    told["reason"] = f"no {scale}: {own[f'reason_{scale}'].iloc[0]}"
            yield {"kind": "scales", "metric": metric, "a": a, "b": b} | told


def _images(part: Part) -> Iterator[dict[str, object]]:
    for metric in part.ranked:
        values = part.matrix.of_metric(metric).reindex(columns=part.explainers).to_numpy()
        found, n, images, reason = alpha(values)
        told = {"tau": np.nan, "alpha": found, "n": n, "images": images, "reason": reason}
        yield {"kind": "images", "metric": metric, "a": None, "b": None} | told
