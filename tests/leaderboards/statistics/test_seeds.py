"""Several trained models: what varies between them, against sums written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_contrasts import scores

from xaibench.leaderboards.statistics.clusters import Clusters
from xaibench.leaderboards.statistics.matrix import Matrix
from xaibench.leaderboards.statistics.seeds import by_seed, crossed, spreads
from xaibench.leaderboards.summary import analyse


def literal_variance(y, names):
    total, mean, variance = len(y), np.mean(y), 0.0
    for name in set(names):
        own = [v for v, n in zip(y, names, strict=True) if n == name]
        variance += (sum(own) - len(own) * mean) ** 2 / (1 - len(own) / total)
    return variance / total**2


def test_the_crossed_interval_adds_the_squares_of_both_half_widths():
    rng = np.random.default_rng(0)
    groups, seeds = np.tile(np.repeat([*"abcdef"], 2), 3), np.repeat([0, 1, 2], 12)
    y = rng.normal(size=36) + seeds * 0.4
    found = crossed(y[:, None], groups, seeds, Clusters.of(y[:, None], groups), 0.95)
    cells = [f"{g}{s}" for g, s in zip(groups, seeds, strict=True)]
    parts = [literal_variance(y, names) for names in (groups, seeds, cells)]
    t = stats.t.ppf(0.975, [5, 2])
    half = np.sqrt(t[0] ** 2 * parts[0] + t[1] ** 2 * max(parts[1] - parts[2], 0))
    assert t[0] * np.sqrt(parts[0] + found[0]) == pytest.approx(half)


def test_one_model_has_no_spread_between_models():
    y = np.ones((4, 1))
    assert crossed(y, np.arange(4), np.zeros(4), Clusters.of(y, np.arange(4)), 0.95) is None


def test_models_that_differ_widen_the_interval():
    rows = scores(seeds=(0, 1, 2), metrics=["deletion"])
    apart = rows.assign(value=rows["value"] + 0.2 * rows["training_seed"])
    width = lambda table: (analyse(table).summary.eval("high - low")).to_numpy()
    assert (width(apart) > 3 * width(rows)).all()


def test_means_and_ranks_of_each_model():
    rows = scores(seeds=(3, 7), metrics=["deletion"], noise=0.001)
    hit = (rows["explainer"] == "lime") & (rows["training_seed"] == 7)
    rows.loc[hit, "value"] -= 0.1
    matrix = Matrix.of(rows)
    told = by_seed(matrix)
    for row in told.to_dict("records"):
        own = rows[
            (rows["explainer"] == row["explainer"])
            & (rows["training_seed"] == row["training_seed"])
        ]
        assert row["mean"] == pytest.approx(own["value"].mean())
        assert row["n"] == len(own)
    ranks = told.pivot(index="explainer", columns="training_seed", values="rank")
    assert ranks.loc["cam"].tolist() == [1, 2]
    assert ranks.loc["lime"].tolist() == [2, 1]
    assert ranks.loc["random"].tolist() == [3, 3]
    clusters = Clusters.of(matrix.values.to_numpy(), matrix.groups)
    found = spreads(matrix, clusters, told).set_index(matrix.columns["explainer"])
    assert found["rank_seeds"].to_dict() == {"random": "3", "cam": "1–2", "lime": "1–2"}
    assert found["top_turns"].all()
    summary = analyse(rows).summary.set_index("explainer")
    # What random and cam differ by has the same sign in both; of cam and lime it has not.
    assert summary["top_turns"].all()
    assert summary["turns"].to_dict() == {"random": False, "cam": True, "lime": True}
    means = told[told["explainer"] == "lime"]["mean"]
    assert found.loc["lime", "sd_seeds"] == pytest.approx(means.std())
    lime = rows[rows["explainer"] == "lime"].groupby("group")["value"].mean()
    assert found.loc["lime", "sd_groups"] == pytest.approx(lime.std())


def test_the_summary_tells_how_many_models():
    summary = analyse(scores(seeds=(0, 1, 2))).summary
    assert (summary["seeds"] == 3).all()
    assert (summary["rows"] == 54).all()
    assert (summary["images"] == 18).all()
    one = analyse(scores()).summary
    assert one["sd_seeds"].isna().all()
    assert one["rank_seeds"].isna().all()
    assert not one[["turns", "top_turns"]].any(axis=None)


def test_older_tables_have_one_model():
    rows = scores().drop(columns="training_seed")
    assert (analyse(rows).summary["seeds"] == 1).all()
    pd.testing.assert_frame_equal(analyse(rows).pairs, analyse(scores()).pairs)
