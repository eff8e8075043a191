"""A small fabricated run, and what every figure must keep to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

EXPLAINERS = ("random", "center_prior", "superpixel_occlusion", "grad_cam")
CONTROLS = ("random", "center_prior")
METRICS = {"deletion": False, "insertion": True, "iou_top@centre_weak": True}
N, SIDE = 6, 16


@pytest.fixture
def legible() -> Callable[[Figure], None]:
    """A check: no text is smaller than 6.5 points, and none is cut off by the figure's edge."""

    def check(figure: Figure) -> None:
        figure.draw_without_rendering()
        for text in figure.findobj(Text):
            if text.get_text().strip() and text.get_visible():
                assert text.get_fontsize() >= 6.5, text
        drawn, slack = figure.get_tightbbox(), 0.02  # inches
        assert min(drawn.x0, drawn.y0) >= -slack
        assert drawn.x1 <= figure.get_figwidth() + slack
        assert drawn.y1 <= figure.get_figheight() + slack

    return check


@pytest.fixture(scope="session")
def maps() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    found = {name: rng.random((N, SIDE, SIDE)).astype("float32") for name in EXPLAINERS}
    found["superpixel_occlusion"] -= 0.5
    found["grad_cam"][1] = np.nan
    found["grad_cam"][2] = 0
    return found


@pytest.fixture(scope="session")
def masks() -> dict[str, np.ndarray]:
    evidence = np.zeros((N, SIDE, SIDE), "uint8")
    evidence[0, 3:9, 3:9] = 1
    return {"evidence": evidence, "centre_weak": np.ones_like(evidence)}


@pytest.fixture(scope="session")
def predictions() -> pd.DataFrame:
    p = np.array([0.9, 0.2, 0.7, 0.4, 0.6, 0.1])
    names = np.array(["normal", "metastasis"])
    return pd.DataFrame(
        {
            "image": [f"test_{i}" for i in range(N)],
            "group": [f"slide_{i // 2}" for i in range(N)],
            "label": names[[1, 0, 0, 1, 1, 0]],
            "target": names[[1, 0, 1, 0, 1, 1]],
            "p_target": p,
            "predicted": names[(p > 0.5).astype(int)],
            "selected": True,
            "p_normal": 1 - p,
            "p_metastasis": p,
        }
    )


@pytest.fixture(scope="session")
def scores(predictions) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            "run": "r",
            "dataset": "pcam_synthetic",
            "split": "test",
            "model": "resnet18",
            "image": image,
            "group": group,
            "target": "metastasis",
            "explainer": explainer,
            "control": explainer in CONTROLS,
            "metric": metric,
            "protocol": f"{metric}[steps=10]",
            "higher_is_better": higher,
            "value": np.nan if explainer == "grad_cam" and i == 1 else rng.random(),
            "status": "nan" if explainer == "grad_cam" and i == 1 else "ok",
            "reason": "the map holds NaN" if explainer == "grad_cam" and i == 1 else None,
        }
        for metric, higher in METRICS.items()
        for explainer in EXPLAINERS
        for i, (image, group) in enumerate(
            zip(predictions["image"], predictions["group"], strict=True)
        )
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def curves(predictions) -> pd.DataFrame:
    rows = []
    for explainer in EXPLAINERS:
        for i, image in enumerate(predictions["image"]):
            x = np.linspace(0, 1, 10 + i)
            for curve in ("deletion", "insertion", "morf", "lerf", "morf@area", "lerf@area"):
                y = 1 - x if curve == "deletion" else x
                metric = curve if curve in METRICS else "cumulative_drop"
                rows.append(
                    (image, "metastasis", explainer, metric, curve, x, y * (0.8 + 0.02 * i))
                )
    return pd.DataFrame(rows, columns=["image", "target", "explainer", "metric", "curve", "x", "y"])


@pytest.fixture(scope="session")
def training_log() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "epoch": [1, 2, 3, 4],
            "step": [100, 200, 300, 400],
            "train_loss": [0.7, 0.5, 0.4, 0.3],
            "valid_loss": [0.6, 0.5, 0.45, 0.5],
            "valid_accuracy": [0.6, 0.8, 0.7, 0.8],
            "valid_auroc": [0.7, 0.8, 0.85, 0.9],
        }
    )


@pytest.fixture
def finished_run(tmp_path, maps, masks, predictions, scores, curves, training_log) -> Path:
    predictions.to_parquet(tmp_path / "predictions.parquet")
    scores.to_parquet(tmp_path / "scores.parquet")
    curves.to_parquet(tmp_path / "curves.parquet")
    training_log.to_csv(tmp_path / "training_log.csv", index=False)
    (tmp_path / "manifest.json").write_text(json.dumps({"dataset": {"name": "pcam_synthetic"}}))
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["ids"] = list(predictions["image"])
        file["images"] = np.random.default_rng(0).integers(0, 255, (N, SIDE, SIDE, 3), "uint8")
        for name, values in maps.items():
            file[f"maps/{name}"] = values
        for name, values in masks.items():
            file[f"masks/{name}"] = values
    return tmp_path
