"""Folders as Hugging Face writes them: whole or in parts, and what their configs say."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from xaibench.errors import UserError
from xaibench.models.module import Module
from xaibench.models.timm import Timm
from xaibench.models.torchvision import Torchvision
from xaibench.networks.made_for import MadeFor
from xaibench.networks.weight_files import load_weights


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(5)
    return {name: tensor.clone() for name, tensor in network().state_dict().items()}


SAVE = {"model.safetensors": save_file, "pytorch_model.bin": torch.save}


def whole(folder, name, state):
    SAVE[name](state, folder / name)


def in_parts(folder, name, state):
    stem, ending = name.split(".")
    parts = {name: f"{stem}-{at % 2 + 1:05}-of-00002.{ending}" for at, name in enumerate(state)}
    for part in set(parts.values()):
        SAVE[name]({k: v for k, v in state.items() if parts[k] == part}, folder / part)
    index = {"metadata": {"total_size": 1}, "weight_map": parts}
    (folder / f"{name}.index.json").write_text(json.dumps(index), "utf-8")


@pytest.mark.parametrize("save", [whole, in_parts])
@pytest.mark.parametrize("name", SAVE)
@pytest.mark.parametrize("prefix", ["", "vit.", "backbone."])
def test_a_folder_is_read(prefix, name, save, trained, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    save(folder, name, {f"{prefix}{k}": v for k, v in trained.items()})
    (folder / "config.json").write_text('{"model_type": "vit"}', "utf-8")
    index = folder / (f"{name}.index.json" if save is in_parts else name)
    for path in (folder, index):
        net = network()
        loaded = load_weights(net, path)
        for key, value in trained.items():
            assert torch.equal(net.state_dict()[key], value), key
        assert loaded.notes == (f"Weights of {path.name}: names without {prefix!r}",) * bool(prefix)
        assert loaded.said.startswith(f"{path.name} ({'2 parts, ' * (save is in_parts)}sha256 ")


def test_what_it_is_called_hangs_on_every_part(trained, tmp_path):
    in_parts(tmp_path, "model.safetensors", trained)
    first = load_weights(network(), tmp_path).said
    in_parts(tmp_path, "model.safetensors", trained | {"3.bias": torch.ones(2)})
    assert load_weights(network(), tmp_path).said != first


CONFIGS = [
    ({"config.json": {"pretrained_cfg": {"mean": [0.5] * 3, "input_size": [3, 96, 96]}}},
     MadeFor("model", (0.5,) * 3, None, (96, 96))),
    ({"config.json": {"image_size": 64},
      "preprocessor_config.json": {"image_mean": [0.1] * 3, "image_std": [0.2] * 3}},
     MadeFor("model", (0.1,) * 3, (0.2,) * 3, (64, 64))),
    ({"preprocessor_config.json": {"crop_size": {"height": 32, "width": 48}}},
     MadeFor("model", None, None, (32, 48))),
    ({"config.json": []}, None),
]  # fmt: skip


@pytest.mark.parametrize(("configs", "wanted"), CONFIGS)
def test_configs_beside_the_weights_say_for_which_images(configs, wanted, trained, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    whole(folder, "model.safetensors", trained)
    for name, config in configs.items():
        (folder / name).write_text(json.dumps(config), "utf-8")
    assert load_weights(network(), folder).made_for == wanted


def test_a_network_of_transformers_is_told_by_name(trained, tmp_path):
    config = {"architectures": ["ViTForImageClassification"], "transformers_version": "4.44.0"}
    whole(tmp_path, "model.safetensors", {"vit.embeddings.cls_token": torch.ones(1)})
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    why = r"config\.json names ViTForImageClassification of transformers: with `use: module`, name"
    with pytest.raises(UserError, match=why):
        load_weights(network(), tmp_path)


PLUGINS = {
    "torchvision": lambda path: Torchvision(weights=str(path)),
    "timm": lambda path: Timm(weights=str(path)),
    "module": lambda path: Module("torchvision.models:resnet18", weights=str(path)),
}


@pytest.mark.parametrize("name", PLUGINS)
def test_every_file_is_part_of_the_runs_identity(name, trained, tmp_path):
    in_parts(tmp_path, "model.safetensors", trained)
    (tmp_path / "config.json").write_text("{}", "utf-8")
    plugin = PLUGINS[name](tmp_path)
    plugin.validate()
    told = {path.name for path in plugin.sources() if path.parent == tmp_path}
    assert told == {path.name for path in tmp_path.iterdir()} - {"config.json"}


def lacks_a_part(folder):
    next(folder.glob("*-00002-of-*")).unlink()


def names_another_folder(folder):
    index = {"weight_map": {"3.bias": "../model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


def is_no_index(folder):
    (folder / "model.safetensors.index.json").write_text("[1]", "utf-8")


def is_empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


REFUSED = [
    (is_empty, r"weights: the folder .* holds none of model\.safetensors, pytorch_model\.bin, "),
    (lacks_a_part, r"index\.json names model-00002-of-00002\.safetensors, which is not beside it"),
    (names_another_folder, r"index\.json is no index of weights: it must have weight_map, from"),
    (is_no_index, r"index\.json is no index of weights"),
]


@pytest.mark.parametrize(("damage", "why"), REFUSED)
@pytest.mark.parametrize("name", PLUGINS)
def test_a_folder_without_weights_is_refused_before_anything_loads(
    name, damage, why, trained, tmp_path
):
    in_parts(tmp_path, "model.safetensors", trained)
    damage(tmp_path)
    with pytest.raises(UserError, match=why):
        PLUGINS[name](tmp_path).validate()


@pytest.mark.parametrize(
    ("plugin", "word"),
    [
        (Torchvision(weights_key="ema"), "none"),
        (Timm(weights="imagenet", weights_key="ema"), "imagenet"),
        (Module("torchvision.models:resnet18", weights_key="ema"), "factory"),
    ],
)
def test_a_key_needs_a_file(plugin, word):
    with pytest.raises(
        UserError, match=f"weights_key: is of a checkpoint, and weights is '{word}'"
    ):
        plugin.validate()
