"""A whole run on images that are not square, from their files to the figures."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from xaibench.config.reading import load_config
from xaibench.phantoms.own_pictures import draw_folders
from xaibench.runs.story import run

EXPLAINERS = {
    "random": None,
    "grad_cam": None,
    "square_occlusion": {"window": 16, "stride": 8},
    "lime": {"samples": 60},
    "integrated_gradients": {"steps": 8},
}


@pytest.mark.slow
def test_a_run_on_64_by_96_pixels_ends_in_a_leaderboard_and_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = draw_folders(tmp_path)
    config = {
        "name": "wide",
        "images": {"count": 4},
        "segments": {"n_segments": 20},
        "dataset": {
            "use": "image_folder",
            "root": str(root),
            "masks": str(tmp_path / "masks"),
            "patient": r"(p\d+)_",
            "resize": {"size": [64, 96], "mode": "pad"},
        },
        "model": {"use": "gap_cnn", "width": 8},
        "training": {"epochs": 1, "batch_size": 8},
        "explainers": EXPLAINERS,
        "metrics": {"deletion": {"steps": 4}, "mass_accuracy": None},
    }
    (tmp_path / "wide.yaml").write_text(yaml.safe_dump(config))
    folder = run(load_config(tmp_path / "wide.yaml"))
    scores = pd.read_parquet(folder / "scores.parquet")
    assert set(scores["explainer"]) == set(EXPLAINERS)
    assert set(scores[scores["metric"] == "deletion"]["status"]) == {"ok"}
    assert set(scores["status"]) <= {"ok", "undefined"}  # of images without a mask
    with h5py.File(folder / "maps.h5") as maps:
        shapes = []
        maps.visititems(
            lambda name, item: shapes.append(item.shape) if isinstance(item, h5py.Dataset) else None
        )
    assert (64, 96) in {shape[-2:] for shape in shapes if len(shape) >= 3}
    assert (96, 64) not in {shape[-2:] for shape in shapes if len(shape) >= 3}
    assert np.isfinite(scores[scores["metric"] == "deletion"]["value"]).all()
    assert (folder / "figures" / "panels.png").stat().st_size > 10_000
