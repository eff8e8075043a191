"""Small fabricated runs whose costs are known."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xaibench.store.schema import TIMINGS

MIB = 2**20
KEYS = {"dataset": "toy", "split": "test", "model": "net"}
NEW = ("device", "peak_bytes", "forward", "backward")


def scores(explainers: dict[str, tuple[float, float]], model: str = "net") -> pd.DataFrame:
    """Return rows of two images, two targets and two metrics; explainer -> passes of the first
    image's map, the others' maps take two passes more."""
    rows = [
        KEYS
        | {
            "model": model, "image": image, "group": image, "target": target,
            "explainer": explainer, "control": explainer == "random", "metric": metric,
            "protocol": f"{metric}[steps=2]", "higher_is_better": metric == "insertion",
            "value": 0.25 * len(explainer) / 20, "status": "ok", "reason": None,
            "forward_passes": forward + 2 * (image == "b"), "backward_passes": backward,
        }
        for explainer, (forward, backward) in explainers.items()
        for metric in ("deletion", "insertion")
        for image in ("a", "b")
        for target in ("x", "y")
    ]  # fmt: skip
    alone = KEYS | {"model": model, "metric": "auroc", "value": 0.9, "status": "ok"}
    return pd.DataFrame([*rows, alone])


def block(explainer: str | None, images: int, seconds: float, **more: object) -> dict[str, object]:
    """Return a row of TIMINGS; scoring takes ten times as long, and five passes an image."""
    about = {"run": "r", "explainer": explainer, "block": 0, "images": images, "device": "GPU A"}
    explaining = {
        "explain_seconds": seconds, "explain_peak_bytes": 100 * MIB,
        "explain_forward": images, "explain_backward": 0,
    }  # fmt: skip
    scoring = {
        "score_seconds": 10 * seconds, "score_peak_bytes": 300 * MIB,
        "score_forward": 5 * images, "score_backward": images,
    }  # fmt: skip
    return about | explaining | scoring | more


def write(
    folder: Path, rows: pd.DataFrame, timings: list[dict] | None, *, old: bool = False
) -> Path:
    """Write a run's folder; ``old`` leaves out of its timings what older runs did not measure."""
    folder.mkdir(parents=True)
    rows.to_parquet(folder / "scores.parquet")
    environment = {"device": "cpu", "processor": "Chip", "threads": 4}
    (folder / "manifest.json").write_text(json.dumps({"environment": environment}))
    if timings is not None:
        table = pa.Table.from_pylist(timings, schema=TIMINGS)
        gone = [name for name in table.column_names if old and name.endswith(NEW)]
        pq.write_table(table.drop_columns(gone), folder / "timings.parquet")
    return folder
