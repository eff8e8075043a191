"""Stages that stay as they were built, for a while or throughout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_training import OPTIONS, STEPS, fit_toy, same, toy_data, toy_model

from xaibench.errors import UserError
from xaibench.models.timm import Timm
from xaibench.training.freezing import Freezing
from xaibench.training.options import TrainingOptions

pytestmark = pytest.mark.usefixtures("one_thread")


def _changed(tmp_path: Path, **change: object) -> set[str]:
    """Return the modules of which something differs after training."""
    model = toy_model()
    built = {k: v.clone() for k, v in model.net.state_dict().items()}
    weights, _ = fit_toy(tmp_path, model, options=OPTIONS.model_copy(update=change))
    return {k.partition(".")[0] for k, v in weights.items() if not torch.equal(v, built[k])}


@pytest.mark.parametrize(
    ("frozen", "changed"),
    [
        (0, {"conv", "norm", "head"}),
        (1, {"norm", "head"}),
        (2, {"head"}),
        ("backbone", {"head"}),
    ],
)
def test_frozen_stages_keep_weights_and_statistics(tmp_path: Path, frozen, changed) -> None:
    assert _changed(tmp_path, frozen_stages=frozen) == changed


def test_a_freeze_of_all_epochs_is_one_throughout(tmp_path: Path) -> None:
    found = [
        fit_toy(tmp_path, options=OPTIONS.model_copy(update={"frozen_stages": 2} | change))[0]
        for change in ({}, {"frozen_epochs": 3}, {"frozen_epochs": 2}, {"frozen_epochs": 0})
    ]
    assert same(found[0], found[1])
    assert not same(found[1], found[2])
    assert same(found[3], fit_toy(tmp_path)[0])


def test_the_second_stage_is_a_training_of_all_from_where_the_first_one_ended(
    tmp_path: Path,
) -> None:
    """A literal twin of plain SGD: the head alone for an epoch, and then everything."""
    change = {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant", "patience": 99}
    options = OPTIONS.model_copy(update=change | {"epochs": 2, "validate_every": 2 * STEPS})
    seen = {}

    def watch(name: str, frozen: dict) -> dict:
        model, seen[name] = toy_model(), []
        now = lambda *_: {k: v.clone() for k, v in model.net.state_dict().items()}
        model.net.register_forward_pre_hook(lambda *_: seen[name].append(now()))
        return fit_toy(tmp_path / name, model, options=options.model_copy(update=frozen))[0]

    watch("two", {"frozen_stages": "backbone", "frozen_epochs": 1})
    watch("head", {"frozen_stages": "backbone"})
    before, after = seen["two"][STEPS], seen["two"][STEPS + 1]
    assert same(before, seen["head"][STEPS])
    assert all(torch.equal(before[k], seen["two"][0][k]) for k in before if "head" not in k)
    assert not torch.equal(after["conv.weight"], before["conv.weight"])
    assert after["norm.num_batches_tracked"] == before["norm.num_batches_tracked"] + 1


def test_frozen_modules_are_in_eval_mode_and_the_rest_is_not() -> None:
    model = toy_model()
    options = TrainingOptions(frozen_stages=2, frozen_epochs=1)
    freezing = Freezing.of(model, options)
    freezing.set_modes(model, 0)
    modes = {name: module.training for name, module in model.net.named_children()}
    assert modes == {n: n not in ("conv", "norm") for n in modes}
    wanted = {n for n, p in model.net.named_parameters() if p.requires_grad}
    assert wanted == {"head.weight", "head.bias"}
    freezing.set_modes(model, 1)
    assert all(module.training for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_a_hidden_head_is_the_head() -> None:
    model = Timm("resnet10t", weights="none", hidden=4).build(
        task="regression", classes=("a",), channels=1, size=(32, 32)
    )
    Freezing.of(model, TrainingOptions(frozen_stages="backbone")).set_modes(model, 0)
    wanted = {n for n, p in model.net.named_parameters() if p.requires_grad}
    assert wanted == {"fc.0.weight", "fc.0.bias", "fc.2.weight", "fc.2.bias"}
    assert model.net.fc[0].training
    assert not model.net.layer1[0].training


def test_what_was_frozen_before_stays_so(tmp_path: Path) -> None:
    model = toy_model()
    model.net.conv.requires_grad_(False)
    built = model.net.conv.weight.clone()
    fit_toy(tmp_path, model, options=OPTIONS.model_copy(update={"frozen_epochs": 1}))
    assert torch.equal(model.net.conv.weight, built)


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (3, r"frozen_stages: 3 is more than the model's 2 stages \(conv; norm\); use fewer"),
        ("backbone", "backbone needs a model that names its head; use a number of stages"),
    ],
)
def test_stages_that_the_model_has_not_are_refused(tmp_path: Path, frozen, message) -> None:
    options = OPTIONS.model_copy(update={"frozen_stages": frozen})
    with pytest.raises(UserError, match=message):
        fit_toy(tmp_path, toy_model(linear_head=None), toy_data(), options)
