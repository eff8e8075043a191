"""From comparisons of pairs to tie groups and to intervals of ranks."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def rank_intervals(pairs: pd.DataFrame, explainers: Sequence[str]) -> pd.DataFrame:
    """Return the ranks that each explainer may truly have under one metric; 1 is best.

    ``rank_low`` is one more than those that are better beyond chance, ``rank_high`` the number of
    all less those that are worse. As the comparisons err with at most 5 % anywhere, all these
    intervals hold together with at least 95 %. Source: Mogstad, Romano, Shaikh and Wilhelm 2024,
    "Inference for ranks", Review of Economic Studies 91(1). A comparison that was not made widens
    both ends.

    Args:
        pairs: of one metric, columns a, b, better.
    """
    above = dict.fromkeys(explainers, 0)
    below = dict.fromkeys(explainers, 0)
    for a, b, better in pairs[["a", "b", "better"]].itertuples(index=False):
        if better is not None and not pd.isna(better):
            below[better] += 1
            above[b if better == a else a] += 1
    rows = {e: (1 + above[e], len(explainers) - below[e]) for e in explainers}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["rank_low", "rank_high"])


def tie_letters(pairs: pd.DataFrame, ranked: Sequence[str]) -> dict[str, str]:
    """Return letters under one metric: explainers that share one cannot be told apart.

    The letters are the largest sets without any difference beyond chance (the maximal cliques of
    "not told apart"), the set with the best explainer first. Source: Piepho 2004, Journal of
    Computational and Graphical Statistics 13(2), for the display. Empty where nothing was tested.

    Args:
        pairs: of one metric, columns a, b, better, p.
        ranked: explainers with a value, the best first.
    """
    told = pairs[pairs["a"].isin(ranked) & pairs["b"].isin(ranked)]
    if not told["p"].notna().any():
        return dict.fromkeys(ranked, "")
    import networkx as nx  # slow to import, and few groups need no letters

    apart = nx.Graph()
    apart.add_nodes_from(ranked)
    sure = told["better"].notna()
    apart.add_edges_from(told.loc[sure, ["a", "b"]].itertuples(index=False))
    place = {name: at for at, name in enumerate(ranked)}
    groups = sorted(
        sorted(place[e] for e in group) for group in nx.find_cliques(nx.complement(apart))
    )
    letters = dict.fromkeys(ranked, "")
    for number, group in enumerate(groups):
        for at in group:
            letters[ranked[at]] += _letter(number)
    return letters


def _letter(number: int) -> str:
    more, at = divmod(number, len(LETTERS))
    return LETTERS[at] + str(more) * (more > 0)


def best_group(pairs: pd.DataFrame, ranked: Sequence[str]) -> set[str]:
    """Return the best explainer and all that no test tells apart from it; none if none was tested.

    Args:
        pairs: of one metric.
        ranked: explainers that may be best, the best first.
    """
    if not ranked:
        return set()
    best = ranked[0]
    rows = pairs[(pairs["a"] == best) | (pairs["b"] == best)]
    other = rows["a"].where(rows["a"] != best, rows["b"])
    tied = set(other[rows["p"].notna() & (rows["better"] != best)])
    tested = rows["p"].notna().any() or len(ranked) == 1
    return {best, *(tied & set(ranked))} if tested else set()
