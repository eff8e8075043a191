"""The family cam: its contract, and grad-cam and torchcam called directly, image by image."""

from __future__ import annotations

import copy
import gc
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
import pytorch_grad_cam as grad_cam
import torch
import torchcam.methods as torchcam
from odd_subjects import batch_of, random_images, small_cnn
from torch.nn import functional as F

from xaibench.checks.comparing import TOLERANCE, gap
from xaibench.engine.seeding import seeded
from xaibench.errors import UserError
from xaibench.explainers.cam_.base import SAME_FOR_EVERY_CLASS
from xaibench.models.base import HOOK_TABLES
from xaibench.models.timm import Timm
from xaibench.registry import Registry

REGISTRY = Registry()
FAMILY = [name for name in REGISTRY.names("explainer") if name.startswith("cam.")]
QUICK = {"ss_cam": {"samples": 2}, "is_cam": {"samples": 3}, "smooth_grad_cam_plus_plus": {}}
QUICK["smooth_grad_cam_plus_plus"] = {"samples": 2}
GRAD_CAM = {
    "ablation_cam": grad_cam.AblationCAM,
    "eigen_cam": grad_cam.EigenCAM,
    "eigen_grad_cam": grad_cam.EigenGradCAM,
    "fem": grad_cam.FEM,
    "finer_cam": grad_cam.FinerCAM,
    "full_grad": grad_cam.FullGrad,
    "grad_cam": grad_cam.GradCAM,
    "grad_cam_element_wise": grad_cam.GradCAMElementWise,
    "grad_cam_plus_plus": grad_cam.GradCAMPlusPlus,
    "hires_cam": grad_cam.HiResCAM,
    "kpca_cam": grad_cam.KPCA_CAM,
    "layer_cam": grad_cam.LayerCAM,
    "random_cam": grad_cam.RandomCAM,
    "score_cam": grad_cam.ScoreCAM,
    "seg_eigen_cam": grad_cam.SegEigenCAM,
    "shapley_cam": grad_cam.ShapleyCAM,
    "x_grad_cam": grad_cam.XGradCAM,
}
TORCHCAM = {
    "is_cam": lambda *at, **how: torchcam.ISCAM(*at, num_samples=3, **how),
    "smooth_grad_cam_plus_plus": lambda *at, **how: torchcam.SmoothGradCAMpp(
        *at, num_samples=2, **how
    ),
    "ss_cam": lambda *at, **how: torchcam.SSCAM(*at, num_samples=2, **how),
    "torchcam_finer_cam": torchcam.FinerCAM,
    "torchcam_score_cam": torchcam.ScoreCAM,
}


def make(name, **parameters):
    stem = name.removeprefix("cam.")
    return REGISTRY.load("explainer", f"cam.{stem}")(**QUICK.get(stem, {}) | parameters)


def batch(channels=3, size=(33, 47), targets=(0, 1, 1)):
    images = random_images(len(targets), channels, size)
    return batch_of(images, torch.tensor(targets))


def transformer():
    torch.manual_seed(0)
    model = Timm("test_vit", weights="none")
    model = model.build(task="multiclass", classes=tuple("abc"), channels=3, size=(32, 48)).eval()
    model.module("head").weight.data.mul_(50)  # as it is drawn, scores hardly differ
    return model


def test_every_class_of_the_libraries_has_a_file():
    assert sorted(f"cam.{stem}" for stem in GRAD_CAM | TORCHCAM) == FAMILY
    classes = {c for c in vars(grad_cam).values() if isinstance(c, type)}
    cams = {c for c in classes if issubclass(c, grad_cam.base_cam.BaseCAM)} | {grad_cam.FinerCAM}
    assert set(GRAD_CAM.values()) == cams


STAGES = {
    "softmax, odd": (lambda seed=0: small_cnn(seed=seed), batch()),
    "single logit": (
        lambda seed=0: small_cnn(1, (24, 40), head="single_logit", seed=seed),
        batch(1, (24, 40), (0, 1)),
    ),
    "sixteen labels": (
        lambda seed=0: small_cnn(3, (32, 32), 16, "multilabel", seed),
        batch(3, (32, 32), (15, 0)),
    ),
    "regression": (
        lambda seed=0: small_cnn(1, (33, 47), 3, "regression", seed),
        batch(1, targets=(2, 0)),
    ),
}


# Where the map of -z is that of z: |gradients|, a ratio, a component whose sign is nobody's.
BOTH_ALIKE = {f"cam.{n}" for n in ("ablation_cam", "eigen_grad_cam", "full_grad", "seg_eigen_cam")}


@pytest.mark.parametrize("name", FAMILY)
def test_keeps_its_contract(name):
    explainer = make(name)
    for stage, (model_of, images) in STAGES.items():
        model = model_of()
        explainer.check(model)
        whole = explainer(model, images)
        assert whole.maps.shape == (len(images), *images.images.shape[2:])
        assert "ok" in whole.statuses
        assert "nan" not in whole.statuses
        assert whole.maps.min() >= 0
        assert whole.passes == explainer.cost(model, images)
        others = replace(images, targets=1 - images.targets.clamp(max=1))
        same = getattr(explainer, "expected", None) == SAME_FOR_EVERY_CLASS
        if same or model.head != "single_logit" or name not in BOTH_ALIKE:
            assert (gap(whole.maps, explainer(model, others).maps) > 1e-3) != same, stage


@pytest.mark.parametrize("name", FAMILY)
def test_an_image_is_explained_whatever_batch_it_is_in(name):
    explainer, model, images = make(name), small_cnn(), batch()
    whole = explainer(model, images).maps
    permuted = torch.cat([explainer(model, images.take(i)).maps for i in ([2], [0, 1])])
    assert gap(whole, permuted[[1, 2, 0]]) <= TOLERANCE
    assert gap(whole, explainer(small_cnn(seed=1), images).maps) > 1e-3
    shown = {} if name == "cam.full_grad" else {"layer": "last_act"}
    assert explainer.facts(model) == shown


@pytest.mark.parametrize("name", FAMILY)
def test_leaves_everything_as_found(name, capfd):
    """Without the harness's own healing."""
    model, images, explainer = small_cnn(), batch(), make(name)
    model.net.last_act.train()
    for parameter in list(model.parameters())[::2]:
        parameter.requires_grad_(False)
    before = images.images.clone()

    def found():
        return (
            [(id(m), m.training, sorted(vars(m))) for m in model.modules()],
            [(p.requires_grad, p.grad is None, p.sum().item()) for p in model.parameters()],
            [len(getattr(m, table)) for m in model.modules() for table in HOOK_TABLES],
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),
            list(warnings.filters),
            threading.active_count(),
            torch.is_grad_enabled(),
        )

    with torch.no_grad():
        was = found()
        explainer.attribute(model, images)
        assert found() == was
    assert torch.equal(images.images, before)
    assert not images.images.requires_grad
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", FAMILY)
def test_takes_a_constant_image(name):
    images = batch(targets=(0,))
    images = replace(images, images=torch.full_like(images.images, 0.5))
    assert make(name)(small_cnn(), images).maps.isfinite().all()


@pytest.mark.parametrize("name", ["cam.ablation_cam", "cam.score_cam", "cam.ss_cam"])
def test_what_fails_on_the_way_leaves_the_network_whole(name, monkeypatch):
    model, images, explainer = small_cnn(), batch(), make(name)
    wanted, layer, passed = explainer(model, images).maps, model.net.last_act, model.net.fc.forward
    calls = iter(range(100))

    def fails(x):
        if next(calls) == 3:
            raise RuntimeError("interrupted")
        return passed(x)

    monkeypatch.setattr(model.net.fc, "forward", fails)
    with pytest.raises(RuntimeError, match="interrupted"):
        explainer.attribute(model, images)
    monkeypatch.undo()
    assert model.net.last_act is layer
    assert not any(getattr(m, table) for m in model.modules() for table in HOOK_TABLES)
    assert torch.equal(explainer(model, images).maps, wanted)


def test_memory_stays_flat():
    stems = ("ablation_cam", "full_grad", "score_cam", "shapley_cam", "smooth_grad_cam_plus_plus")
    model, images, explainers = small_cnn(), batch(targets=(0,)), [make(stem) for stem in stems]

    def tensors():
        for explainer in explainers:
            explainer(model, images)
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    assert tensors() == tensors()


class Logit:
    def __init__(self, target):
        self.target = target

    def __call__(self, output):
        return output[self.target]


def directly(stem, net, layer, image, target, seed, reshape=None, token_layer=False):
    """What the library itself gives for one normalised image, enlarged."""
    net = copy.deepcopy(net)
    layer, options = net.get_submodule(layer), {"reshape_transform": reshape}
    with seeded(seed, torch.device("cpu")):
        if stem in TORCHCAM:
            with TORCHCAM[stem](net, layer, input_shape=image.shape[1:], **options) as extractor:
                scores = net(image.clone().requires_grad_())
                if stem == "torchcam_finer_cam":
                    small = extractor(target, scores)[0]
                else:
                    small = extractor(scores=scores, targets=[Logit(target)])[0]
            return F.interpolate(small.detach()[None], image.shape[2:], mode="bilinear")[0, 0]
        if stem == "finer_cam":
            made = grad_cam.FinerCAM(net, [layer], **options)(image, target_idx=target)
        else:
            if token_layer and stem == "ablation_cam":
                options["ablation_layer"] = grad_cam.AblationLayerVit()
            if stem == "full_grad":
                made = grad_cam.FullGrad(net, [])(image, [Logit(target)])
            else:
                made = GRAD_CAM[stem](net, [layer], **options)(image, [Logit(target)])
        return torch.from_numpy(made[0])


def scaled(one):
    return (one - one.min()) / (one.max() - one.min())


def compare(name, model, images, reshape=None):
    maps, layer = make(name)(model, images).maps, model.cam_layer
    shown = 0
    for i, target in enumerate(images.targets.tolist()):
        image = (images.images[i : i + 1] - model.mean) / model.std
        stem, seed = name.removeprefix("cam."), int(images.seeds[i])
        peer = directly(stem, model.net, layer, image, target, seed, reshape, reshape is not None)
        if maps[i].max() == maps[i].min():  # nothing but zeros, which nobody can scale
            assert peer.max() - peer.min() <= 1e-6
            continue
        shown += 1
        assert gap(scaled(peer), scaled(maps[i])) <= TOLERANCE
    assert shown >= 2


@pytest.mark.parametrize("name", FAMILY)
def test_equals_the_library_called_directly(name):
    compare(name, small_cnn(classes=4), batch(targets=(0, 3, 1, 2)))


PATCHES = lambda x: x[:, 1:].reshape(len(x), 2, 3, -1).permute(0, 3, 1, 2)


# grad-cam's ShapleyCAM itself fails on tokens; its literal twin is below.
@pytest.mark.parametrize("name", [n for n in FAMILY if n != "cam.shapley_cam"])
def test_equals_the_library_on_a_transformer(name):
    model = transformer()
    make(name).check(model)
    compare(name, model, batch(size=(32, 48), targets=(0, 2, 1)), PATCHES)


def enlarged(small, images):
    return F.interpolate(small[:, None], images.images.shape[2:], mode="bilinear")[:, 0]


def test_before_a_mean_and_a_linear_layer_all_is_the_heads_weights():
    """Closed form: the gradient at map k is w_k / places, and there is no curvature."""
    model, images = small_cnn(classes=4), batch(targets=(0, 3, 1, 2))
    with torch.no_grad():
        maps = model.net[:4]((images.images - model.mean) / model.std)
    weights = model.net.fc.weight.detach()[images.targets][:, :, None, None] / maps[0, 0].numel()
    cam, positive = (weights * maps).sum(1).relu(), (weights.relu() * maps).sum(1)
    for stem in ("grad_cam", "hires_cam", "shapley_cam", "x_grad_cam"):
        assert gap(enlarged(cam, images), make(stem)(model, images).maps) <= 1e-5, stem
    for stem in ("layer_cam", "grad_cam_element_wise"):
        assert gap(enlarged(positive, images), make(stem)(model, images).maps) <= 1e-5, stem


def test_shapley_cam_is_its_formula_on_a_transformer():
    """Literal twin: the mean over patches of g - H A / 2, H A by a difference of gradients."""
    model, images = transformer().double(), batch(size=(32, 48), targets=(0, 2, 1))
    images = replace(images, images=images.images.double())
    blocks = model.net.blocks

    def score(tokens, target):
        last = blocks[5]
        # Behind norm1 stands attention, then what the block adds to what norm1 was given.
        tokens = skipped + last.drop_path1(last.ls1(last.attn(tokens)))
        tokens = tokens + last.drop_path2(last.ls2(last.mlp(last.norm2(tokens))))
        return model.net.forward_head(model.net.norm(tokens))[0, target]

    for i, target in enumerate(images.targets.tolist()):
        with torch.no_grad():
            x = (images.images[i : i + 1] - model.mean) / model.std
            x = model.net.norm_pre(model.net._pos_embed(model.net.patch_embed(x)))
            skipped = blocks[:5](x)
            tokens = blocks[5].norm1(skipped)
        gradient_at = lambda at: torch.autograd.grad(score(at.requires_grad_(), target), at)[0]  # noqa: B023
        step = 1e-5
        forth, back = (gradient_at(tokens.detach() * (1 + h)) for h in (step, -step))
        weights = gradient_at(tokens.clone()) - 0.5 * (forth - back) / (2 * step)
        assert float((forth - back).abs().max()) > 1e-8
        kept = PATCHES(tokens.detach())
        small = (PATCHES(weights).mean((2, 3), keepdim=True) * kept).sum(1).relu()
        got = make("shapley_cam")(model, images.take([i])).maps
        assert gap(enlarged(small, images.take([i])).float(), got) <= 1e-5


def test_finer_cam_of_two_classes_is_the_gradient_of_their_difference():
    """Closed form: of one other class the softmax cancels, y - alpha y'."""
    model, images = small_cnn(), batch()
    with torch.no_grad():
        maps = model.net[:4]((images.images - model.mean) / model.std)
    weights = model.net.fc.weight.detach()
    for stem, given in (("finer_cam", {"alpha": 0.3}), ("torchcam_finer_cam", {"gamma": 0.3})):
        finer = weights[images.targets] - 0.3 * weights[1 - images.targets]
        small = torch.einsum("bk,bkhw->bhw", finer, maps).relu() / maps[0, 0].numel()
        assert gap(enlarged(small, images), make(stem, **given)(model, images).maps) <= 1e-5


@pytest.mark.parametrize("stem", ["finer_cam", "torchcam_finer_cam"])
def test_finer_cam_needs_another_class(stem):
    with pytest.raises(UserError, match=rf"cam\.{stem}: .* the model has one"):
        make(stem).check(small_cnn(classes=1, head="regression"))


@pytest.mark.parametrize(
    "stem", ["ablation_cam", "grad_cam", "shapley_cam", "torchcam_score_cam", "full_grad"]
)
def test_an_operation_in_place_behind_the_layer_changes_nothing(stem):
    plain, hasty, images = small_cnn(), small_cnn(), batch(targets=(0, 1))
    hasty.net.act.inplace = hasty.net.last_act.inplace = True
    explainer = make(stem, **({} if stem == "full_grad" else {"layer": "last"}))
    assert gap(explainer(plain, images).maps, explainer(hasty, images).maps) <= 1e-6


def test_eigen_smooth_is_the_packages_own():
    model, images = small_cnn(), batch()
    maps = make("grad_cam", eigen_smooth=True)(model, images).maps
    for i, target in enumerate(images.targets.tolist()):
        image = (images.images[i : i + 1] - model.mean) / model.std
        net = copy.deepcopy(model.net)
        with grad_cam.GradCAM(net, [net.last_act]) as cam:
            peer = torch.from_numpy(cam(image, [Logit(target)], eigen_smooth=True)[0])
        assert gap(scaled(peer), scaled(maps[i])) <= TOLERANCE


def test_a_layer_without_maps_is_refused():
    with pytest.raises(UserError, match="which is no map"):
        make("eigen_cam", layer="fc").check(small_cnn())
    model = small_cnn()
    model.cam_layer = None
    with pytest.raises(UserError, match=r"set cam\.fem's `layer`"):
        make("fem").check(model)
