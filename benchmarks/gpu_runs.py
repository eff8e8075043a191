"""Training, a whole run, and memory over the number of images."""

from __future__ import annotations

import time

import pandas as pd
import torch

from benchmarks import scaling
from benchmarks.stage import Stage
from benchmarks.subjects import ROOT, SEED
from benchmarks.tables import markdown
from xaibench.config.reading import load_config
from xaibench.datasets.pcam import Pcam
from xaibench.models.timm import Timm
from xaibench.phantoms.pcam import PcamPhantoms
from xaibench.progress import LineProgress
from xaibench.runs.story import run
from xaibench.training.loop import fit
from xaibench.training.options import TrainingOptions


def training(stage: Stage) -> dict[str, object]:
    """Return images a second of training on generated patches, epoch by epoch.

    On a GPU the harness trains in mixed precision; there is no switch for it.
    """
    count, batch = (64, 16) if stage.tiny else (2048, 64)
    options = PcamPhantoms(stage.scratch / "patches", train=count, valid=64, test=64)
    dataset, progress = Pcam(None, when_missing="synthesize", synthetic=options), LineProgress()
    data = dataset.open(seed=SEED, cache=stage.scratch, progress=progress)
    size = stage.size
    torch.manual_seed(SEED)
    model = Timm(size.architecture, weights="none").build(
        task=data.task, classes=data.classes, channels=data.channels, size=data.size
    )
    model = model.to(device=stage.device, memory_format=torch.channels_last)
    trained = fit(
        model,
        data,
        TrainingOptions(epochs=2, batch_size=batch),
        recipe={"model": size.architecture, "device": stage.device.type},
        seed=SEED,
        cache=stage.scratch,
        progress=progress,
    )
    rates = [count / seconds for seconds in trained.log["seconds"]]
    mixed = "mixed precision" if stage.device.type == "cuda" else "fp32"
    said = f"{size.architecture}, {data.size[0]} px, batches of {batch}, {mixed}, with validation"
    rows = [[f"epoch {k + 1}", f"{rate:.0f}"] for k, rate in enumerate(rates)]
    table = f"**Training**: {said}\n\n{markdown(['', 'images a second'], rows)}"
    return {"images_a_second": rates, "table": table}


def whole_run(stage: Stage) -> dict[str, object]:
    """Run configs/tiny.yaml from its data to its figures."""
    said = [f"device={stage.device}", f"dataset.synthetic.root={stage.scratch / 'pcam_tiny'}"]
    config = load_config(ROOT / "configs" / "tiny.yaml", said)
    begun = time.monotonic()
    folder = run(config, stage.scratch / "runs", LineProgress())
    seconds = time.monotonic() - begun
    statuses = pd.read_parquet(folder / "scores.parquet")["status"].value_counts().to_dict()
    rows = [[f"rows {name}", str(count)] for name, count in statuses.items()]
    rows.insert(0, ["seconds", f"{seconds:.1f}"])
    table = f"**A whole run of configs/tiny.yaml**\n\n{markdown(['', ''], rows)}"
    return {"seconds": seconds, "statuses": statuses, "table": table}


def memory(stage: Stage) -> dict[str, object]:
    """Return time and peak memory as a run grows, each amount in a fresh process."""
    if stage.tiny:
        return scaling.quick(stage.device)
    return scaling.compare("resnet18_96", stage.device, {"images": (64, 512)})
