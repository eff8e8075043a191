"""The files of what a ranking hangs on, of one run and of several."""

from __future__ import annotations

import pandas as pd
from robust_scores import means, rows_of

from xaibench.leaderboards.board import make
from xaibench.leaderboards.robustness import FILES, write
from xaibench.leaderboards.summary import analyse
from xaibench.store.schema import KEYS

WORTH = {"random": 0.1, "lime": 0.2, "cam": 0.3, "grad_cam": 0.4}


def scores_of(model: str = "net", groups: int = 8) -> pd.DataFrame:
    tables = [
        rows_of(metric, means(noise=0.2, **WORTH), groups=groups, p=[0.8] * 12, model=model)
        for metric in ("insertion", "srg")
    ]
    return pd.concat(tables, ignore_index=True)


def test_every_file_says_what_it_is_about(tmp_path):
    scores = pd.concat([scores_of("net"), scores_of("vit")], ignore_index=True)
    write(analyse(scores, flips=20), scores, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    for name in FILES:
        table = pd.read_csv(tmp_path / name)
        assert list(table.columns[:3]) == KEYS
        parts = [part.drop(columns=KEYS).reset_index(drop=True) for _, part in table.groupby(KEYS)]
        pd.testing.assert_frame_equal(*parts)  # of the same scores


def test_too_few_groups_leave_a_file_without_pairs(tmp_path):
    scores = scores_of(groups=4)
    write(analyse(scores, flips=20), scores, tmp_path)
    assert pd.read_csv(tmp_path / "friedman_pairs.csv").empty
    told = pd.read_csv(tmp_path / "friedman.csv")
    assert set(told["reason"]) == {"too few groups to test (4; 6 are needed)"}


def test_merged_runs_have_them_too(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    rows = scores_of()
    lime = rows["explainer"] == "lime"
    rows[~lime].to_parquet(tmp_path / "a" / "scores.parquet")
    rows[lime].to_parquet(tmp_path / "b" / "scores.parquet")
    make(tmp_path / "a", tmp_path / "b", out=tmp_path / "both")
    told = pd.read_csv(tmp_path / "both" / "agreement.csv").set_index("kind")
    assert told.loc["metrics", "n"] == 3
    assert {path.name for path in (tmp_path / "both").iterdir()} >= set(FILES)
