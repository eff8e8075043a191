"""A finished run's tables of text, read again."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd

from xaibench.store import finished
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


def test_areas_are_shares_of_each_image_however_they_are_read(tmp_path, monkeypatch):
    masks = (np.random.default_rng(0).random((7, 5, 4)) < 0.3).astype("uint8")
    masks[2], masks[3] = 0, 1
    monkeypatch.setattr(finished, "_BLOCK", 3)
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["masks/evidence"] = masks
        found = finished.areas(file["masks/evidence"])
    literal = [sum(int(pixel) for row in mask for pixel in row) / 20 for mask in masks]
    assert found.tolist() == literal
    assert (found[2], found[3]) == (0, 1)
