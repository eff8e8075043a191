"""How long tables, figures and page of a large run take, and what memory they hold.

python -m benchmarks.large_presentation --explainers 20 --metrics 8 --images 100 200 500
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from benchmarks.large_board import rows as score_rows
from benchmarks.tables import markdown
from xaibench.progress import LineProgress
from xaibench.runs.present import present

SIDE = 96
STEPS = 51


def write(folder: Path, explainers: int, metrics: int, images: int, seed: int = 0) -> None:
    """Write what ``present`` reads of a finished run: scores, curves, maps and predictions."""
    rng = np.random.default_rng(seed)
    scores = score_rows(explainers, metrics, images, seed)
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


def presented(folder: Path) -> dict[str, float]:
    """Return what ``present`` takes in this process: wall and CPU seconds, and MiB at the most."""
    held = _peak()
    begun = time.perf_counter(), time.process_time()
    present(folder, LineProgress(), ("png",))
    wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
    return {"wall": wall, "cpu": cpu, "held": held, "peak": _peak()}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--explainers", type=int, default=20)
    parser.add_argument("--metrics", type=int, default=8)
    parser.add_argument("--images", type=int, nargs="+", default=[500])
    parser.add_argument("--folder", type=Path, help="keep each run, or take it from there")
    options = parser.parse_args(arguments)
    columns = ["images", "wall s", "CPU s", "MiB before", "peak MiB"]
    rows = []
    for images in options.images:
        # Each in a process of its own: a peak never falls, and writing has one too.
        fresh = ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1)
        with tempfile.TemporaryDirectory() as made, fresh:
            folder = (options.folder or Path(made)) / str(images)
            if not (folder / "manifest.json").is_file():
                folder.mkdir(parents=True, exist_ok=True)
                fresh.submit(write, folder, options.explainers, options.metrics, images).result()
            took = fresh.submit(presented, folder).result()
        told = [f"{took['wall']:.1f}", f"{took['cpu']:.1f}"]
        rows.append([str(images), *told, f"{took['held']:.0f}", f"{took['peak']:.0f}"])
    print(f"{options.explainers} explainers x {options.metrics} metrics\n")
    print(markdown(columns, rows))


if __name__ == "__main__":
    main()
