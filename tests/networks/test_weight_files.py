"""Checkpoints as they are in the world, unwrapped; what does not fit is told by its nearest."""

from __future__ import annotations

import argparse
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18

from xaibench.errors import UserError
from xaibench.networks.made_for import MadeFor
from xaibench.networks.weight_files import load_weights


def network(outputs=2):
    return resnet18(num_classes=outputs)


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(5)
    return network()


def load(net, path, heads=(), key=None):
    return load_weights(net, path, key=key, heads=heads)


def named(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def other(state):
    """Return weights of the same names and shapes, as an average of them would be."""
    return {name: tensor + 1 for name, tensor in state.items()}


def lightning(s):
    weights = named(s, "model.") | {"criterion.weight": torch.ones(2)}
    return {"epoch": 3, "state_dict": weights, "optimizer_states": [{"state": {0: {}}}],
            "hyper_parameters": {"lr": 1e-3}, "pytorch-lightning_version": "2.4"}  # fmt: skip


# How it is wrapped, and what is said of it; None where nothing is.
WRAPPED = {
    "plain": (lambda s: s, None),
    "state_dict": (lambda s: {"epoch": 1, "state_dict": s}, "those under 'state_dict'"),
    "model_state_dict": (lambda s: {"model_state_dict": s}, "those under 'model_state_dict'"),
    "model": (lambda s: {"model": s, "optimizer": {"state": {0: torch.ones(3)}}}, "under 'model'"),
    "net": (lambda s: {"net": s, "acc": 93.1}, "those under 'net'"),
    "module": (lambda s: {"module": s}, "those under 'module'"),
    "ema": (lambda s: {"ema": s, "step": 4}, "those under 'ema'"),
    "data parallel": (lambda s: {"state_dict": named(s, "module.")}, "names without 'module.'"),
    "compiled": (lambda s: named(s, "_orig_mod."), "names without '_orig_mod.'"),
    "lightning": (lightning, "names without 'model.', left out criterion.weight"),
    "nested": (
        lambda s: {"model": {"state_dict": named(s, "module._orig_mod.model.")}},
        "those under 'model.state_dict', names without 'module._orig_mod.model.'",
    ),
    "inside": (
        lambda s: {k.replace("layer1.", "layer1.module."): v for k, v in s.items()},
        "names without 'module' inside",
    ),
    "parts": (
        lambda s: {"model": named({k: v for k, v in s.items() if k[:3] != "fc."}, "backbone.")
                   | {k: v for k, v in s.items() if k[:3] == "fc."}},
        "names without 'backbone.'",
    ),
    "encoder": (lambda s: named(s, "encoder."), "names without 'encoder.'"),
    "timm": (
        lambda s: {"state_dict": s, "state_dict_ema": other(s), "args": argparse.Namespace(lr=0.1)},
        "those under 'state_dict', not those under 'state_dict_ema', which fit as well",
    ),
    "numbers": (
        lambda s: {"model": s, "best": np.float64(0.9), "epoch": np.int64(3)}, "under 'model'"
    ),
    "old": (
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")}, None
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPPED)
def test_a_checkpoint_is_unwrapped(name, trained, tmp_path):
    wrap, said = WRAPPED[name]
    torch.save(wrap(dict(trained.state_dict())), tmp_path / "w.pth")
    net = network()
    loaded = load(net, tmp_path / "w.pth")
    for key, value in trained.state_dict().items():
        assert torch.equal(net.state_dict()[key], value), key
    assert loaded.said.startswith("w.pth (sha256 ")
    assert loaded.fresh == ()
    if said is None:
        assert loaded.notes == ()
    else:
        (note,) = loaded.notes
        assert note.startswith("Weights of w.pth: ")
        assert said in note


def averaged(s):
    """As the references of torchvision save what torch.optim.swa_utils averages."""
    return {"n_averaged": torch.tensor(7)} | named(other(s), "module.")


def two_in_lightning(s):
    names = named(s, "model.") | named(other(s), "ema_model.") | {"loss.weight": torch.ones(2)}
    return {"state_dict": names, "epoch": 3}


def module_in_lightning(s):
    return {"state_dict": named(s, "net.") | named(other(s), "ema.module.")}


# How it is wrapped, the key of the others, what is said of both, and what the keyed are without.
SEVERAL = {
    "timm": (
        lambda s: {"state_dict": s, "state_dict_ema": other(s)},
        "state_dict_ema",
        "those under 'state_dict', not those under 'state_dict_ema', which fit as well",
        "those under 'state_dict_ema', not those under 'state_dict', which fit as well",
    ),
    "torchvision": (
        lambda s: {"model": s, "model_ema": averaged(s), "scaler": {"scale": 1.0}},
        "model_ema",
        "those under 'model', not those under 'model_ema', which fit as well",
        "those under 'model_ema', names without 'module.', left out n_averaged, "
        "not those under 'model', which fit as well",
    ),
    "lightning": (
        two_in_lightning,
        "state_dict.ema_model",
        "those under 'state_dict', names without 'model.', left out loss.weight, "
        "not those under 'state_dict.ema_model', which fit as well",
        "those under 'state_dict.ema_model', not those under 'state_dict.model', which fit as well",
    ),
    "lightning, timm's average": (
        module_in_lightning,
        "state_dict.ema",
        "those under 'state_dict', names without 'net.', "
        "not those under 'state_dict.ema', which fit as well",
        "those under 'state_dict.ema', names without 'module.', "
        "not those under 'state_dict.net', which fit as well",
    ),
    "dino": (
        lambda s: {
            "student": named(other(s), "module.backbone."),
            "teacher": named(s, "backbone."),
        },
        "student",
        "those under 'teacher', names without 'backbone.', "
        "not those under 'student.module.backbone', which fit as well",
        "those under 'student', names without 'module.backbone.', "
        "not those under 'teacher.backbone', which fit as well",
    ),
    "bare": (
        lambda s: dict(s) | named(other(s), "ema_model."),
        "ema_model",
        "not those under 'ema_model', which fit as well",
        "those under 'ema_model'",
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_of_several_sets_the_key_chooses(name, trained, tmp_path):
    wrap, key, best, keyed = SEVERAL[name]
    own = dict(trained.state_dict())
    torch.save(wrap(own), tmp_path / "w.pth")
    for asked, wanted, said in ((None, own, best), (key, other(own), keyed)):
        net = network()
        (note,) = load(net, tmp_path / "w.pth", key=asked).notes
        chooses = " (weights_key chooses)" * ("which fit as well" in said)
        assert note == f"Weights of w.pth: {said}{chooses}"
        for name, value in wanted.items():
            assert torch.equal(net.state_dict()[name], value), name


def test_every_set_that_is_told_can_be_asked_for(trained, tmp_path):
    """What is said to fit as well is a key that loads, from either side."""
    own = dict(trained.state_dict())
    for wrap, key, *_ in SEVERAL.values():
        torch.save(wrap(own), tmp_path / "w.pth")
        (note,) = load(network(), tmp_path / "w.pth", key=key).notes
        for told in re.findall(r"not those under '([^']+)'", note):
            net = network()
            load(net, tmp_path / "w.pth", key=told)
            assert torch.equal(net.fc.weight, own["fc.weight"])


def test_the_same_weights_twice_are_no_choice(trained, tmp_path):
    state = dict(trained.state_dict())
    torch.save({"model": state, "module": state}, tmp_path / "w.pth")
    (note,) = load(network(), tmp_path / "w.pth").notes
    assert note == "Weights of w.pth: those under 'model'"


def test_a_key_that_is_not_there_is_told_by_the_nearest(trained, tmp_path):
    torch.save(two_in_lightning(dict(trained.state_dict())), tmp_path / "w.pth")
    with pytest.raises(UserError) as raised:
        load(network(), tmp_path / "w.pth", key="ema_modle")
    message = str(raised.value)
    assert message.startswith(f"weights_key: {tmp_path / 'w.pth'} has no weights under 'ema_modle'")
    assert "(did you mean 'state_dict.ema_model'" in message
    assert "; weights that fit lie under 'state_dict.model', 'state_dict.ema_model'" in message


def test_a_key_of_something_else_does_not_fit(trained, tmp_path):
    momenta = {"state": {0: {"exp_avg": torch.ones(3)}}}
    torch.save({"model": trained.state_dict(), "optimizer": momenta}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"does not fit the architecture .*: lacks conv1.weight"):
        load(network(), tmp_path / "w.pth", key="optimizer")


def test_a_prefix_that_nobody_knows_is_taken_off_where_all_else_fits(trained, tmp_path):
    state = named(trained.state_dict(), "vit.resnet.") | {"pooler.weight": torch.ones(1)}
    torch.save(state, tmp_path / "w.pth")
    net = network()
    (note,) = load(net, tmp_path / "w.pth").notes
    assert note == "Weights of w.pth: names without 'vit.resnet.', left out pooler.weight"
    assert torch.equal(net.fc.weight, trained.fc.weight)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_hugging_face_names_of_files(name, trained, tmp_path):
    state = named({k: v.clone() for k, v in trained.state_dict().items()}, "backbone.")
    save = save_file if name.endswith("safetensors") else torch.save
    save(state, tmp_path / name)
    net = network()
    load(net, tmp_path / name)
    assert torch.equal(net.fc.weight, trained.fc.weight)


def test_the_file_decides_by_its_content_not_by_its_name(trained, tmp_path):
    save_file({k: v.clone() for k, v in trained.state_dict().items()}, tmp_path / "w.pth")
    net = network()
    load(net, tmp_path / "w.pth")
    assert torch.equal(net.fc.weight, trained.fc.weight)


def test_a_network_that_wraps_takes_bare_names(trained, tmp_path):
    torch.save(trained.state_dict(), tmp_path / "w.pth")
    wrapping = nn.Module()
    wrapping.model = network()
    (note,) = load(wrapping, tmp_path / "w.pth").notes
    assert "names with 'model.' before them" in note
    assert torch.equal(wrapping.model.fc.weight, trained.fc.weight)


def test_weights_of_a_network_of_encoders_keep_their_prefix(tmp_path):
    net, other = (nn.ModuleDict({"encoder": nn.Linear(2, 2)}) for _ in range(2))
    torch.save(net.state_dict(), tmp_path / "w.pth")
    assert load(other, tmp_path / "w.pth").notes == ()
    assert torch.equal(other["encoder"].weight, net["encoder"].weight)


def test_what_does_not_fit_is_told_by_nearest_names_and_first_shapes(trained, tmp_path):
    state = dict(trained.state_dict())
    state["layer1.0.convolution1.weight"] = state.pop("layer1.0.conv1.weight")
    state["layer2.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    state["fc.bias"] = torch.zeros(9)
    torch.save({"state_dict": named(state, "module.")}, tmp_path / "w.pth")
    with pytest.raises(UserError) as raised:
        load(network(), tmp_path / "w.pth")
    message = str(raised.value)
    assert "does not fit the architecture (4 differences): lacks layer1.0.conv1.weight" in message
    assert "(did you mean 'layer1.0.convolution1.weight'?)" in message
    assert "has layer1.0.convolution1.weight, which the network has not" in message
    assert "layer2.0.conv1.weight is (1, 2, 3, 3), must be (128, 64, 3, 3)" in message
    assert "fc.bias is (9,), must be (2,)" in message


def test_a_network_of_another_kind_names_three(trained, tmp_path):
    torch.save({f"stem.{i}.weight": torch.ones(1) for i in range(5)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"lacks conv1.weight \(did you mean '.*', '.*' or '.*'\?"):
        load(network(), tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: s | {"fc.weight": torch.ones(9, 512), "fc.bias": torch.ones(9)},
         "the head 'fc' is fresh: fc.weight of the file is (9, 512), the network's (2, 512)"),
        (lambda s: {k: v for k, v in s.items() if k[:3] != "fc."},
         "the head 'fc' is fresh: the file has no fc.weight"),
    ],
)  # fmt: skip
def test_a_head_that_stays_fresh_says_why(change, why, trained, tmp_path):
    torch.save(change(dict(trained.state_dict())), tmp_path / "w.pth")
    assert load(network(), tmp_path / "w.pth", heads=("fc",)).fresh == (why,)


RECORDS = [
    ({"mean": [0.5, 0.5, 0.5], "std": (0.2, 0.2, 0.2)}, ((0.5,) * 3, (0.2,) * 3, None)),
    ({"config": {"mean": [127.5], "std": [51], "img_size": 64}}, ((0.5,), (0.2,), (64, 64))),
    ({"args": argparse.Namespace(input_size=[3, 96, 128])}, (None, None, (96, 128))),
    ({"mean": True, "std": "no", "size": [1, 2, 3, 4]}, None),
]


@pytest.mark.parametrize(("beside", "wanted"), RECORDS)
def test_a_checkpoint_may_say_for_which_images(beside, wanted, trained, tmp_path):
    torch.save({"state_dict": trained.state_dict()} | beside, tmp_path / "w.pth")
    found = load(network(), tmp_path / "w.pth").made_for
    assert found == (wanted and MadeFor("w.pth", *wanted))


def test_differences_name_both_values():
    record = MadeFor("w.pth", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (224, 224))
    assert list(record.differences((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (224, 224))) == []
    assert list(record.differences((0.449,), (0.226,), (224, 224))) == []  # of grey images
    assert list(record.differences((0.5,) * 3, (0.229, 0.224, 0.225), (96, 96))) == [
        "Warning: images are normalised by the mean (0.5, 0.5, 0.5), and w.pth says "
        "(0.485, 0.456, 0.406)",
        "Warning: images are 96x96, and w.pth says 224x224",
    ]
