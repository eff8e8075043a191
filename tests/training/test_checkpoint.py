"""The checkpoint: what its key depends on, what it states, and what happens when it is damaged."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from toy_training import OPTIONS, STEPS, Stop, fit_toy, same, toy_data, toy_model

from xaibench.atomic import replacing
from xaibench.training.checkpoint import Checkpoint
from xaibench.training.options import AugmentOptions, CopyOptions
from xaibench.types import Data

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_second_run_trains_nothing(tmp_path: Path) -> None:
    weights, first = fit_toy(tmp_path)
    again, second = fit_toy(tmp_path, progress=(progress := Stop()))
    assert first.trained_steps == 3 * STEPS
    assert second.trained_steps == progress.steps == 0
    assert same(weights, again)
    pd.testing.assert_frame_equal(first.log, second.log, check_exact=True)
    for name in ("best_epoch", "best_step", "best_value", "key", "folder", "resumed_from"):
        assert getattr(first, name) == getattr(second, name)
    names = {p.name for p in first.folder.iterdir()}
    assert names == {"best.safetensors", "training_log.csv", "checkpoint.json"}
    assert first.folder == tmp_path / "checkpoints" / first.key[:16]


def test_the_checkpoint_states_its_recipe(whole) -> None:
    trained = whole[1]
    facts = json.loads((trained.folder / "checkpoint.json").read_text())
    assert facts["finished"] is True
    assert facts["key"] == trained.key
    assert facts["recipe"] == {"model": "toy"}
    assert facts["options"]["learning_rate"] == 0.01
    assert facts["images"] == {"train": 26, "valid": 16}
    for name in ("best_epoch", "best_step", "best_value"):
        assert facts[name] == getattr(trained, name)


def other_members(split: str) -> Data:
    """Return as many images of the same files, drawn by another seed."""
    data = toy_data()
    data.splits[split].ids = np.array([f"j{i}" for i in range(len(data.splits[split]))])
    return data


@pytest.mark.parametrize(
    "change",
    [
        {"options": OPTIONS.model_copy(update={"learning_rate": 0.02})},
        {"options": OPTIONS.model_copy(update={"augment": AugmentOptions(rotation=5)})},
        {"options": OPTIONS.model_copy(update={"shuffle_labels": True})},
        {"options": OPTIONS.model_copy(update={"copies": CopyOptions(flip=True)})},
        {"data": toy_data(checksum="d")},
        {"data": toy_data(name="other")},
        {"data": toy_data(train=24)},
        {"data": other_members("train")},
        {"data": other_members("valid")},
        {"seed": 1},
        {"recipe": {"model": "toy", "device": "cuda"}},
    ],
)
def test_another_option_data_set_or_seed_trains_anew(whole, tmp_path: Path, change: dict) -> None:
    _, trained = fit_toy(tmp_path, **change)
    assert trained.key != whole[1].key
    assert trained.trained_steps > 0


def test_the_seeds_of_other_models_are_no_part_of_the_key(whole, tmp_path: Path) -> None:
    weights, trained = fit_toy(tmp_path, options=OPTIONS.model_copy(update={"seeds": (2, 0, 1)}))
    assert trained.key == whole[1].key
    assert same(weights, whole[0])


def test_images_that_are_not_learnt_from_are_no_part_of_the_key(whole, tmp_path: Path) -> None:
    data, rest = toy_data(), toy_data(train=4).splits["train"]
    keys = set()
    for names in ("abcd", "efgh"):
        rest.ids = np.array(list(names))
        splits = data.splits | {"test": rest}
        keys.add(Checkpoint.of(replace(data, splits=splits), OPTIONS, {}, 0, tmp_path).key)
    assert len(keys) == 1


def test_how_often_it_is_saved_is_no_part_of_the_key(whole, tmp_path: Path) -> None:
    weights, trained = fit_toy(tmp_path, options=OPTIONS.model_copy(update={"save_every": 50}))
    assert trained.key == whole[1].key
    assert same(weights, whole[0])


def test_a_recipe_of_other_than_plain_values_is_refused(tmp_path: Path) -> None:
    assert fit_toy(tmp_path, recipe={"weights": Path("w.pt")})[1].trained_steps
    with pytest.raises(TypeError, match="plain values, not set"):
        fit_toy(tmp_path, recipe={"weights": {1}})


@pytest.mark.parametrize("name", ["best.safetensors", "training_log.csv", "checkpoint.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_checkpoint_is_named_and_trained_again(
    whole, tmp_path: Path, name: str, damage: str
) -> None:
    folder = tmp_path / "checkpoints" / whole[1].key[:16]
    shutil.copytree(whole[1].folder, folder)
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80  # no longer UTF-8 where it is text
    damaged = {"cut": content[: len(content) // 2], "flip": content}
    path.unlink() if damage == "gone" else path.write_bytes(damaged[damage])
    weights, again = fit_toy(tmp_path, progress=(progress := Stop()))
    assert again.trained_steps == 3 * STEPS
    assert same(weights, whole[0])
    if (name, damage) != ("checkpoint.json", "gone"):
        assert "damaged" in progress.said[0]
        assert "training starts again" in progress.said[0]


def test_a_checkpoint_of_another_shape_is_not_loaded_in_part(whole, tmp_path: Path) -> None:
    fit_toy(tmp_path)
    other = toy_model()
    other.net.head = nn.Sequential(other.net.head)  # a plugin edited under the same name
    _, trained = fit_toy(tmp_path, other, progress=(progress := Stop()))
    assert "do not fit the model" in progress.said[0]
    assert trained.key == whole[1].key
    assert trained.trained_steps == 3 * STEPS


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other", "best"])
def test_a_damaged_state_is_named_and_training_starts_again(
    whole, tmp_path: Path, damage: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit_toy(tmp_path, progress=Stop(STEPS + 2, KeyboardInterrupt))
    folder = tmp_path / "checkpoints" / whole[1].key[:16]
    path = folder / "last.pt"
    content = path.read_bytes()
    if damage == "other":
        torch.save(torch.load(path, weights_only=True) | {"key": "x"}, path)
    elif damage == "best":
        best = folder / "best.safetensors"
        best.write_bytes(best.read_bytes()[:-100])
    else:
        path.write_bytes({"cut": content[:-200], "empty": b"", "text": b"hello"}[damage])
    weights, trained = fit_toy(tmp_path, progress=(progress := Stop()))
    assert "last.pt is damaged" in progress.said[0]
    assert trained.resumed_from is None
    assert trained.trained_steps == 3 * STEPS
    assert same(weights, whole[0])


def test_drafts_of_a_killed_process_are_swept(
    whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoints" / whole[1].key[:16]
    with monkeypatch.context() as other_process:
        other_process.setattr(os, "getpid", lambda: 0)
        with pytest.raises(FileNotFoundError), replacing(folder / "last.pt") as draft:
            pass
    draft.write_bytes(b"half")
    assert fit_toy(tmp_path)[1].folder == folder
    assert not draft.exists()
