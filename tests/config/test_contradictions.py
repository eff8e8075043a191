"""Settings that contradict the task are refused as the config is read: no image, no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xaibench.config.contradictions import check_task
from xaibench.config.reading import load_config
from xaibench.errors import UserError
from xaibench.registry import Registry

TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"
TASKS = {
    "chest_xray_pneumonia": "binary",
    "chexpert": "regression",
    "nih_chestxray14": "multilabel",
    "pcam": "binary",
    "pneumothorax": "binary",
}


def dataset(name: str) -> str:
    return f"dataset={{use: {name}, when_missing: synthesize}}"


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        (
            "chexpert",
            ["training.monitor=auroc"],
            "--set training.monitor=auroc: training.monitor: is auroc, which regression has not "
            "(the task of chexpert); use monitor: loss",
        ),
        ("chexpert", [], "training.monitor: is accuracy, which regression has not"),
        (
            "chexpert",
            ["training.monitor=loss", "training.pos_weight=2.0"],
            "--set training.pos_weight=2.0: training.pos_weight: the task of chexpert is "
            "regression, which has no positives to weigh; leave it out",
        ),
        (
            "pcam",
            ["model_per_label=true"],
            "--set model_per_label=true: model_per_label: pcam has one label an image (binary); "
            "leave it out, or use a data set of several labels",
        ),
        (
            "nih_chestxray14",
            ["training.monitor=auroc", "model.single_logit=true"],
            "--set model.single_logit=true: model.single_logit: is of two classes, and the task of "
            "nih_chestxray14 is multilabel; leave it out",
        ),
        (
            "chexpert",
            ["training.epochs=0", "model={use: timm, weights: none, single_logit: true}"],
            "model.single_logit: is of two classes, and the task of chexpert is regression",
        ),
    ],
)
def test_a_contradiction_is_told_with_its_place(name, settings, said):
    with pytest.raises(UserError) as caught:
        load_config(TINY, [dataset(name), *settings])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("chexpert", ["training.monitor=loss", "training.sampling=balanced"]),
        ("chexpert", ["training.epochs=0"]),
        ("nih_chestxray14", ["training.monitor=auroc", "training.pos_weight=balanced"]),
        ("nih_chestxray14", ["model_per_label=true"]),
        ("pcam", ["training.pos_weight=2.0"]),
        ("pcam", ["model.single_logit=true"]),
        ("nih_chestxray14", ["training.monitor=auroc", "model.single_logit=false"]),
    ],
)
def test_what_the_task_allows_is_let_be(name, settings):
    assert load_config(TINY, [dataset(name), *settings]).dataset.name == name


def test_what_only_the_open_data_set_knows_is_told_then():
    several = load_config(TINY, ["training.sampling=balanced", "training.monitor=loss"])
    with pytest.raises(UserError, match=r"training.sampling: balanced .* has 5; use sampling"):
        check_task(several, "multilabel", 5)
    check_task(several, "multilabel", 1)
    check_task(several, None, 5)
    with pytest.raises(UserError, match=r"training.monitor: is accuracy"):
        check_task(load_config(TINY), "regression", 1)
    single = load_config(TINY, ["model.single_logit=true"])
    check_task(single, "binary", 2)
    with pytest.raises(UserError, match=r"model.single_logit: .* the task of pcam is multiclass"):
        check_task(single, "multiclass", 3)


def test_our_data_sets_say_their_task():
    registry = Registry()
    known = {name: registry.load("dataset", name).task for name in TASKS}
    assert known == TASKS


@pytest.mark.parametrize(
    ("settings", "task"),
    [
        ({"label": "age", "regression": True}, "regression"),
        ({"labels": ("a", "b")}, "multilabel"),
        ({"label": "found", "separator": "|"}, "multilabel"),
        ({"label": "class"}, None),
    ],
)
def test_a_table_of_ones_own_knows_its_task_by_its_parameters(settings, task):
    registry = Registry()
    assert registry.load("dataset", "image_table")(**settings).task == task
    arrays = registry.load("dataset", "arrays")
    assert arrays(regression=settings.get("regression", False)).task in (task, None)


def test_no_torch_is_needed_to_be_told():
    code = (
        "import sys\nfrom xaibench.config import contradictions\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
