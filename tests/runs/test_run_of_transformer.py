"""A whole run of a small vision transformer, from its training to the leaderboard."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from xaibench.config.reading import load_config
from xaibench.runs.story import run

NAMES = ["grad_cam", "attention_rollout", "gradient_attention", "token_occlusion"]


@pytest.mark.slow
def test_a_run_of_a_transformer_ends_in_a_leaderboard(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {
        "name": "vit",
        "images": {"count": 4},
        "segments": {"n_segments": 20},
        "dataset": {
            "use": "chest_xray_pneumonia",
            "root": None,
            "when_missing": "synthesize",
            "resize": {"size": 48},
            "synthetic": {"root": "data/made", "images": 48},
        },
        "model": {
            "use": "timm",
            "architecture": "vit_tiny_patch16_224",
            "weights": "none",
            "options": {"depth": 2},
        },
        "training": {"epochs": 1, "batch_size": 32, "frozen_stages": 1},
        "explainers": dict.fromkeys(["random", *NAMES]),
        "metrics": {"deletion": {"steps": 4}, "weight_randomisation": {"stages": 2}},
    }
    (tmp_path / "vit.yaml").write_text(yaml.safe_dump(config))
    folder = run(load_config(tmp_path / "vit.yaml"))
    board = pd.read_csv(folder / "leaderboard.csv")
    assert set(board["explainer"]) == {"random", *NAMES}
    scores = pd.read_parquet(folder / "scores.parquet")
    assert set(scores["status"]) == {"ok"}
