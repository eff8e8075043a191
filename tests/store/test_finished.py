"""A finished run's tables of text, read again."""

from __future__ import annotations

import json

import pandas as pd

from xaibench.store.finished import FinishedRun


def test_names_stay_text_whatever_they_look_like(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"dataset": {"name": "007"}}))
    run = FinishedRun(tmp_path)
    table = pd.DataFrame(
        {"dataset": "007", "label": ["1", "NA", "nan", "1e3", None], "auroc": [1, 0.5, None, 1, 1]}
    )
    run.write_csv("thresholds.csv", table)
    read = run.csv("thresholds.csv")
    assert read["label"].tolist()[:4] == ["1", "NA", "nan", "1e3"]
    assert read["label"].isna().tolist() == [False] * 4 + [True]
    assert read["dataset"].tolist() == ["007"] * 5
    assert read["auroc"].dtype.kind == "f"
    assert run.csv("roc.csv") is None
