"""How long tables, figures and page of a large run take, and what memory they hold.

python -m benchmarks.large_presentation --explainers 20 --metrics 8 --images 500
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from benchmarks.large_board import rows
from xaibench.progress import LineProgress
from xaibench.runs.present import present

SIDE = 96
STEPS = 51


def write(folder: Path, explainers: int, metrics: int, images: int, seed: int = 0) -> None:
    """Write what ``present`` reads of a finished run: scores, curves, maps and predictions."""
    rng = np.random.default_rng(seed)
    scores = rows(explainers, metrics, images, seed)
    names = list(scores["explainer"].unique())
    first = scores.drop_duplicates("image")
    p = rng.random(images)
    classes = np.array(["a", "t"])
    label = classes[(p + rng.normal(0, 0.3, images) > 0.5).astype(int)]
    shared = {"p_target": p, "label": label, "predicted": classes[(p > 0.5).astype(int)]}
    of_image = pd.DataFrame({"image": first["image"].to_numpy(), **shared})
    scores = scores.merge(of_image[["image", "p_target", "label"]], on="image", how="left")
    scores["protocol"] = scores["metric"] + "[score=prob]"
    scores.assign(run="r").to_parquet(folder / "scores.parquet")
    of_image = of_image.assign(group=first["group"].to_numpy(), target="t", selected=True)
    of_image = of_image.assign(p_a=1 - p, p_t=p, training_seed=0)
    of_image.to_parquet(folder / "predictions.parquet")
    of_image.to_parquet(folder / "validation_predictions.parquet")
    x = np.linspace(0, 1, STEPS)
    curves = [
        {"image": image, "target": "t", "training_seed": 0, "explainer": name, "metric": curve}
        | {"curve": curve, "x": x, "y": x ** rng.uniform(0.5, 2)}
        for curve in ("deletion", "insertion")
        for name in names
        for image in of_image["image"]
    ]
    pd.DataFrame(curves).to_parquet(folder / "curves.parquet")
    with h5py.File(folder / "maps.h5", "w") as file:
        file["ids"] = list(of_image["image"])
        file["images"] = rng.integers(0, 255, (images, SIDE, SIDE, 3), "uint8")
        for name in names:
            file[f"maps/{name}"] = rng.random((images, SIDE, SIDE), dtype="float32")
    manifest = {
        "name": "large",
        "run": "r",
        "seed": seed,
        "training_seeds": [0],
        "dataset": {"name": "large", "generated": True},
        "model": {"use": "net", "head": "softmax", "weights_used": "none"},
        "environment": {"device": "cpu"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "config.yaml").write_text("name: large\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--explainers", type=int, default=20)
    parser.add_argument("--metrics", type=int, default=8)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="of a run that was written before")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        if not (folder / "manifest.json").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write(folder, options.explainers, options.metrics, options.images)
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        present(folder, LineProgress(), ("png",))
        seconds = time.perf_counter() - begun
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{seconds:.1f} s; peak {most / 1024:.0f} MiB, {held / 1024:.0f} before")


if __name__ == "__main__":
    main()
