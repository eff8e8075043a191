"""Score-CAM and Ablation-CAM against their formulas and the grad-cam package, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_grad_cam as package
import timm
import torch
from odd_subjects import batch_of, random_images, small_cnn
from torch import nn
from torch.nn import functional as F

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.engine import ablated_scores, fill_images, layer_maps
from xaibench.engine.layers import _front_apart
from xaibench.errors import UserError
from xaibench.explainers.ablation_cam import AblationCam
from xaibench.explainers.score_cam import ScoreCam
from xaibench.models.base import Classifier
from xaibench.models.timm import Timm
from xaibench.networks.tokens import token_grid


def layer_output(model, image, layer, *, without=None):
    """The layer's output, and the logits; with a channel of it set to zero."""
    seen = []

    def hook(_, __, output):
        seen.append(output.clone())
        if without is not None:
            output = output.clone()
            output[:, without] = 0
            return output

    handle = model.module(layer).register_forward_hook(hook)
    with torch.no_grad():
        logits = model(image[None])
    handle.remove()
    return seen[0][0], logits


def upsampled(small, size):
    return F.interpolate(small[None, None], size, mode="bilinear")[0, 0]


def literal_score_cam(model, batch, i, layer, *, weights="softmax", fill="dataset_mean"):
    """Wang et al., algorithm 1, channel by channel."""
    image, target = batch.images[i], batch.targets[i : i + 1]
    hidden = fill_images(batch, fill)[i]
    maps, _ = layer_output(model, image, layer)
    score = lambda x: float(model.score(x[None], target, "logit"))
    scores = []
    for channel in maps:
        large = upsampled(channel, image.shape[1:])
        span = float(large.max() - large.min())
        scaled = (large - large.min()) / span if span > 0 else torch.zeros_like(large)
        with torch.no_grad():
            scores.append(score(image * scaled + hidden * (1 - scaled)))
    scores = np.array(scores)
    if weights == "softmax":
        alphas = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    else:
        with torch.no_grad():
            alphas = scores - score(hidden)
    small = sum(float(a) * channel for a, channel in zip(alphas, maps, strict=True))
    return upsampled(small.relu(), image.shape[1:])


def literal_ablation_cam(model, batch, i, layer, *, space="logit"):
    """Desai and Ramaswamy, equations 4 and 5, times y: channel by channel, whole passes."""
    image, target = batch.images[i], batch.targets[i : i + 1]
    maps, logits = layer_output(model, image, layer)
    y = float(model.read(logits, target, space))
    small = torch.zeros_like(maps[0])
    for k, channel in enumerate(maps):
        _, without = layer_output(model, image, layer, without=k)
        small += (y - float(model.read(without, target, space))) * channel
    return upsampled(small.relu(), image.shape[1:])


CASES = [
    ("softmax", 3, (33, 47), "last_act"),
    ("single_logit", 1, (24, 40), "last"),
    ("multilabel", 3, (32, 32), "act"),
    ("regression", 3, (32, 32), "last_act"),
]


@pytest.mark.parametrize(("head", "channels", "size", "layer"), CASES)
@pytest.mark.parametrize("options", [{}, {"weights": "increase", "fill": "black"}])
def test_score_cam_equals_the_literal_formula(head, channels, size, layer, options):
    model = small_cnn(channels, size, head=head, batch_size=7)
    batch = batch_of(random_images(3, channels, size))
    maps = ScoreCam(layer, **options)(model, batch).maps
    for i in range(3):
        twin = literal_score_cam(model, batch, i, layer, **options)
        assert maps[i].numpy() == pytest.approx(twin.numpy(), rel=1e-4, abs=2e-5)
    assert maps.max() > 1e-2


@pytest.mark.parametrize(("head", "channels", "size", "layer"), CASES)
@pytest.mark.parametrize("space", ["logit", "prob"])
def test_ablation_cam_equals_the_literal_formula(head, channels, size, layer, space):
    model = small_cnn(channels, size, head=head, batch_size=7)
    batch = batch_of(random_images(3, channels, size))
    maps = AblationCam(layer, space)(model, batch).maps
    for i in range(3):
        twin = literal_ablation_cam(model, batch, i, layer, space=space)
        assert maps[i].numpy() == pytest.approx(twin.numpy(), rel=1e-4, abs=2e-5)
    assert maps.max() > 1e-3


def test_ablation_cam_of_pooled_maps_in_closed_form():
    """Behind global average pooling, y - y_k is w_k mean(A_k)."""
    model, batch = toy_model(), toy_batch(images=3)
    maps = AblationCam("last_act")(model, batch).maps
    features, _ = layer_maps(model, batch, "last_act")
    weights = model.net.fc.weight.detach()[batch.targets] * features.mean((2, 3))
    small = torch.einsum("bk,bkhw->bhw", weights, features).relu()[:, None]
    wanted = F.interpolate(small, (32, 32), mode="bilinear")[:, 0]
    assert maps.numpy() == pytest.approx(wanted.numpy(), abs=1e-4 * float(wanted.max()))


def test_score_cam_of_the_image_itself_in_closed_form():
    """The layer gives the image's one channel: one weight, a softmax of 1, so the image itself."""
    net = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(16 * 24, 2))
    model = Classifier(
        net, head="softmax", classes=("a", "b"), mean=(0.0,), std=(1.0,), cam_layer="0",
        linear_head=None, pool=None, input_shape=(1, 16, 24), batch_size=8,
    ).eval()  # fmt: skip
    batch = batch_of(random_images(2, 1, (16, 24)))
    assert torch.allclose(ScoreCam()(model, batch).maps, batch.images[:, 0], atol=1e-6)
    # By the increase of a linear score: <w, (x - fill) H>, H the image scaled to [0, 1].
    maps = ScoreCam(weights="increase", fill="black")(model, batch).maps
    for i, image in enumerate(batch.images[:, 0]):
        scaled = (image - image.min()) / (image.max() - image.min())
        weight = net[2].weight.detach()[batch.targets[i]].view(16, 24)
        increase = (weight * image * scaled).sum()
        wanted = (increase * image).relu()
        assert maps[i].numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


class Logit:
    """What the package scores: the output of one class."""

    def __init__(self, model, target):
        self.model, self.target = model, target

    def __call__(self, output):
        return self.model.read(output[None], self.target[None], "logit")[0]


def scaled(maps):
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low)


def peer_map(method, model, image, target, layer, **options):
    """The package on one image; it scales its small map to [0, 1] and then upsamples by OpenCV."""
    with torch.no_grad(), method(model, [model.module(layer)], **options) as cam:
        cam.batch_size = 16
        return torch.from_numpy(cam(image[None], [Logit(model, target)]))[0]


@pytest.fixture
def half_pixel(monkeypatch):
    """The package's upsampling with half-pixel centres, as in the paper's code and in ours."""
    upsample = lambda size: nn.Upsample(size, mode="bilinear", align_corners=False)
    monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", upsample)


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_score_cam_is_the_package_s_but_for_the_corners(size, half_pixel):
    model, batch = small_cnn(3, size), batch_of(random_images(3, 3, size))
    ours = ScoreCam(fill="black")(model, batch).maps
    for i in range(3):
        peer = peer_map(package.ScoreCAM, model, batch.images[i], batch.targets[i], "last_act")
        assert scaled(ours[i : i + 1])[0].numpy() == pytest.approx(peer.numpy(), abs=2e-5)


def test_score_cam_is_the_package_s_where_nothing_is_upsampled():
    net = nn.Sequential(nn.Conv2d(3, 5, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.manual_seed(0)
    net.append(nn.Linear(5, 2))
    model = Classifier(
        net, head="softmax", classes=("a", "b"), mean=(0.5,) * 3, std=(0.2,) * 3, cam_layer="1",
        linear_head=None, pool=None, input_shape=(3, 20, 28), batch_size=8,
    ).eval()  # fmt: skip
    batch = batch_of(random_images(2, 3, (20, 28)))
    ours = ScoreCam(fill="black")(model, batch).maps
    for i in range(2):
        peer = peer_map(package.ScoreCAM, model, batch.images[i], batch.targets[i], "1")
        assert scaled(ours[i : i + 1])[0].numpy() == pytest.approx(peer.numpy(), abs=2e-5)


def positive(model, batch):
    """Targets whose logit is above zero: where it is below, the package's quotient turns round."""
    with torch.no_grad():
        logits = model(batch.images)
    batch.targets.copy_(logits.argmax(1))
    return logits.amax(1) > 0


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_ablation_cam_is_the_package_s_over_the_score(size):
    model, batch = small_cnn(3, size, classes=6), batch_of(random_images(4, 3, size))
    some = positive(model, batch)
    assert some.sum() >= 2
    ours = AblationCam()(model, batch).maps
    for i in some.nonzero().flatten().tolist():
        peer = peer_map(package.AblationCAM, model, batch.images[i], batch.targets[i], "last_act")
        assert scaled(ours[i : i + 1])[0].numpy() == pytest.approx(peer.numpy(), abs=2e-5)


def resnet(size=(32, 32)):
    torch.manual_seed(0)
    plugin = Timm("resnet18", weights="none")
    model = plugin.build(task="binary", classes=("a", "b"), channels=3, size=size).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # timm's residual branches begin as zeros
            nn.init.uniform_(module.weight, 0.5, 1.0)
    return model


@pytest.mark.parametrize("layer", ["layer1", "layer1.0.conv1", "layer1.1.bn2"])
def test_ablation_in_a_residual_network(layer):
    """Either way of passing gives the literal scores, also round a shortcut."""
    model, batch = resnet(), batch_of(random_images(2, 3, (32, 32)))
    model.batch_size = 48
    ours = ablated_scores(model, batch, layer, 64, "logit")
    for k in range(0, 64, 9):
        _, logits = layer_output(model, batch.images[1], layer, without=k)
        twin = float(model.read(logits, batch.targets[1:], "logit"))
        assert float(ours[1, k]) == pytest.approx(twin, abs=1e-5)
    assert float(ours[1].std()) > 1e-4
    assert _front_apart(model, layer, 64) == (layer == "layer1")


def test_score_cam_of_a_residual_network():
    model, batch = resnet(), batch_of(random_images(1, 3, (32, 32)))
    maps = ScoreCam("layer1")(model, batch).maps
    twin = literal_score_cam(model, batch, 0, "layer1")
    assert maps[0].numpy() == pytest.approx(twin.numpy(), abs=1e-4 * float(twin.max()))


class OwnForward(Classifier):
    """A model with a forward of its own, which must not be passed by."""

    def forward(self, images):
        return super().forward(images).tanh()


def test_a_model_with_a_forward_of_its_own_is_passed_whole():
    base, batch = small_cnn(3, (32, 32)), batch_of(random_images(2, 3, (32, 32)))
    own = OwnForward(
        base.net, head="softmax", classes=("a", "b"), mean=(0.5,) * 3, std=(0.25,) * 3,
        cam_layer="last_act", linear_head=None, pool=None, input_shape=(3, 32, 32), batch_size=8,
    ).eval()  # fmt: skip
    maps = AblationCam()(own, batch).maps
    twin = literal_ablation_cam(own, batch, 0, "last_act")
    assert maps[0].numpy() == pytest.approx(twin.numpy(), rel=1e-4, abs=1e-6)
    passes = AblationCam()(own, batch).passes
    assert passes == AblationCam().cost(own, batch)


TRANSFORMERS = {
    "vit_tiny_patch16_224": {
        "img_size": (32, 48), "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3,
    },
    "swin_tiny_patch4_window7_224": {
        "img_size": (32, 48), "window_size": 4, "embed_dim": 12, "depths": (1, 1),
        "num_heads": (2, 2),
    },
}  # fmt: skip
LAYERS = {"vit_tiny_patch16_224": "blocks.1.norm1", "swin_tiny_patch4_window7_224": "norm"}


def transformer(name):
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=2, **TRANSFORMERS[name]).eval()
    return Classifier(
        net, head="softmax", classes=("a", "b"), mean=(0.5,) * 3, std=(0.25,) * 3,
        cam_layer=LAYERS[name], linear_head=None, pool=None, input_shape=(3, 32, 48),
        tokens=token_grid(net, (32, 48)), batch_size=16,
    ).eval()  # fmt: skip


@pytest.mark.parametrize("name", sorted(TRANSFORMERS))
@pytest.mark.parametrize("explainer", [ScoreCam(), AblationCam()], ids=["score", "ablation"])
def test_transformers(name, explainer):
    model, batch = transformer(name), batch_of(random_images(2, 3, (32, 48)))
    explainer.check(model)
    explanation = explainer(model, batch)
    assert explanation.statuses == ("ok", "ok")
    assert explanation.passes == explainer.cost(model, batch)
    alone = explainer(model, batch.take([1])).maps[0]
    assert alone.numpy() == pytest.approx(
        explanation.maps[1].numpy(), abs=1e-5 * float(explanation.maps.max())
    )


@pytest.mark.parametrize("name", sorted(TRANSFORMERS))
def test_ablation_clears_the_patches_of_a_channel_in_the_output_s_own_layout(name):
    """Token by token, class tokens kept: the scores of whole passes by hand."""
    model, batch = transformer(name), batch_of(random_images(1, 3, (32, 48)))
    prefix = getattr(model.net, "num_prefix_tokens", 0)
    channels = model.check_feature_maps(LAYERS[name])[0]
    ours = ablated_scores(model, batch, LAYERS[name], channels, "logit")
    for k in range(0, channels, 5):

        def without(_, __, output, k=k):
            output = output.clone()
            for token in output[0, prefix:] if output.ndim == 3 else output[0].flatten(0, 1):
                token[k] = 0
            return output

        handle = model.module(LAYERS[name]).register_forward_hook(without)
        with torch.no_grad():
            twin = float(model.score(batch.images, batch.targets, "logit"))
        handle.remove()
        assert float(ours[0, k]) == pytest.approx(twin, abs=1e-5)


@pytest.mark.parametrize("explainer", [ScoreCam, AblationCam])
def test_costs_as_it_says(explainer):
    model, batch = toy_model(), toy_batch()
    passes = explainer()(model, batch).passes
    assert passes == explainer().cost(model, batch)
    assert (passes.forward, passes.backward) == (5 * 17, 0)


@pytest.mark.parametrize("explainer", [ScoreCam, AblationCam])
def test_a_model_without_a_layer_asks_for_one(explainer):
    model = toy_model()
    model.cam_layer = None
    with pytest.raises(UserError, match=f"set {explainer.name}'s `layer`"):
        explainer().check(model)


@pytest.mark.parametrize("explainer", [ScoreCam, AblationCam])
def test_a_layer_without_maps_is_refused(explainer):
    with pytest.raises(UserError, match="set `layer` to one whose output is a map"):
        explainer("fc").check(toy_model())
