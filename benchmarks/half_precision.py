"""What bf16 changes: areas under deletion and insertion, and the order of explainers by them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.standard import explainers
from benchmarks.subjects import SEED, as_batch, data_root
from benchmarks.tables import markdown
from xaibench.datasets.pcam import Pcam
from xaibench.engine.batch import Batch
from xaibench.imaging.means import channel_mean
from xaibench.metrics.deletion import Deletion
from xaibench.metrics.insertion import Insertion
from xaibench.models.base import Classifier
from xaibench.models.timm import Timm
from xaibench.phantoms.pcam import PcamPhantoms
from xaibench.progress import Progress
from xaibench.training.loop import fit
from xaibench.training.options import TrainingOptions
from xaibench.types import Data

Areas = dict[str, dict[str, list[list[float]]]]
"""metric -> explainer -> in fp32 and in bf16, a number an image."""


@dataclass(frozen=True)
class Amount:
    """How much is trained and compared."""

    images: int = 16
    samples: int = 300
    steps: int = 50
    epochs: int = 2
    synthetic: tuple[int, int] = (600, 100)
    """Training and test patches where real ones are missing."""


def open_data(cache: Path, amount: Amount, progress: Progress) -> Data:
    """Return the real PCam subset, or generated patches where it is missing."""
    root = data_root() / "pcam_subset"
    if root.is_dir():
        return Pcam(root).open(seed=SEED, cache=cache, progress=progress)
    train, test = amount.synthetic
    options = PcamPhantoms(cache / "pcam_synthetic", train=train, valid=test, test=test)
    generated = Pcam(None, when_missing="synthesize", synthetic=options)
    return generated.open(seed=SEED, cache=cache, progress=progress)


def trained(
    data: Data,
    weights: Path | None,
    amount: Amount,
    device: torch.device,
    cache: Path,
    progress: Progress,
) -> tuple[Classifier, str]:
    """Return a model and where it is from: a file of weights, or a short training kept in a cache.

    Args:
        weights: of a trained timm tf_efficientnet_lite0; None trains one from ImageNet weights
            where they are at hand.
    """
    start = data_root() / "weights" / "tf_efficientnet_lite0.pt"
    first = weights or (start if start.is_file() else None)
    plugin = Timm("tf_efficientnet_lite0", weights=str(first) if first else "none")
    torch.manual_seed(SEED)
    model = plugin.build(
        task=data.task, classes=data.classes, channels=data.channels, size=data.size
    )
    model = model.to(device=device, memory_format=torch.channels_last).eval()
    said = f"weights {weights.name}" if weights else f"{amount.epochs} epochs on {data.name}"
    if not weights:
        options = TrainingOptions(epochs=amount.epochs, learning_rate=1e-3, monitor="auroc")
        recipe = {"model": model.weights, "dataset": data.name, "device": device.type}
        fit(model, data, options, recipe=recipe, seed=SEED, cache=cache, progress=progress)
        said += f" from {'ImageNet weights' if first else 'random weights'}"
    model.requires_grad_(False)
    return model, f"tf_efficientnet_lite0, {said}"


def batch_of_test_images(data: Data, model: Classifier, count: int) -> Batch:
    """Return the first test images, the predicted class for their target."""
    split = data.splits["test"]
    at = np.arange(min(count, len(split)))
    images = torch.from_numpy(split.images(at)).permute(0, 3, 1, 2).float() / 255
    mean = torch.from_numpy(channel_mean(data.splits["train"], SEED))
    return as_batch(model, images, tuple(str(i) for i in split.ids[at]), mean, 50)


def compare(model: Classifier, batch: Batch, amount: Amount, about: str) -> dict[str, object]:
    """Return the section of the JSON file: what bf16 changes by scores alone, and by maps too.

    ``scores``: the same maps, made in fp32. ``maps_and_scores``: both in the precision, as in a
    run with ``precision: bf16``.
    """
    half = copy.deepcopy(model)
    half.precision = "bf16"
    alone: Areas = {"deletion": {}, "insertion": {}}
    both: Areas = {"deletion": {}, "insertion": {}}
    for name, explainer in explainers(amount.samples).items():
        maps, half_maps = (explainer(each, batch).maps for each in (model, half))
        for metric in (Deletion(amount.steps), Insertion(amount.steps)):
            area = lambda each, m, metric=metric: (
                metric.score(each, batch, m).values[metric.name].tolist()
            )
            exact = area(model, maps)
            alone[metric.name][name] = [exact, area(half, maps)]
            both[metric.name][name] = [exact, area(half, half_maps)]
    section = {
        "scores": summary(alone, f"{about}; scores of the same maps"),
        "maps_and_scores": summary(both, f"{about}; maps and their scores"),
    }
    return section | {"table": "\n\n".join(s["table"] for s in section.values())}


def summary(areas: Areas, about: str) -> dict[str, object]:
    """Return the section of areas[metric][explainer] = [in fp32, in bf16], a number an image."""
    section: dict[str, object] = {"areas": areas, "about": about}
    rows, means = [], []
    for metric, found in areas.items():
        both = {name: np.asarray(values) for name, values in found.items()}
        changes = {name: float(np.abs(v[1] - v[0]).mean()) for name, v in both.items()}
        orders = [sorted(both, key=lambda n, k=k: both[n][k].mean()) for k in (0, 1)]
        section[metric] = {"mean_change": changes, "orders": orders, "same": orders[0] == orders[1]}
        means.append(f"{metric} {np.mean(list(changes.values())):.1e}")
        for name in orders[0]:
            areas_of = [f"{v.mean():.4f}" for v in both[name]]
            place = f"{orders[0].index(name) + 1} → {orders[1].index(name) + 1}"
            rows.append([metric, name, *areas_of, f"{changes[name]:.1e}", place])
    columns = ["metric", "explainer", "fp32", "bf16", "mean absolute change", "place, lowest first"]
    same = all(section[metric]["same"] for metric in areas)
    said = "the order of explainers is the same" if same else "the order of explainers CHANGES"
    title = f"**bf16 against fp32**: {about}; mean absolute change of {', '.join(means)}; {said}."
    section["table"] = f"{title}\n\n{markdown(columns, rows)}"
    return section
