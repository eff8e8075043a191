"""timm models: weights from files, adapted stems and heads, normalisation, messages, the hub."""

from __future__ import annotations

import socket
import time

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data import resolve_model_data_config

from xaibench.errors import UserError
from xaibench.models.timm import Timm

SMALL = "resnet10t"


def build(architecture=SMALL, *, classes=2, channels=3, task="multiclass", **options):
    model = Timm(architecture, **options)
    model.validate()
    names = tuple(f"class {i}" for i in range(classes))
    return model.build(task=task, classes=names, channels=channels, size=(32, 32)).eval()


def saved(path, net, key: str | None = None):
    state = {k: v.clone() for k, v in net.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({key: state} if key else state, path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "key"), [("w.pt", None), ("w.pth", "state_dict"), ("w.safetensors", None)]
)
@torch.no_grad()
def test_weights_file_round_trip(tmp_path, name, key):
    net = timm.create_model(SMALL, num_classes=2)
    model = build(weights=saved(tmp_path / name, net, key))
    x = torch.rand(2, 3, 32, 32)
    expected = net.eval()((x - model.mean) / model.std)
    assert torch.equal(model.logits(x), expected)
    assert model.weights.startswith(f"{name} (sha256 ")


def test_head_of_another_number_of_classes_is_left_fresh(tmp_path):
    net = timm.create_model(SMALL, num_classes=1000)
    model = build(classes=3, weights=saved(tmp_path / "w.pt", net))
    assert model.net.fc.weight.shape == (3, 512)
    for name, value in net.state_dict().items():
        assert name.startswith("fc.") or torch.equal(model.net.state_dict()[name], value)


def test_a_stem_of_three_channels_is_summed_into_one(tmp_path):
    net = timm.create_model("resnet18", num_classes=2)
    model = build("resnet18", channels=1, weights=saved(tmp_path / "w.safetensors", net))
    total = net.conv1.weight[:, :1] + net.conv1.weight[:, 1:2] + net.conv1.weight[:, 2:]
    assert torch.allclose(model.net.conv1.weight, total, atol=1e-6)
    assert model.logits(torch.rand(2, 1, 32, 32)).shape == (2, 2)


def test_weights_that_do_not_fit_name_the_differences(tmp_path):
    net = timm.create_model(SMALL, num_classes=2)
    state = net.state_dict()
    state["layer1.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    state["extra"] = state.pop("bn1.weight")
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(UserError) as raised:
        build(weights=str(tmp_path / "w.pt"))
    message = str(raised.value)
    assert "does not fit the architecture (3 differences)" in message
    assert "lacks bn1.weight" in message
    assert "has extra, which the network has not" in message
    assert "layer1.0.conv1.weight is (1, 2, 3, 3), must be (64, 64, 3, 3)" in message


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_a_damaged_file_is_named(tmp_path, name, damage):
    path = tmp_path / name
    saved(path, timm.create_model(SMALL, num_classes=2))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no weights" * 100)
    with pytest.raises(UserError, match=rf"{name} cannot be read"):
        build(weights=str(path))


def test_a_file_without_a_state_dict_is_named(tmp_path):
    torch.save([1, 2], tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds no state dict"):
        build(weights=str(tmp_path / "w.pt"))


def test_unknown_names_are_refused_before_anything_is_built(tmp_path):
    with pytest.raises(UserError, match=r"no model 'resnet81'.*did you mean 'resnet\d+"):
        Timm("resnet81").validate()
    with pytest.raises(UserError, match="neither 'imagenet' nor 'none' nor an existing file"):
        Timm(weights=str(tmp_path / "missing.pt")).validate()


@pytest.fixture(params=["closed", "silent"])
def dead_hub(request, monkeypatch, tmp_path):
    """A hub on a closed port, and one that takes the connection and never answers."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if request.param == "silent":
            listening.listen()
            monkeypatch.setattr("xaibench.models.timm._HUB_SECONDS", 1.0)
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        yield


def test_an_unreachable_hub_is_an_error_within_ten_seconds(dead_hub):
    began = time.monotonic()
    with pytest.raises(UserError, match=r"timm's hub .*'none' to go on without"):
        build(weights="imagenet")
    assert time.monotonic() - began < 10


def test_an_unreachable_hub_falls_back_when_that_is_asked_for(dead_hub):
    model = build(weights="imagenet", weights_fallback="none")
    assert model.weights.startswith("none (imagenet was asked for, but timm's hub")


def test_an_architecture_without_imagenet_weights_is_named():
    with pytest.raises(UserError, match="timm has no ImageNet weights for 'resnetblur18'"):
        build("resnetblur18", weights="imagenet")


@pytest.mark.parametrize("architecture", ["resnet18", "convnext_atto", "vit_tiny_patch16_224"])
def test_normalisation_is_that_of_timm(architecture):
    model = build(architecture, weights="none")
    config = resolve_model_data_config(model.net)
    assert model.mean.flatten().tolist() == pytest.approx(config["mean"])
    assert model.std.flatten().tolist() == pytest.approx(config["std"])


def test_one_channel_is_normalised_by_the_mean_over_channels():
    model = build(channels=1, weights="none")
    config = resolve_model_data_config(model.net)
    assert model.mean.flatten().tolist() == pytest.approx([sum(config["mean"]) / 3])
    assert model.std.flatten().tolist() == pytest.approx([sum(config["std"]) / 3])


@pytest.mark.parametrize(
    ("task", "single_logit", "classes", "outputs"),
    [("binary", True, 2, 1), ("binary", False, 2, 2), ("multiclass", False, 4, 4),
     ("multilabel", False, 3, 3), ("regression", False, 1, 1)],
)  # fmt: skip
def test_as_many_outputs_as_the_head_reads(task, single_logit, classes, outputs):
    model = build(classes=classes, task=task, single_logit=single_logit, weights="none")
    assert model.logits(torch.rand(2, 3, 32, 32)).shape == (2, outputs)
    assert model.module(model.linear_head).out_features == outputs


def test_options_are_those_of_timms_constructor():
    model = build("test_vit", weights="none", options={"depth": 2, "global_pool": "avg"})
    assert len(model.net.blocks) == 2
    assert model.net.global_pool == "avg"
    assert model.cam_layer == "blocks.1"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"num_classes": 3}, "options: num_classes is the data set's number of classes; leave"),
        ({"depht": 2}, r"test_vit with depht = 2, .*unexpected keyword argument 'depht'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, why):
    with pytest.raises(UserError, match=why):
        build("test_vit", weights="none", options=options)
