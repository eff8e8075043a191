"""Every attribution of captum: its contract, and captum called directly, image by image."""

from __future__ import annotations

import gc
import warnings
from dataclasses import replace

import captum.attr as peers
import numpy as np
import pytest
import timm
import torch
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr._utils.custom_modules import Addition_Module
from torch import nn
from torch.nn import functional as F

from xaibench.checks.comparing import gap
from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import hookable
from xaibench.engine.seeding import seeded
from xaibench.errors import UserError
from xaibench.explainers.captum.base import RowWise, background
from xaibench.models.base import HOOK_TABLES, Classifier
from xaibench.randomness import image_seed
from xaibench.registry import Registry

FAMILY = [name for name in Registry().names("explainer") if name.startswith("captum.")]
QUICK = {
    "integrated_gradients": {"steps": 4},
    "internal_influence": {"steps": 4},
    "layer_conductance": {"steps": 6},
    "layer_integrated_gradients": {"steps": 4},
    "gradient_shap": {"samples": 3, "baselines": 3, "stdev": 0.1},
    "layer_gradient_shap": {"samples": 3, "baselines": 3},
    "deep_lift_shap": {"baselines": 3},
    "layer_deep_lift_shap": {"baselines": 3},
    "kernel_shap": {"samples": 12},
    "lime": {"samples": 12},
    "shapley_value_sampling": {"samples": 2},
    "occlusion": {"window": 9, "stride": 6},
    "noise_tunnel": {"samples": 3},
}


def make(name, **parameters):
    stem = name.removeprefix("captum.")
    explainer = Registry().load("explainer", f"captum.{stem}")(**QUICK.get(stem, {}) | parameters)
    explainer.validate()
    return explainer


def batch_of(channels=3, size=(33, 47), images=3, targets=(0, 1, 1)):
    generator = torch.Generator().manual_seed(5)
    rows, columns = torch.arange(size[0]) // (size[0] // 2 + 1), torch.arange(size[1]) // 12
    segments = rows[:, None] * (int(columns.max()) + 1) + columns
    return replace(
        toy_batch(channels, images),
        images=torch.rand(images, channels, *size, generator=generator),
        segments=torch.stack([segments // (1 + i % 2) for i in range(images)]),
        targets=torch.tensor(targets[:images]),
        masks={},
    )


def classifier(net, head="softmax", classes=2, channels=3, cam_layer=None, **options):
    options = {"mean": (0.4,) * channels, "std": (0.3,) * channels} | options
    model = Classifier(
        net,
        head=head,
        classes=tuple(map(str, range(classes))),
        cam_layer=cam_layer,
        linear_head=None,
        pool=None,
        input_shape=(channels, 32, 32),
        batch_size=4,
        **options,
    )
    return model.eval()


def sixteen(head="softmax", channels=3, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(channels, 6, 5, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 16),
        )
    return classifier(net, head, 16, channels, "4")


def toy(head, channels, seed=0):
    model = toy_model(head, channels, seed)
    model.batch_size = 4
    return model


STAGES = {
    "softmax": (lambda seed=0: toy("softmax", 3, seed), batch_of()),
    "single logit, one channel": (lambda seed=0: toy("single_logit", 1, seed), batch_of(1)),
    "sixteen labels": (
        lambda seed=0: sixteen("multilabel", 3, seed),
        batch_of(size=(32, 32), targets=(3, 15, 0)),
    ),
    "regression": (lambda seed=0: sixteen("regression", 1, seed), batch_of(1, (40, 29))),
}


@pytest.mark.parametrize(
    "stage", [pytest.param(s, marks=[pytest.mark.slow] * (s != "softmax")) for s in STAGES]
)
@pytest.mark.parametrize("name", FAMILY)
def test_keeps_its_contract(name, stage):
    explainer, (model_of, batch) = make(name), STAGES[stage]
    model = model_of()
    explainer.check(model)
    explanation = explainer(model, batch)
    assert explanation.maps.shape == (3, *batch.images.shape[2:])
    assert "nan" not in explanation.statuses
    assert explanation.passes == explainer.cost(model, batch)
    assert torch.equal(explainer(model, batch).maps, explanation.maps)
    single = torch.cat([explainer(model, batch.take([i])).maps for i in range(3)])
    permuted = explainer(model, batch.take([2, 0, 1])).maps[[1, 2, 0]]
    assert max(gap(explanation.maps, single), gap(explanation.maps, permuted)) <= 1e-5
    assert gap(explanation.maps, explainer(model_of(1), batch).maps) > 1e-3
    others = replace(batch, targets=1 - batch.targets.clamp(max=1))
    symmetric = name == "captum.saliency" or name == "captum.noise_tunnel"
    if name != "captum.layer_activation" and not (symmetric and model.head == "single_logit"):
        assert gap(explanation.maps, explainer(model, others).maps) > 1e-3


@pytest.mark.parametrize("name", FAMILY)
def test_leaves_everything_as_found(name):
    """Without the harness's own healing."""
    model, batch, explainer = toy("softmax", 3), batch_of(images=2), make(name)
    for parameter in list(model.parameters())[::2]:
        parameter.requires_grad_(False)
    attributes = {module: set(vars(module)) for module in model.modules()}
    wants = [p.requires_grad for p in model.parameters()]
    weights = [p.clone() for p in model.parameters()]
    state, numbers, filters = torch.get_rng_state(), np.random.get_state()[1], warnings.filters[:]
    images = batch.images.clone()
    with torch.no_grad():
        explainer.attribute(model, batch)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numbers)
    assert warnings.filters == filters
    assert all(set(vars(module)) == known for module, known in attributes.items())
    assert not any(getattr(module, table) for module in model.modules() for table in HOOK_TABLES)
    assert [p.requires_grad for p in model.parameters()] == wants
    assert all(map(torch.equal, model.parameters(), weights))
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(batch.images, images)
    assert not batch.images.requires_grad


@pytest.mark.parametrize("name", FAMILY)
def test_takes_a_constant_image_of_one_superpixel(name):
    model, batch = toy("softmax", 3), batch_of(images=1)
    batch = replace(
        batch,
        images=torch.full_like(batch.images, 0.5),
        segments=torch.zeros_like(batch.segments),
    )
    assert make(name)(model, batch).maps.isfinite().all()


def peer_module(model):
    """The target's logit as a module, of the model's own modules."""

    class Score(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, images, targets):
            return self.model.score(images, targets, "logit")

    return Score()


def peer(stem, model, image, target, segments, seed, drawn):
    """captum called directly on one image, with the parameters of ``QUICK``."""
    logit = lambda images, targets: model.score(images, targets, "logit")
    prob = lambda images, targets: model.score(images, targets, "prob")
    layer, call = model.module(model.cam_layer), {"additional_forward_args": (target,)}
    mask = {"feature_mask": segments[:, None]}
    ours = QUICK.get(stem, {})
    steps = {"n_steps": ours.get("steps")}
    if stem == "saliency":
        return peers.Saliency(logit).attribute(image, abs=False, **call).abs().amax(1)
    if stem == "input_x_gradient":
        return peers.InputXGradient(logit).attribute(image, **call).sum(1)
    if stem == "integrated_gradients":
        return peers.IntegratedGradients(logit).attribute(image, **steps, **call).sum(1)
    if stem in ("gradient_shap", "layer_gradient_shap"):
        options = {"baselines": drawn, "n_samples": 3, "stdevs": ours.get("stdev", 0.0)} | call
        with seeded(seed, torch.device("cpu")):
            if stem == "gradient_shap":
                return peers.GradientShap(logit).attribute(image, **options).sum(1)
            return peers.LayerGradientShap(logit, layer).attribute(image, **options).sum(1)
    if stem == "deep_lift":
        return peers.DeepLift(peer_module(model)).attribute(image, **call).sum(1)
    if stem == "deep_lift_shap":
        return peers.DeepLiftShap(peer_module(model)).attribute(image, drawn, **call).sum(1)
    if stem == "guided_backprop":
        return peers.GuidedBackprop(peer_module(model)).attribute(image, **call).sum(1)
    if stem == "deconvolution":
        return peers.Deconvolution(peer_module(model)).attribute(image, **call).sum(1)
    if stem == "guided_grad_cam":
        method = peers.GuidedGradCam(peer_module(model), layer)
        return method.attribute(image, interpolate_mode="bilinear", **call).sum(1)
    if stem == "occlusion":
        method = peers.Occlusion(prob)
        return method.attribute(image, (3, 9, 9), (3, 6, 6), baselines=0, **call)[:, 0]
    if stem == "feature_ablation":
        return peers.FeatureAblation(prob).attribute(image, **mask, **call)[:, 0]
    if stem in ("shapley_value_sampling", "kernel_shap"):
        method = {"s": peers.ShapleyValueSampling, "k": peers.KernelShap}[stem[0]](prob)
        with seeded(seed, torch.device("cpu")):
            return method.attribute(image, n_samples=ours["samples"], **mask, **call)[:, 0]
    if stem == "lime":
        method = peers.Lime(prob, SkLearnLasso(alpha=0.0001))
        with seeded(seed, torch.device("cpu")):
            return method.attribute(image, n_samples=ours["samples"], **mask, **call)[:, 0]
    if stem == "layer_grad_cam":
        return peers.LayerGradCam(logit, layer).attribute(image, **call)[:, 0]
    if stem == "layer_gradient_x_activation":
        return peers.LayerGradientXActivation(logit, layer).attribute(image, **call).sum(1)
    if stem == "layer_activation":
        return peers.LayerActivation(logit, layer).attribute(image, **call).sum(1)
    if stem == "layer_integrated_gradients":
        method = peers.LayerIntegratedGradients(logit, layer)
        return method.attribute(image, **steps, **call).sum(1)
    if stem == "layer_conductance":
        return peers.LayerConductance(logit, layer).attribute(image, **steps, **call).sum(1)
    if stem == "internal_influence":
        return peers.InternalInfluence(logit, layer).attribute(image, **steps, **call).sum(1)
    if stem == "layer_deep_lift":
        return peers.LayerDeepLift(peer_module(model), layer).attribute(image, **call).sum(1)
    if stem == "layer_deep_lift_shap":
        method = peers.LayerDeepLiftShap(peer_module(model), layer)
        return method.attribute(image, drawn, **call).sum(1)
    if stem == "layer_feature_ablation":
        places = layer(torch.zeros(1, 16, 9, 12)).shape[2:].numel()
        mask = torch.arange(places).view(1, 1, 9, 12)
        method = peers.LayerFeatureAblation(prob, layer)
        # As many at a time as ours: drops of a probability feel the rounding of another batch.
        return method.attribute(image, layer_mask=mask, perturbations_per_eval=4, **call)[:, 0]
    assert stem == "noise_tunnel"
    method = peers.NoiseTunnel(peers.Saliency(logit))
    with seeded(seed, torch.device("cpu")):
        noisy = method.attribute(
            image, nt_samples=3, stdevs=0.15, abs=False, additional_forward_args=(target,)
        )
    return noisy.abs().amax(1)


@pytest.mark.filterwarnings("ignore::UserWarning")  # captum tells that it sets hooks
@pytest.mark.parametrize("name", [n for n in FAMILY if "lrp" not in n])
def test_equals_captum_called_directly(name):
    model, batch, explainer = toy("softmax", 3), batch_of(images=2), make(name)
    stem = name.removeprefix("captum.")
    maps = explainer(model, batch).maps
    drawn = background(batch, 3, "colours")
    for i in range(len(batch)):
        at = slice(i, i + 1)
        twin = peer(
            stem,
            model,
            batch.images[at].clone().requires_grad_(),
            batch.targets[at],
            batch.segments[at],
            int(batch.seeds[i]),
            drawn[i],
        ).detach()
        if twin.shape[1:] != (33, 47):
            twin = F.interpolate(twin[:, None], (33, 47), mode="bilinear")[:, 0]
        assert gap(maps[at], twin.float()) <= 1e-5
        # The gradient behind which only an average follows is the same everywhere.
        assert stem == "internal_influence" or float(twin.max() - twin.min()) > 1e-5


class Plain(nn.Module):
    """A network that captum's LRP takes as it is: an addition module, no identity, no flatten."""

    def __init__(self):
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 6, 5, 3), nn.ReLU()
        self.inner, self.add, self.end = nn.Conv2d(6, 6, 3, 1, 1), Addition_Module(), nn.ReLU()
        self.last, self.pool, self.fc = nn.Conv2d(6, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Linear(5, 3)

    def forward(self, x):
        x = self.act(self.stem(x))
        return self.fc(self.pool(self.last(self.end(self.add(self.inner(x), x)))).flatten(1))


class InPlace(Plain):
    """The same with what libraries are full of: one ReLU for all, in place, a plain addition."""

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU(inplace=True)
        self.nothing = nn.Identity()

    def forward(self, x):
        x = self.act(self.stem(x))
        y = self.nothing(self.inner(x))
        y += x
        return self.fc(torch.flatten(self.pool(self.last(F.relu(y, inplace=True))), 1))


def plain_and_in_place():
    torch.manual_seed(0)
    plain, in_place = Plain(), InPlace()
    in_place.load_state_dict(plain.state_dict())
    return (classifier(net, classes=3, cam_layer="last") for net in (plain, in_place))


@pytest.mark.parametrize("layer", [None, "last"])
def test_lrp_equals_captum_called_directly(layer):
    model, _ = plain_and_in_place()
    batch = batch_of(targets=(0, 1, 2))
    name = "lrp" if layer is None else "layer_lrp"
    maps = make(name, epsilon=1e-9)(model, batch).maps
    for i in range(3):
        x = ((batch.images[i : i + 1] - 0.4) / 0.3).requires_grad_()
        method = (
            peers.LRP(model.net) if layer is None else peers.LayerLRP(model.net, model.net.last)
        )
        twin = method.attribute(x, target=int(batch.targets[i])).sum(1)
        if layer:
            twin = F.interpolate(twin[:, None], (33, 47), mode="bilinear")[:, 0]
        assert gap(maps[i : i + 1], twin.detach()) <= 1e-5


@pytest.mark.parametrize(
    "stem", ["deep_lift", "lrp", "guided_backprop", "deconvolution", "guided_grad_cam",
             "layer_deep_lift", "layer_lrp", "deep_lift_shap"]
)  # fmt: skip
def test_activations_in_place_used_twice_and_functional_are_mended(stem):
    plain, in_place = plain_and_in_place()
    batch, explainer = batch_of(targets=(0, 1, 2)), make(stem)
    explainer.check(in_place)
    assert gap(explainer(plain, batch).maps, explainer(in_place, batch).maps) <= 1e-5


def test_lrp_of_minus_the_logit_is_minus_that_of_the_logit():
    model, batch = toy("single_logit", 3), batch_of(targets=(1, 1, 1))
    maps = make("lrp")(model, batch).maps
    assert torch.equal(make("lrp")(model, replace(batch, targets=0 * batch.targets)).maps, -maps)
    biases = [m for m in model.modules() if getattr(m, "bias", None) is not None]
    for module in biases:
        nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.zeros_(module.running_mean)
    sums = make("lrp", epsilon=1e-9)(model, batch).maps.sum((1, 2))
    assert sums == pytest.approx(model.logits(batch.images)[:, 0].detach(), rel=1e-3, abs=1e-4)


def test_deep_lift_sums_to_the_difference():
    model, batch = sixteen("regression"), batch_of(size=(32, 32), targets=(3, 15, 0))
    with torch.no_grad():
        change = model.score(batch.images, batch.targets, "logit") - model.score(
            torch.zeros_like(batch.images), batch.targets, "logit"
        )
    assert make("deep_lift")(model, batch).maps.sum((1, 2)) == pytest.approx(change, abs=1e-4)


def test_max_pooling_in_deep_lift_is_each_image_s_own():
    """captum has the first image's gradient stand for all where image and baseline agree."""
    model, batch = sixteen("regression"), batch_of(size=(32, 32), targets=(3, 15, 0))
    batch.images[:, :, :16] = 0  # equal to the baseline
    explainer = make("deep_lift")
    single = torch.cat([explainer(model, batch.take([i])).maps for i in range(3)])
    assert gap(explainer(model, batch).maps, single) <= 1e-5
    assert RowWise._backward_hook is not peers.DeepLift._backward_hook


def linear_model(batch):
    linear = nn.Linear(batch.images[0].numel(), 2, bias=False)
    net = nn.Sequential(nn.Flatten(), linear)
    model = classifier(net, "regression", channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    return model, linear.weight[batch.targets].detach().view_as(batch.images)


LINEAR = {"saliency", "input_x_gradient", "integrated_gradients", "deep_lift", "deep_lift_shap"}
LINEAR |= {"occlusion", "feature_ablation", "shapley_value_sampling"}


@pytest.mark.parametrize("stem", sorted(LINEAR))
def test_is_exact_on_a_linear_model(stem):
    batch = batch_of()
    model, weights = linear_model(batch)
    explainer = make(stem)
    explainer.check(model)
    exact = explainer.on_linear_model(weights, batch)
    assert gap(exact, explainer(model, batch).maps) <= 1e-5


def test_what_promises_nothing_on_a_linear_model():
    batch = batch_of()
    promising = {
        name.removeprefix("captum.")
        for name in FAMILY
        if make(name).on_linear_model(batch.images, batch) is not None
    }
    assert promising == LINEAR


@pytest.mark.parametrize(("channels", "twin"), [
    ("sum", lambda g: g.sum(1)),
    ("mean_abs", lambda g: g.abs().mean(1)),
    ("max_abs", lambda g: g.abs().amax(1)),
])  # fmt: skip
def test_channels_become_one_number(channels, twin):
    model, batch = toy("softmax", 3), batch_of()
    x = batch.images.clone().requires_grad_()
    gradient = torch.autograd.grad(model.score(x, batch.targets, "logit").sum(), x)[0]
    maps = make("saliency", channels=channels)(model, batch).maps
    assert gap(twin(gradient), maps) <= 1e-6


@pytest.mark.parametrize("variant", ["smoothgrad", "smoothgrad_sq", "vargrad"])
@pytest.mark.parametrize("of", ["input_x_gradient", "layer_grad_cam"])
def test_noise_tunnel_equals_captum_s(variant, of):
    model, batch = toy("softmax", 3), batch_of()
    maps = make("noise_tunnel", of=of, variant=variant)(model, batch).maps
    logit = lambda images, targets: model.score(images, targets, "logit")
    method = (
        peers.InputXGradient(logit)
        if of == "input_x_gradient"
        else peers.LayerGradCam(logit, model.module("last_act"))
    )
    for i in range(3):
        with seeded(int(batch.seeds[i]), torch.device("cpu")):
            twin = peers.NoiseTunnel(method).attribute(
                batch.images[i : i + 1], nt_type=variant, nt_samples=3, stdevs=0.15,
                additional_forward_args=(batch.targets[i : i + 1],),
            ).sum(1)  # fmt: skip
        if twin.shape[1:] != (33, 47):
            twin = F.interpolate(twin[:, None], (33, 47), mode="bilinear")[:, 0]
        assert gap(twin.detach(), maps[i : i + 1]) <= 2e-5


@pytest.mark.parametrize("of", ["kernel_shap", "gradient_shap", "layer_lrp"])
def test_noise_tunnel_goes_over_any(of):
    model, batch = toy("softmax", 3), batch_of(images=2)
    explainer = make("noise_tunnel", of=of, samples=2)
    explanation = explainer(model, batch)
    assert explanation.passes == explainer.cost(model, batch)
    single = torch.cat([explainer(model, batch.take([i])).maps for i in range(2)])
    assert gap(explanation.maps, single) <= 1e-5


@pytest.mark.parametrize("of", ["noise_tunnel", "salency"])
def test_noise_tunnel_names_what_it_goes_over(of):
    with pytest.raises(UserError, match=f"unknown `of` '{of}'"):
        make("noise_tunnel", of=of)


def test_random_attributions_follow_the_image_s_seed():
    model, batch = toy("softmax", 3), batch_of(images=2)
    others = replace(batch, seeds=torch.tensor([image_seed(9, i) for i in batch.ids]))
    for stem in ("gradient_shap", "deep_lift_shap", "kernel_shap", "lime", "noise_tunnel",
                 "shapley_value_sampling", "layer_gradient_shap"):  # fmt: skip
        assert gap(make(stem)(model, batch).maps, make(stem)(model, others).maps) > 1e-4


def vit():
    torch.manual_seed(0)
    net = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, depth=2, embed_dim=24, num_heads=2, num_classes=2
    )
    return classifier(net, cam_layer=None)


@pytest.mark.parametrize("stem", ["deep_lift", "lrp"])
def test_a_transformer_is_refused_where_a_rule_is_missing(stem):
    with pytest.raises(UserError, match=f"captum.{stem} has no rule for the .*(layer_norm|Norm)"):
        make(stem).check(vit())


@pytest.mark.parametrize("stem", ["guided_backprop", "deconvolution"])
def test_a_network_without_relu_is_refused(stem):
    with pytest.raises(UserError, match="this network has none"):
        make(stem).check(vit())


def test_a_network_that_cannot_be_traced_is_refused():
    class Branching(Plain):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    with pytest.raises(UserError, match=r"captum.deep_lift: the network cannot be traced"):
        make("deep_lift").check(classifier(Branching()))


def test_a_model_without_a_layer_to_read_is_refused():
    model = toy("softmax", 3)
    model.cam_layer = None
    with pytest.raises(UserError, match=r"captum\.layer_grad_cam: the model names no layer"):
        make("layer_grad_cam").check(model)
    with pytest.raises(UserError, match="no grid of the network"):
        make("layer_grad_cam", layer="patch_embed").check(vit())


def test_occlusion_refuses_gaps():
    with pytest.raises(UserError, match="stride 9 is larger than window 4"):
        make("occlusion", window=4, stride=9)


def test_goes_on_after_an_exception_and_keeps_nothing():
    model, batch, explainer = toy("softmax", 3), batch_of(), make("lrp")
    maps = explainer(model, batch).maps
    read = model.read
    model.read = lambda *_: 1 / 0
    for stem in ("lrp", "deep_lift", "guided_backprop", "layer_deep_lift"):
        with pytest.raises(ZeroDivisionError):
            make(stem)(model, batch)
    model.read = read
    assert torch.equal(explainer(model, batch).maps, maps)
    for _, net in hookable._TRACED[model].values():
        for module in net.modules():
            assert not any(getattr(module, table) for table in HOOK_TABLES)
            assert not {"input", "output", "rule", "activations"} & set(vars(module))


def test_the_traced_network_follows_the_weights_and_dies_with_the_model():
    model, batch, explainer = toy("softmax", 3), batch_of(), make("deep_lift")
    explainer(model, batch)
    with torch.no_grad():
        model.net.fc.weight.neg_()
    assert gap(explainer(model, batch).maps, make("deep_lift")(model, batch).maps) == 0
    negated = toy("softmax", 3)
    with torch.no_grad():
        negated.net.fc.weight.neg_()
    assert gap(explainer(model, batch).maps, explainer(negated, batch).maps) <= 1e-6
    model.net.fc = nn.Linear(16, 2)
    fresh = toy("softmax", 3)
    fresh.net.fc = model.net.fc
    assert gap(explainer(model, batch).maps, explainer(fresh, batch).maps) <= 1e-6
    gc.collect()
    known = len(hookable._TRACED)
    del model
    gc.collect()
    assert len(hookable._TRACED) == known - 1
