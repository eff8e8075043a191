"""zennit's composites: equal to the library called directly, conserving, in words where refused."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import timm
import torch
from torch import nn
from torchvision.models import resnet18
from zennit import composites
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.torchvision import ResNetCanonizer

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.errors import UserError
from xaibench.explainers.zennit.base import canonical
from xaibench.models.base import Classifier
from xaibench.registry import Registry

NAMES = sorted(n for n in Registry().names("explainer") if n.startswith("zennit."))
GRADIENTS = ("zennit.guided_backprop", "zennit.deconvnet", "zennit.beta_smooth")


def explainer(name, **parameters):
    return Registry().load("explainer", name)(**parameters)


def directly(name, net, image, target, canonizer):
    """Return what the library itself gives for one normalised image."""
    cls = composites.COMPOSITES[name.partition(".")[2]]
    box = {"low": torch.full_like(image, -2), "high": torch.full_like(image, 2)}
    options = box if cls is composites.EpsilonGammaBox else {}
    ones = name in GRADIENTS or name == "zennit.excitation_backprop"

    def start(output):
        chosen = torch.zeros_like(output)
        chosen[0, target] = 1.0 if ones else output[0, target].detach()
        return chosen

    with Gradient(net, cls(canonizers=[canonizer], **options)) as attributor:
        _, relevance = attributor(image.clone().requires_grad_(), start)
    return relevance.sum(1)[0].detach()


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_the_library_image_by_image(name):
    model, batch = toy_model("softmax"), toy_batch()
    maps = explainer(name)(model, batch).maps
    for i, target in enumerate(batch.targets.tolist()):
        image = (batch.images[i : i + 1] - model.mean) / model.std
        own = directly(name, copy.deepcopy(model.net), image, target, SequentialMergeBatchNorm())
        torch.testing.assert_close(maps[i], own, rtol=1e-4, atol=1e-6 * float(own.abs().max()))


@pytest.mark.parametrize("name", ["zennit.epsilon_plus", "zennit.epsilon_gamma_box"])
def test_a_residual_network_is_made_canonical_as_the_librarys_own_canonizer_does(name):
    torch.manual_seed(0)
    net = resnet18(num_classes=3).eval()
    model = classifier(net, ("a", "b", "c"), 32)
    batch = toy_batch(images=2)
    maps = explainer(name)(model, batch).maps
    for i, target in enumerate(batch.targets.tolist()):
        image = (batch.images[i : i + 1] - model.mean) / model.std
        own = directly(name, copy.deepcopy(net), image, target, ResNetCanonizer())
        torch.testing.assert_close(maps[i], own, rtol=1e-3, atol=1e-5 * float(own.abs().max()))


# Not a network whose layers end without a rectifier (EfficientNet): a unit to which everything
# contributes negatively has no positive contribution that z-plus could hand its relevance to.
@pytest.mark.parametrize("architecture", ["resnet10t", "densenet121"])
def test_relevance_is_conserved_where_no_layer_has_a_bias(architecture):
    torch.manual_seed(0)
    net = timm.create_model(architecture, num_classes=2).eval()
    with torch.no_grad():  # biases take relevance: away with them
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d | nn.Linear):
                module.bias.zero_()
    model, batch = classifier(net, ("a", "b"), 32), toy_batch(images=2)
    maps = explainer("zennit.epsilon_plus")(model, batch).maps
    scores = model.score(batch.images, batch.targets, "logit")
    torch.testing.assert_close(maps.sum((1, 2)), scores, rtol=0.02, atol=1e-4)


def test_a_linear_network_is_answered_with_its_contributions():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2, bias=False))
    model, batch = classifier(net, ("a", "b"), 32), toy_batch()
    maps = explainer("zennit.epsilon_plus", epsilon=1e-9)(model, batch).maps
    normalised = (batch.images - model.mean) / model.std
    weights = net[1].weight.view(2, 3, 32, 32)[batch.targets]
    torch.testing.assert_close(maps, (weights * normalised).sum(1).detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_single_logit_is_two_classes(name):
    single = toy_model("single_logit", 3)
    pair = toy_model("softmax", 3)
    pair.net.load_state_dict(
        single.net.state_dict()
        | {
            "fc.weight": torch.cat([-single.net.fc.weight, single.net.fc.weight]),
            "fc.bias": torch.cat([-single.net.fc.bias, single.net.fc.bias]),
        }
    )
    batch = toy_batch()
    torch.testing.assert_close(
        explainer(name)(single, batch).maps, explainer(name)(pair, batch).maps
    )


def test_additions_and_means_become_modules_and_nothing_else_changes():
    torch.manual_seed(0)
    net = timm.create_model("resnet10t", num_classes=2).eval()
    model = classifier(net, ("a", "b"), 32)
    traced, merge = canonical(model)
    image = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(traced(image), net(image))
    assert sum(type(m).__name__ == "_SumOfTwo" for m in traced.modules()) == 4
    assert len(merge.name_map) == sum(isinstance(m, nn.BatchNorm2d) for m in net.modules())


@pytest.mark.parametrize(
    ("architecture", "why"),
    [
        ("efficientnet_b0", "no rule for the function 'mul'"),
        ("vit_tiny_patch16_224", "no rule for"),
        ("swin_tiny_patch4_window7_224", "no rule for|cannot be traced"),
    ],
)
def test_what_has_no_rule_is_said(architecture, why):
    net = timm.create_model(architecture, num_classes=2).eval()
    with pytest.raises(UserError, match=rf"zennit.epsilon_plus: .*({why})"):
        explainer("zennit.epsilon_plus").check(classifier(net, ("a", "b"), 224))


def test_the_network_is_traced_once_and_follows_the_weights():
    model, batch = toy_model(), toy_batch()
    own = explainer("zennit.epsilon_plus")
    first = own(model, batch).maps
    assert torch.equal(own(model, batch).maps, first)
    with torch.no_grad():
        model.net.stem.weight.mul_(2)
    changed = own(model, batch).maps
    assert not torch.allclose(changed, first)
    torch.testing.assert_close(changed, own(copy.deepcopy(model), batch).maps)


def test_a_network_without_relu_is_no_case_for_guided_backprop():
    model = toy_model()
    model.net.act, model.net.last_act = nn.GELU(), nn.GELU()
    with pytest.raises(UserError, match=r"zennit\.guided_backprop: it changes how ReLU"):
        explainer("zennit.guided_backprop").check(model)


def test_a_single_logit_without_a_linear_head_is_refused():
    model = toy_model("single_logit")
    model.linear_head = None
    with pytest.raises(UserError, match="the model names none"):
        explainer("zennit.epsilon_plus").check(model)


@pytest.mark.parametrize("name", NAMES)
def test_odd_sizes_and_the_declared_cost(name):
    model, batch = toy_model("multilabel", 1), toy_batch(1)
    images = batch.images[:, :, :27, :21].contiguous()
    cut = lambda maps: maps[:, :27, :21].contiguous()
    masks = {k: cut(v) for k, v in batch.masks.items()}
    odd = replace(batch, images=images, segments=cut(batch.segments), masks=masks)
    made = explainer(name)(model, odd)
    assert made.maps.shape == (5, 27, 21)
    assert made.passes == explainer(name).cost(model, odd)


def classifier(net, classes, side) -> Classifier:
    return Classifier(
        net,
        head="softmax",
        classes=classes,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        cam_layer=None,
        linear_head=None,
        pool=None,
        input_shape=(3, side, side),
        batch_size=4,
    ).eval()
