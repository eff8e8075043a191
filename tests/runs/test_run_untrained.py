"""A network that was trained elsewhere, from its checkpoint to its leaderboard in one run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from heard import Heard
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision.models import resnet18

from xaibench.config.reading import load_config
from xaibench.errors import UserError
from xaibench.progress import SilentProgress
from xaibench.runs.fitting import Workplace, fitted_models
from xaibench.runs.story import run
from xaibench.runs.verifying import Asked, verify

MEAN, STD = (0.7, 0.55, 0.7), (0.2, 0.25, 0.2)
CONFIG = """
name: own
batch_size: 8
images: {count: 2}
segments: {n_segments: 8}
dataset:
  use: pcam
  when_missing: synthesize
  synthetic: {root: data, train: 24, valid: 16, test: 16}
model:
  use: torchvision
  architecture: resnet18
  weights: checkpoint.pth
  mean: [0.7, 0.55, 0.7]
  std: [0.2, 0.25, 0.2]
training: {epochs: 0}
explainers: {random: , grad_cam: }
metrics: {deletion: {steps: 2}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a data set, and with a checkpoint that nothing of the harness has written."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for slow in ("draw_all", "write_page"):
            patch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)
        (folder / "run.yaml").write_text(CONFIG, "utf-8")
        torch.save({}, folder / "checkpoint.pth")  # for the config to be read
        data = load_config("run.yaml").dataset.open(
            seed=42, cache=folder / "cache", progress=SilentProgress()
        )
        net = train(data.splits["train"])
        saved = {"epoch": 3, "state_dict": net.state_dict(), "optimizer": {}, "best_acc1": 0.9}
        saved |= {"mean": list(MEAN), "std": [0.229, 0.224, 0.225], "img_size": 224}
        torch.save(saved, folder / "checkpoint.pth")
        yield folder, net.module.eval(), data


def pixels(split, rows) -> torch.Tensor:
    images = torch.from_numpy(split.images(rows)).permute(0, 3, 1, 2).float() / 255
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def train(split) -> nn.Module:
    """Train as people do: DataParallel, normalised by a transform of their own."""
    torch.manual_seed(3)
    net = nn.DataParallel(resnet18(num_classes=2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for start in range(0, 24, 8):
        rows = np.arange(start, start + 8)
        loss = cross_entropy(net(pixels(split, rows)), torch.tensor(split.labels[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


@pytest.fixture(scope="module")
def result(place):
    heard = Heard()
    return run(load_config("run.yaml"), place[0] / "results", heard), heard.lines


def test_predictions_are_those_of_the_network(place, result):
    _, net, data = place
    table = pd.read_parquet(result[0] / "predictions.parquet")
    split = data.splits["test"]
    with torch.no_grad():
        own = net(pixels(split, np.arange(len(split)))).softmax(1).numpy()
    assert np.ptp(own[:, 1]) > 1e-3  # they tell the images apart
    columns = [f"p_{name}" for name in data.classes]
    assert list(table["image"]) == list(split.ids)
    assert np.abs(table[columns].to_numpy() - own).max() < 1e-6


def test_it_says_what_it_took_and_what_it_doubts(result):
    said = result[1]
    assert "Weights of checkpoint.pth: those under 'state_dict', names without 'module.'" in said
    assert (
        "Warning: images are normalised by the std (0.2, 0.25, 0.2), and checkpoint.pth says "
        "(0.229, 0.224, 0.225)"
    ) in said
    assert "Warning: images are 96x96, and checkpoint.pth says 224x224" in said
    assert not any("by the mean" in line for line in said)
    assert not any(line.startswith("Training") for line in said)
    (told,) = (line for line in said if line.startswith("Nothing is trained"))
    assert re.fullmatch(
        r"Nothing is trained \(training\.epochs: 0\); validation loss \S+, accuracy \S+, auroc \S+",
        told,
    )


def test_manifest_and_checkpoint_say_that_nothing_was_trained(place, result):
    folder, net, data = place
    model = json.loads((result[0] / "manifest.json").read_text())["model"]
    assert model["trained"] is False
    assert (model["best_epoch"], model["best_accuracy"]) == (0, None)
    assert len(model["noticed"]) == 3
    split = data.splits["valid"]
    with torch.no_grad():
        logits = net(pixels(split, np.arange(len(split))))
    labels = torch.tensor(split.labels)
    wanted = {
        "loss": float(cross_entropy(logits, labels)),
        "accuracy": float((logits.argmax(1) == labels).float().mean()),
    }
    assert {name: model["validation"][name] for name in wanted} == pytest.approx(wanted, abs=1e-5)
    (facts,) = (folder / "results/cache/checkpoints").glob("*/checkpoint.json")
    assert json.loads(facts.read_text())["trained"] is False
    assert pd.read_csv(result[0] / "training_log.csv").empty
    assert (result[0] / "leaderboard.md").is_file()


def test_it_is_loaded_again_and_verified(place, result):
    folder, *_ = place
    config = load_config("run.yaml")
    with torch.random.fork_rng():
        work = Workplace(torch.device("cpu"), folder / "results/cache", Heard())
        (again,) = fitted_models(config, place[2], work)
    assert again.trained.validation is not None
    assert any(line.startswith("Nothing is trained") for line in work.progress.lines)
    checks = list(verify(Asked(result[0], cells=1), SilentProgress()))
    assert [check.what for check in checks if not check.passed] == []


def test_other_weights_are_another_run(place, result):
    folder, net, _ = place
    other = folder / "other.pth"
    state = {k: v.clone() for k, v in net.state_dict().items()}
    torch.save(state, other)
    words = ["model.weights=other.pth", "metrics={deletion: {steps: 2}}", "explainers={edge: }"]
    first = run(load_config("run.yaml", words), folder / "results", SilentProgress())
    state["fc.bias"] += 1
    torch.save(state, other)
    second = run(load_config("run.yaml", words), folder / "results", SilentProgress())
    assert first != second


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["metrics={label_randomisation: , deletion: }"],
         r"metrics\.label_randomisation: compares with a twin .* training\.epochs is 0"),
        (["model.weights=none.pth"], r"model\.weights: .*'none\.pth' is neither 'none' nor"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(place, words, why):
    with pytest.raises(UserError, match=why):
        run(load_config("run.yaml", words), place[0] / "refused", SilentProgress())


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_an_archive_is_scored_without_gradients(place):
    folder, net, data = place
    torch.jit.save(torch.jit.trace(net, torch.rand(2, 3, 96, 96)), Path("net.pt"))
    model = "model={use: exported, file: net.pt, mean: [0.7, 0.55, 0.7], std: [0.2, 0.25, 0.2]}"
    words = [model, "explainers={edge: , rise: {masks: 8}}"]
    done = run(load_config("run.yaml", words), folder / "results", SilentProgress())
    table = pd.read_parquet(done / "predictions.parquet")
    with torch.no_grad():
        own = net(pixels(data.splits["test"], np.arange(16))).softmax(1).numpy()
    columns = [f"p_{name}" for name in data.classes]
    assert np.abs(table[columns].to_numpy() - own).max() < 1e-5
    scores = pd.read_parquet(done / "scores.parquet")
    assert set(scores["status"]) == {"ok"}
    assert set(scores["model"]) == {"net"}
    edge = "explainers={edge: }"
    for words, why in {
        (model, "explainers={grad_cam: }"): r"explainers\.grad_cam: grad_cam needs gradients and",
        (model, edge, "metrics={weight_randomisation: }"): r"weight_randomisation: draws",
        (model, edge, "training={epochs: 1}"): "can be trained; use epochs: 0",
    }.items():
        with pytest.raises(UserError, match=why):
            run(load_config("run.yaml", list(words)), folder / "refused", SilentProgress())
