"""A run with many explainers and metrics with long names, for figures that must hold them all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from xaibench.leaderboards import robustness
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.summary import Analysis, analyse

CONTROLS = ("random", "center_prior", "edge")
EXPLAINERS = (
    *("grad_cam", "square_occlusion", "superpixel_occlusion", "integrated_gradients", "lime"),
    *("smooth_integrated_gradients", "guided_backpropagation", "kernel_shap_of_superpixels"),
    *("attention_rollout", *CONTROLS),
)
METRICS = {
    "deletion": ("deletion[fill=dataset_mean,score=prob,steps=20]", False),
    "deletion_blur": ("deletion[fill=blur(11,5),score=prob,steps=20]", False),
    "deletion_least_first": ("deletion[fill=dataset_mean,order=lerf,score=prob,steps=20]", True),
    "insertion": ("insertion[fill=blur,score=prob,steps=20]", True),
    "srg": ("srg[fill=dataset_mean,score=prob,steps=20]", True),
    "cumulative_drop@area": ("cumulative_drop@area[fill=dataset_mean,score=prob]", True),
    "mass_accuracy@lungs_box_weak": ("mass_accuracy@lungs_box_weak[relevance=positive]", True),
    "label_randomisation@ssim": ("label_randomisation@ssim[]", False),
    "label_randomisation@ssim_control": ("label_randomisation@ssim_control[]", None),
}
RANKED = [metric for metric in METRICS if not metric.startswith("label_randomisation")]
HEADING = "cxr_pneumonia_synthetic (generated), resnet18, split test"


def scores_of(groups: int = 8, images: int = 16, seed: int = 0) -> pd.DataFrame:
    rng, rows = np.random.default_rng(seed), []
    for metric, (protocol, higher) in METRICS.items():
        for place, explainer in enumerate(EXPLAINERS):
            worth = 0.6 - 0.04 * place + rng.normal(0, 0.05) + rng.normal(0, 0.1, images)
            rows.append(
                {
                    "dataset": "cxr_pneumonia_synthetic", "split": "test", "model": "resnet18",
                    "image": [f"i{at}" for at in range(images)],
                    "group": [f"g{at % groups}" for at in range(images)],
                    "target": "pneumonia", "p_target": 0.8, "explainer": explainer,
                    "control": explainer in CONTROLS, "metric": metric, "protocol": protocol,
                    "higher_is_better": higher, "value": 1 - worth if higher is False else worth,
                    "status": "ok", "reason": None,
                }
            )  # fmt: skip
    return pd.concat([pd.DataFrame(row) for row in rows], ignore_index=True)


def run_of(folder: Path, scores: pd.DataFrame) -> ScoredRun:
    """Return a run with these scores, with the tables of its robustness."""
    scores.to_parquet(folder / "scores.parquet")
    manifest = {"dataset": {"name": scores["dataset"].iloc[0]}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    run = ScoredRun(folder)
    run.analysis = analyse(run.scores, flips=200)
    robustness.write(run.analysis, run.scores, folder)
    return run


def of_seeds(count: int) -> Analysis:
    parts = [scores_of(seed=seed).assign(training_seed=seed) for seed in range(count)]
    return analyse(pd.concat(parts, ignore_index=True), flips=50)
