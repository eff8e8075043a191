"""Backends of forward passes: the same scores as eager PyTorch, or it is eager PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from xaibench.engine.backend_choice import Choice, choose_backend
from xaibench.engine.backends import BACKENDS
from xaibench.engine.backends.base import Backend
from xaibench.engine.network import ForwardNetwork, forward_network
from xaibench.errors import UserError
from xaibench.models.timm import Timm

IMAGES = torch.rand(9, 3, 64, 64, generator=torch.Generator().manual_seed(1))
HERE = BACKENDS["openvino"].lacking("cpu", "fp32") is None
needs_openvino = pytest.mark.skipif(not HERE, reason="openvino is installed on x86 Linux alone")


def built(architecture: str = "resnet10t", size: int = 64, batch_size: int = 4):
    torch.manual_seed(0)
    model = Timm(architecture, weights="none").build(
        task="binary", classes=("a", "b"), channels=3, size=(size, size)
    )
    model.eval().requires_grad_(False)
    model.batch_size = batch_size
    return model


def logits(network: ForwardNetwork, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.logits(network.normalised(images)).clone()


@needs_openvino
@pytest.mark.parametrize(
    "architecture", ["resnet10t", "tf_efficientnet_lite0", "vit_tiny_patch16_224"]
)
def test_openvino_gives_the_networks_outputs(architecture):
    size = 224 if architecture.startswith("vit") else 64
    model = built(architecture, size)
    images = nn.functional.interpolate(IMAGES[:4], (size, size))
    wanted = logits(ForwardNetwork(model, "eager"), images)
    with torch.no_grad():
        torch.testing.assert_close(wanted, model(images), rtol=1e-4, atol=1e-5)
    found = logits(ForwardNetwork(model, "openvino"), images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@needs_openvino
def test_an_images_outputs_are_the_same_whatever_it_is_batched_with():
    model = built(batch_size=9)  # which a network does not keep alive
    network = ForwardNetwork(model, "openvino")
    together = logits(network, IMAGES)
    alone = torch.cat([logits(network, image[None]) for image in IMAGES])
    turned = logits(network, IMAGES.flip(0)).flip(0)
    assert torch.equal(together, turned)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)
    assert torch.equal(together, logits(network, IMAGES))


@needs_openvino
def test_openvino_takes_images_of_another_shape():
    model = built()
    network = ForwardNetwork(model, "openvino")
    for side in (64, 96):
        images = nn.functional.interpolate(IMAGES, (side, side))
        wanted = logits(ForwardNetwork(model, "eager"), images)
        torch.testing.assert_close(logits(network, images), wanted, rtol=1e-4, atol=1e-5)


@needs_openvino
def test_openvino_opens_no_socket_and_brings_no_telemetry():
    code = """
import sys
asked = []
sys.addaudithook(lambda event, args: event.startswith("socket.") and asked.append(event))
import torch
from xaibench.engine.backends import BACKENDS
made = BACKENDS["openvino"].compiled(torch.nn.Conv2d(3, 2, 3))
made(torch.rand(2, 3, 8, 8).to(memory_format=torch.channels_last))
assert sys.modules.get("openvino_telemetry") is None, "telemetry was imported"
print([event for event in asked if event != "socket.gethostname"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@needs_openvino
def test_a_signal_is_survived_after_networks_are_gone():
    code = """
import faulthandler, gc, signal
faulthandler.enable()  # gives a stack for signals too, as pytest does
import torch
from xaibench.engine.backends import BACKENDS
for side in (8, 12):
    made = BACKENDS["openvino"].compiled(torch.nn.Conv2d(3, 2, 3))
    for wide in (side, 2 * side):
        made(torch.rand(2, 3, wide, wide).to(memory_format=torch.channels_last))
del made
gc.collect()
signal.signal(signal.SIGALRM, lambda *_: print("survived"))
signal.raise_signal(signal.SIGALRM)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "survived")


def test_where_a_backend_cannot_be_used_it_says_why():
    openvino, graph = BACKENDS["openvino"], BACKENDS["cuda_graph"]
    assert openvino.lacking("cuda", "fp32") == "it runs on CPUs, and the model is on cuda"
    assert openvino.lacking("cpu", "bf16") == "it computes in float32, and precision is bf16"
    assert graph.lacking("cpu", "fp32") == "it needs a CUDA device, and the model is on cpu"
    assert BACKENDS["eager"].lacking("cuda", "bf16") is None
    model = built()
    model.precision = "bf16"
    with pytest.raises(UserError, match="engine: openvino: it computes in float32"):
        ForwardNetwork(model, "openvino")


class Planted(Backend):
    """A backend that is as wrong, as broken or as slow as a test wants it."""

    any_size = True
    name = "openvino"

    def __init__(self, change):
        self.change, self.made = change, 0

    def lacking(self, device, precision):
        return None

    def version(self):
        return "planted 1"

    def compiled(self, net):
        self.made += 1
        return lambda images: self.change(net(images))


@pytest.fixture
def plant(monkeypatch):
    def put(change) -> Planted:
        planted = Planted(change)
        monkeypatch.setitem(BACKENDS, "openvino", planted)
        return planted

    return put


def broken(_):
    raise RuntimeError("no such operator: aten::odd\nand more")


@pytest.mark.parametrize("asked", ["auto", "openvino"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (broken, "it failed (no such operator: aten::odd)"),
        (lambda logits: logits + torch.tensor([0.01, 0.0]), "its scores differ by 0.00"),
        (lambda logits: logits * torch.nan, "its scores differ by nan"),
        (lambda logits: logits[:1], "it failed ("),
    ],
)
def test_a_backend_that_fails_or_disagrees_is_passed_over(plant, asked, change, said):
    plant(change)
    model = built()
    choice = choose_backend(model, asked, IMAGES)
    assert (choice.name, model.backend, model.speedup) == ("eager", "eager", 1.0)
    assert choice.passed_over["openvino"].startswith(said)
    assert f"not openvino: {said}" in str(choice)
    wanted = logits(ForwardNetwork(model, "eager"), IMAGES)
    assert torch.equal(logits(forward_network(model), IMAGES), wanted)


def test_what_agrees_but_is_slower_is_not_taken_unless_it_is_asked_for(plant):
    plant(lambda logits: logits + 0)
    model = built()
    assert choose_backend(model, "openvino", IMAGES).name == "openvino"
    assert model.backend == "openvino"
    slow = plant(
        lambda logits: [torch.rand(600, 600) @ torch.rand(600, 600) for _ in range(9)] and logits
    )
    choice = choose_backend(model, "auto", IMAGES)
    assert (choice.name, choice.passed_over) == ("eager", {"openvino": "it is slower"})
    assert slow.made == 1


def test_the_faster_one_is_taken_and_made_once(plant, monkeypatch):
    planted = plant(lambda logits: logits)
    monkeypatch.setattr(
        "xaibench.engine.backend_choice._seconds", lambda *_: {"eager": 3.0, "openvino": 1.0}
    )
    model = built()
    before = model.passes.copy()
    choice = choose_backend(model, "auto", IMAGES)
    assert (choice.name, choice.speedup, choice.difference) == ("openvino", 3.0, (0.0, 0.0))
    assert (model.backend, model.speedup) == ("openvino", 3.0)
    assert str(choice).startswith("Passes run through openvino (planted 1), 3.0 x as fast as eager")
    logits(forward_network(model), IMAGES[:3])
    assert planted.made == 1
    assert model.passes.forward == before.forward + 3  # what choosing took counts for nobody


def test_nothing_is_timed_where_the_speedup_is_known(plant, monkeypatch):
    plant(lambda logits: logits)
    monkeypatch.setattr("xaibench.engine.backend_choice._seconds", lambda *_: pytest.fail("timed"))
    model = built()
    choice = choose_backend(model, "openvino", IMAGES, speedup=2.5)
    assert (choice.name, choice.speedup, model.speedup) == ("openvino", 2.5, 2.5)


def test_eager_takes_no_pass(plant):
    planted = plant(broken)
    model = built()
    choice = choose_backend(model, "eager", IMAGES)
    assert (choice.name, choice.speedup, planted.made) == ("eager", None, 0)


def test_a_model_that_is_watched_stays_as_it_is(plant):
    plant(lambda logits: logits)
    model = built()
    model.net.layer1.register_forward_hook(lambda *_: None)
    choice = choose_backend(model, "auto", IMAGES)
    assert choice.name == model.backend == "eager"
    assert "must be seen at work" in choice.passed_over["openvino"]


def test_a_choice_is_remembered_by_the_networks_structure(plant, monkeypatch, tmp_path):
    from xaibench.runs import backends
    from xaibench.types import Data, Split

    class Few(Split):
        labels = np.zeros(5, np.int64)
        ids = groups = np.array([f"i{at}" for at in range(5)])

        def images(self, indices):
            return np.random.default_rng(0).integers(0, 255, (len(indices), 64, 64, 3), np.uint8)

        def masks(self, indices, targets):
            return {}

    few = dict.fromkeys(("train", "valid", "test"), Few())
    data = Data("x", "binary", ("a", "b"), 3, (64, 64), few, "sum", {})
    plant(lambda logits: logits)
    timed = []
    known = {"eager": 2.0, "openvino": 1.0}
    monkeypatch.setattr(
        "xaibench.engine.backend_choice._seconds", lambda *_: timed.append(1) or known
    )
    own = tmp_path / "own"
    monkeypatch.setenv("XAIBENCH_CACHE", str(own))
    choose = lambda model, cache="run": backends.backend_of(model, "auto", data, tmp_path / cache)
    first, again = choose(built()), choose(built(), "another run")
    assert isinstance(first, Choice)
    assert [c.name for c in (first, again)] == ["openvino"] * 2
    assert again.speedup == 2.0
    assert len(timed) == 1
    choose(built("resnet18"))
    choose(built(batch_size=2))
    assert len(timed) == 3
    (own / "backends.json").write_text(json.dumps(["damaged"]))
    choose(built())
    assert len(timed) == 4
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("XAIBENCH_CACHE", str(own / "backends.json"))  # no folder can be there
    choose(built())
    choose(built())
    assert len(timed) == 5
    assert (tmp_path / "run/backends.json").exists()
