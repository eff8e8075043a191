"""torchvision's architectures: places found, heads and stems adapted, weights from files alone."""

from __future__ import annotations

import pytest
import torch
import torchvision.models

from xaibench.errors import UserError
from xaibench.models.torchvision import Torchvision

SMALL = "shufflenet_v2_x0_5"


def build(
    architecture=SMALL, *, classes=2, channels=3, task="multiclass", size=(64, 64), **options
):
    torch.manual_seed(0)
    model = Torchvision(architecture, **options)
    model.validate()
    names = tuple(f"class {i}" for i in range(classes))
    return model.build(task=task, classes=names, channels=channels, size=size).eval()


# architecture -> last feature map, pool, head, the maps' shape on 64x64
PLACES = {
    "resnet18": ("layer4", "avgpool", "fc", (512, 2, 2)),
    "mobilenet_v3_small": ("features", "avgpool", "classifier.3", (576, 2, 2)),
    "alexnet": ("features.11", None, "classifier.6", (256, 3, 3)),  # which is the last of its maps
    "squeezenet1_1": ("classifier.2", "classifier.3", "classifier.1", (2, 3, 3)),
    SMALL: ("conv5", None, "fc", (1024, 2, 2)),
}
SLOW = {
    "densenet121": ("features", None, "classifier", (1024, 2, 2)),
    "convnext_tiny": ("features", "avgpool", "classifier.2", (768, 2, 2)),
    "swin_t": ("permute", "avgpool", "head", (768, 2, 2)),
    "vit_b_16": ("encoder.layers.encoder_layer_11.ln_1", None, "heads.head", (768, 4, 4)),
}


@pytest.mark.parametrize(
    "architecture", [*PLACES, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)]
)
def test_places_are_found(architecture):
    layer, pool, head, shape = (PLACES | SLOW)[architecture]
    model = build(architecture)
    assert (model.cam_layer, model.pool, model.head_module) == (layer, pool, head)
    assert model.check_feature_maps(layer) == shape
    assert model.linear_head == (None if architecture == "squeezenet1_1" else head)
    inside = tuple(f"{name}." for stage in model.stages for name in stage)
    parameters = {n for n, _ in model.net.named_parameters() if not n.startswith(f"{head}.")}
    own = {name for stage in model.stages for name in stage}
    assert {n for n in parameters if not n.startswith(inside)} <= own


def test_small_images_leave_the_last_map_where_it_is():
    assert build("resnet18", size=(32, 32)).cam_layer == "layer4"


@pytest.mark.parametrize(
    ("task", "single_logit", "classes", "outputs"),
    [("binary", True, 2, 1), ("binary", False, 2, 2), ("multilabel", False, 3, 3),
     ("regression", False, 1, 1)],
)  # fmt: skip
def test_as_many_outputs_as_the_head_reads(task, single_logit, classes, outputs):
    model = build(classes=classes, task=task, single_logit=single_logit)
    assert model.logits(torch.rand(2, 3, 64, 64)).shape == (2, outputs)


def saved(path, **options):
    net = torchvision.models.get_model(SMALL, weights=None, **options)
    torch.save(net.state_dict(), path)
    return net


@torch.no_grad()
def test_weights_come_from_a_file(tmp_path):
    net = saved(tmp_path / "w.pth", num_classes=2)
    model = build(weights=str(tmp_path / "w.pth"))
    x = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = (x - mean[:, None, None]) / std[:, None, None]
    assert torch.allclose(model.logits(x), net.eval()(normal), atol=1e-6)
    assert model.weights.startswith("w.pth (sha256 ")
    assert model.origin.doubts == ()


@torch.no_grad()
def test_head_and_stem_are_adapted(tmp_path):
    net = saved(tmp_path / "w.pth", num_classes=1000)
    model = build(channels=1, classes=3, weights=str(tmp_path / "w.pth"))
    assert model.net.fc.weight.shape == (3, 1024)
    assert torch.equal(model.net.conv1[0].weight, net.conv1[0].weight.sum(1, keepdim=True))
    assert torch.equal(model.net.conv5[0].weight, net.conv5[0].weight)
    assert "the head 'fc' is fresh: fc.weight of the file is (1000, 1024)" in model.origin.doubts[0]
    assert model.mean.flatten().tolist() == pytest.approx([(0.485 + 0.456 + 0.406) / 3])


def test_another_normalisation_than_torchvisions_is_doubted(tmp_path):
    saved(tmp_path / "w.pth", num_classes=2)
    model = build(weights=str(tmp_path / "w.pth"), mean=(0.5,), std=(0.5,))
    assert model.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    assert model.origin.doubts[0] == (
        "Warning: images are normalised by the mean (0.5, 0.5, 0.5), and torchvision's record of "
        "shufflenet_v2_x0_5 says (0.485, 0.456, 0.406)"
    )


def test_weights_of_torchvisions_name_are_of_its_size(tmp_path):
    every = torchvision.models.get_model_weights(SMALL)
    file = tmp_path / every.IMAGENET1K_V1.url.rpartition("/")[2]
    saved(file, num_classes=2)
    (doubt,) = build(weights=str(file)).origin.doubts
    assert doubt.endswith("images are 64x64, and torchvision's record of shufflenet_v2_x0_5 says "
                          "224x224")  # fmt: skip


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"architecture": "resnet81"}, r"no classifier 'resnet81' \(did you mean '.*', '.*' or "),
        ({"weights": "no.pth"}, "'no.pth' is neither 'none' nor an existing file .* downloaded"),
        ({"options": {"num_classes": 3}}, "options: num_classes is the data set's number of"),
        ({"options": {"depht": 3}}, "depht = 3.*unexpected keyword argument 'depht'"),
        ({"std": (0.0,)}, "std: every number must be above 0"),
        ({"mean": (0.1, 0.2)}, "mean: 2 numbers, and the images have 3"),
        (
            {"architecture": "vit_b_16", "size": (64, 96)},
            "square images, and these are 64x96",
        ),
        ({"architecture": "inception_v3", "size": (32, 32)}, "does not take images of 32x32"),
    ],
)
def test_what_cannot_be_is_refused(options, why):
    with pytest.raises(UserError, match=why):
        build(**options)


@pytest.mark.slow
def test_weights_with_heads_that_only_training_reads(tmp_path):
    net = torchvision.models.googlenet(num_classes=2, aux_logits=True, init_weights=True)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    model = build("googlenet", weights=str(tmp_path / "w.pth"))
    assert torch.equal(model.net.fc.weight, net.fc.weight)
