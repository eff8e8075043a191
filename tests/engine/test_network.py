"""The engine's network: folded, in its precision, the model's own numbers and counts."""

from __future__ import annotations

import gc
import weakref

import pytest
import timm
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine.folding import folded, graph_of
from xaibench.engine.network import forward_network
from xaibench.errors import UserError
from xaibench.models.timm import Timm

NORMS = nn.BatchNorm2d


def lively(net: nn.Module) -> nn.Module:
    """Give batch norms statistics and weights that folding has to get right."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda tensor: torch.rand(tensor.shape, generator=generator) + 0.5
    for module in net.modules():
        if isinstance(module, NORMS):
            module.running_mean.copy_(draw(module.running_mean) - 1)
            module.running_var.copy_(draw(module.running_var))
            if module.affine:
                module.weight.data.copy_(draw(module.weight))
                module.bias.data.copy_(draw(module.bias) - 1)
    return net.eval()


def norms_of(net: nn.Module) -> int:
    return sum(isinstance(module, NORMS) for module in net.modules())


@torch.no_grad()
def assert_same(net, other, side=64, channels=3):
    images = torch.rand(2, channels, side, side)
    wanted = net(images)
    spread = float(wanted.abs().max())
    torch.testing.assert_close(other(images), wanted, rtol=1e-4, atol=1e-5 * spread)


@pytest.mark.parametrize(
    ("architecture", "left"),
    [
        ("resnet18", 0),
        ("resnet50", 0),
        ("efficientnet_b0", 0),
        ("tf_efficientnet_lite0", 0),
        ("mobilenetv3_small_100", 0),
        # Its norms stand before the convolutions: only those between two of them can be folded.
        ("densenet121", 62),
    ],
)
def test_folding_keeps_the_function(architecture, left):
    torch.manual_seed(0)
    net = lively(timm.create_model(architecture, num_classes=3))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    copy = folded(net)
    assert norms_of(copy) == left
    assert_same(net, copy)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_folding_by_hand():
    """2 x + 1, then a norm of mean 3, variance 4, weight 6 and bias 5: 6 (2 x - 2) / 2 + 5."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.0)).eval()
    for tensor, value in zip(
        (net[0].weight, net[0].bias, net[1].running_mean, net[1].running_var, net[1].weight,
         net[1].bias), (2, 1, 3, 4, 6, 5), strict=True,
    ):  # fmt: skip
        tensor.data.fill_(value)
    copy = folded(net)
    assert (copy[0].weight.item(), copy[0].bias.item()) == (6, -1)
    assert isinstance(copy[1], nn.Identity)


class _Forked(nn.Module):
    """A norm whose convolution is read by another, too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        x = self.conv(x)
        return x + self.norm(x)


class _Twice(nn.Module):
    """A convolution with two norms in turn."""

    def __init__(self):
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.two(self.conv(self.one(self.conv(x))))


class _Looks(nn.Module):
    """A forward that depends on what it sees."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv(x)) if x.mean() > 0 else x


@pytest.mark.parametrize("net", [_Forked, _Twice, _Looks])
def test_what_cannot_be_folded_stays(net):
    torch.manual_seed(0)
    net = lively(net())
    copy = folded(net)
    assert norms_of(copy) == norms_of(net)
    assert_same(net, copy)
    assert (graph_of(net) is None) == isinstance(net, _Looks)


def test_a_norm_in_training_mode_is_not_folded():
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).train()
    assert norms_of(folded(net)) == 1


def test_a_norm_with_an_activation_keeps_it():
    net = lively(nn.Sequential(nn.Conv2d(3, 4, 3), BatchNormAct2d(4)))
    copy = folded(net)
    assert norms_of(copy) == 0
    assert_same(net, copy)
    with torch.no_grad():
        assert copy(torch.rand(1, 3, 8, 8)).min() == 0


def lively_model(precision="fp32", backend="eager"):
    torch.manual_seed(0)
    model = Timm("resnet10t", weights="none").build(
        task="binary", classes=("a", "b"), channels=3, size=(64, 64)
    )
    lively(model)
    model.precision, model.backend, model.batch_size = precision, backend, 4
    return model


def network_scores(model, images, targets, space="prob"):
    network = forward_network(model)
    with torch.inference_mode():
        return network.scores(network.normalised(images), targets, space)


IMAGES = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize("space", ["prob", "logit"])
def test_scores_are_the_models_and_counted_as_its_own(space):
    model = lively_model()
    with torch.no_grad():
        wanted = model.score(IMAGES, TARGETS, space)
    before = model.passes.forward
    torch.testing.assert_close(network_scores(model, IMAGES, TARGETS, space), wanted)
    assert model.passes.forward == before + 4


def test_bf16_is_near_and_its_head_is_exact():
    """The head in float32: logits take values that bfloat16 has not."""
    model = lively_model("bf16")
    scores = network_scores(model, IMAGES, TARGETS, "logit")
    exact = network_scores(lively_model(), IMAGES, TARGETS, "logit")
    assert scores.dtype == torch.float32
    assert scores == pytest.approx(exact, rel=0.05, abs=0.02)
    assert not torch.equal(scores, exact)
    assert not torch.equal(scores, scores.bfloat16().float())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    for name, module in forward_network(model).net.named_modules():
        exact = isinstance(module, NORMS) or name == model.head_module
        for parameter in module.parameters(recurse=False):
            assert parameter.dtype == (torch.float32 if exact else torch.bfloat16), name


def test_a_changed_model_is_copied_anew():
    model = lively_model()
    first = network_scores(model, IMAGES, TARGETS)
    assert forward_network(model) is forward_network(model)
    with torch.no_grad():
        next(model.net.parameters()).mul_(-1)
    second = network_scores(model, IMAGES, TARGETS)
    assert not torch.allclose(first, second)
    model.load_state_dict(lively_model().state_dict())
    torch.testing.assert_close(network_scores(model, IMAGES, TARGETS), first)
    model.precision = "bf16"
    assert not torch.equal(network_scores(model, IMAGES, TARGETS), first)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_that_is_watched_is_used_itself(precision):
    model, seen = lively_model(precision), []
    hook = model.net.layer1.register_forward_hook(lambda *_: seen.append(1))
    scores = network_scores(model, IMAGES, TARGETS)
    assert seen == [1]
    hook.remove()
    tolerance = {"fp32": 1e-5, "bf16": 0.05}[precision]
    assert scores == pytest.approx(network_scores(model, IMAGES, TARGETS), abs=tolerance)
    assert seen == [1]


def test_a_model_with_a_forward_of_its_own_is_used_itself(monkeypatch):
    model = lively_model()
    monkeypatch.setattr(model, "forward", lambda images: torch.zeros(len(images), 2))
    assert network_scores(model, IMAGES, TARGETS).tolist() == [0.5] * 4


def test_a_model_in_training_mode_is_used_itself():
    model = lively_model().train()
    state = model.net.bn1.running_mean.clone()
    network_scores(model, IMAGES, TARGETS)
    assert not torch.equal(model.net.bn1.running_mean, state)


def test_no_network_outlives_its_model():
    model = lively_model()
    network = weakref.ref(forward_network(model))
    del model
    gc.collect()
    assert network() is None


def test_a_graph_needs_a_cuda_device():
    with pytest.raises(UserError, match="engine: cuda_graph: it needs a CUDA device"):
        forward_network(lively_model(backend="cuda_graph"))


@pytest.mark.slow  # a C++ compiler at work
@pytest.mark.filterwarnings("default")  # the compiler's own
def test_compiled_scores_are_the_same_in_full_batches_and_others():
    model = lively_model(backend="inductor")
    wanted = network_scores(lively_model(), IMAGES, TARGETS)
    torch.testing.assert_close(network_scores(model, IMAGES, TARGETS), wanted)
    torch.testing.assert_close(network_scores(model, IMAGES[:3], TARGETS[:3]), wanted[:3])


@pytest.mark.parametrize("head", ["single_logit", "multilabel", "regression"])
def test_every_head_is_read_as_the_model_reads_it(head):
    model, batch = toy_model(head), toy_batch()
    with torch.no_grad():
        wanted = model.score(batch.images, batch.targets)
    found = network_scores(model, batch.images, batch.targets)
    torch.testing.assert_close(found, wanted)
