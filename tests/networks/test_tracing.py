"""Networks traced so that every activation is a module of its own."""

from __future__ import annotations

import operator

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from xaibench.errors import UserError
from xaibench.networks.tracing import LINEAR, Mark, traced, without_rule


class Sum(nn.Module):
    def forward(self, x, y):
        return x + y


class Net(nn.Module):
    """One ReLU in place and used twice, a functional one, an addition, an identity, a dropout."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)
        self.none, self.drop, self.flat = nn.Identity(), nn.Dropout(), nn.Flatten()
        self.fc = nn.Linear(4, 2)
        self.unused = nn.Linear(1, 1)

    def forward(self, x):
        x = self.act(self.a(x))
        y = self.act(self.b(self.none(x)))
        y += x
        y = self.drop(F.relu(y * 0.5)).mean((2, 3), keepdim=True)
        return self.fc(self.flat(y))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


def test_gives_the_same_outputs_by_modules_of_its_own(net):
    drawn, x = traced(net, addition=Sum), torch.rand(2, 3, 9, 7)
    assert torch.equal(drawn(x), net(x))
    kinds = [type(module) for module in drawn.modules()]
    assert [kinds.count(kind) for kind in (nn.ReLU, Sum, nn.Conv2d, nn.Linear)] == [3, 1, 2, 1]
    assert not {nn.Identity, nn.Dropout, nn.Flatten} & set(kinds)
    assert not any(getattr(module, "inplace", False) for module in drawn.modules())
    assert operator.add in {node.target for node in traced(net).graph.nodes}


def test_has_the_network_s_own_weights_and_none_of_its_hooks(net):
    net.a.register_forward_hook(lambda *_: 1 / 0)
    drawn = traced(net)
    net.a._forward_hooks.clear()
    x = torch.rand(1, 3, 9, 7)
    net.a.load_state_dict({name: -value for name, value in net.a.state_dict().items()})
    assert torch.equal(drawn(x), net(x))
    for module in drawn.modules():
        module.register_forward_hook(lambda *_: None)
    assert not any(module._forward_hooks for module in net.modules())
    assert net.act.inplace


def test_marks_the_output_of_a_module_whatever_it_is_made_of():
    torch.manual_seed(0)
    net = timm.create_model("resnet10t", num_classes=2).eval()
    drawn, x = traced(net, "layer3"), torch.rand(1, 3, 32, 32)
    seen, wanted = [], []
    drawn.mark.register_forward_hook(lambda *of: seen.append(of[2]))
    net.layer3.register_forward_hook(lambda *of: wanted.append(of[2].clone()))
    assert torch.equal(drawn(x), net(x))
    assert torch.equal(seen[0], wanted[0])
    assert isinstance(drawn.mark, Mark)


def test_a_module_that_is_not_used_cannot_be_marked(net):
    with pytest.raises(UserError, match="does not use its module 'unused'"):
        traced(net, "unused")


def test_a_branch_on_the_input_is_told_or_stays_inside_its_module():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(UserError, match=r"cannot be traced by torch\.fx"):
        traced(Branch())
    whole = nn.Sequential(nn.Linear(3, 3), Branch())
    x = -torch.rand(2, 3)
    assert torch.equal(traced(whole)(x), whole(x))


def test_names_what_has_no_rule(net):
    modules = frozenset({nn.ReLU, nn.Conv2d, nn.Linear})
    drawn = traced(net)
    assert without_rule(drawn, modules, LINEAR) == "the function 'mul'"
    assert without_rule(drawn, modules - {nn.Linear}, LINEAR | {operator.mul}) == "the Linear 'fc'"
    assert without_rule(drawn, modules, LINEAR | {operator.mul}) is None
