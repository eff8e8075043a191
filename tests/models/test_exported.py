"""Archives with their code: loaded only here, for scores alone."""

from __future__ import annotations

import zipfile

import pytest
import torch
from torch import nn

from xaibench.checks.stage import toy_batch
from xaibench.errors import UserError
from xaibench.explainers.grad_cam import GradCam
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.explainers.rise import Rise
from xaibench.models.exported import Exported

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
SIZE = (32, 32)


def network(*, outputs=2, ending=None):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    layers += [nn.Flatten(), nn.Linear(4, outputs), *([ending] if ending else [])]
    return nn.Sequential(*layers).eval()


def scripted(net, file):
    torch.jit.save(torch.jit.trace(net, torch.rand(2, 3, *SIZE)), file)
    return file


def exported(net, file):
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    example = (torch.rand(2, 3, *SIZE),)
    torch.export.save(torch.export.export(net, example, dynamic_shapes=dynamic), file)
    return file


def build(file, *, classes=("a", "b"), task="binary", channels=3, size=SIZE, **told):
    plugin = Exported(file, **told)
    plugin.validate()
    return plugin.build(task=task, classes=classes, channels=channels, size=size).eval()


@pytest.fixture(params=[(scripted, "net.pt"), (exported, "net.pt2")], ids=["jit", "export"])
def archive(request, tmp_path):
    write, name = request.param
    return lambda net: write(net, tmp_path / name)


@torch.no_grad()
def test_it_gives_what_the_network_gave(archive):
    net = network()
    model = build(archive(net), mean=(0.5,), std=(0.25,))
    images = torch.rand(5, 3, *SIZE)
    assert torch.allclose(model.logits(images), net((images - 0.5) / 0.25), atol=1e-5)
    assert model.head == "softmax"
    assert "(sha256 " in model.weights
    before = model.passes.copy()
    model.score(images, torch.zeros(5, dtype=torch.long))
    assert model.passes.since(before).forward == 5


def test_masks_explain_it(archive):
    model = build(archive(network()))
    explainer = Rise(masks=8)
    explainer.admit(model)
    found = explainer(model, toy_batch())
    assert set(found.statuses) == {"ok"}


@pytest.mark.parametrize(
    ("explainer", "lacking"),
    [(GradCam(), "gradients and feature maps"), (IntegratedGradients(), "gradients")],
)
def test_what_needs_gradients_or_layers_says_that_it_has_none(explainer, lacking, tmp_path):
    model = build(scripted(network(), tmp_path / "net.pt"))
    with pytest.raises(UserError, match=f"needs {lacking} of the model, and this one has none"):
        explainer.admit(model)
    with pytest.raises(UserError, match="gives scores alone"):
        model.module("0")
    images = torch.rand(2, 3, *SIZE, requires_grad=True)
    with pytest.raises(UserError, match="gives scores alone, and has no gradients"):
        model.score(images, torch.zeros(2, dtype=torch.long))


@torch.no_grad()
def test_an_archive_may_end_in_probabilities(archive):
    net = network(ending=nn.Softmax(1))
    file = archive(net)
    with pytest.raises(UserError, match="say `outputs: probabilities`"):
        build(file)
    model = build(file, outputs="probabilities")
    images = torch.rand(3, 3, *SIZE)
    assert torch.allclose(model.probabilities(model.logits(images)), net(images), atol=1e-6)


@torch.no_grad()
def test_grey_images_are_repeated(archive):
    net = network()
    plugin = Exported(archive(net), channels=3, mean=(0.1, 0.2, 0.3))
    model = plugin.build(task="binary", classes=("a", "b"), channels=1, size=SIZE).eval()
    images = torch.rand(2, 1, *SIZE)
    three = images.expand(-1, 3, -1, -1) - torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    assert torch.allclose(model.logits(images), net(three), atol=1e-5)


def test_one_image_at_a_time_is_refused(tmp_path):
    fixed = torch.export.export(network(), (torch.rand(1, 3, *SIZE),))
    torch.export.save(fixed, tmp_path / "net.pt2")
    with pytest.raises(UserError, match="takes one image alone; export it for any number"):
        build(tmp_path / "net.pt2")


def test_what_is_no_archive_is_refused_before_it_is_loaded(tmp_path):
    torch.save(network().state_dict(), tmp_path / "w.pt")
    (tmp_path / "page.pt").write_text("<!doctype html><p>", "utf-8")
    for name, why in {
        "w.pt": "is a file of tensors, not an archive .* weights alone go into `weights`",
        "page.pt": "is an HTML page, not an archive .*; download the file itself",
        "none.pt": "is no file; name an archive",
    }.items():
        with pytest.raises(UserError, match=why):
            Exported(tmp_path / name).validate()


def test_a_damaged_archive_is_told_in_a_line(tmp_path):
    whole, file = scripted(network(), tmp_path / "whole.pt"), tmp_path / "net.pt"
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(file, "w") as damaged:
        for name in archive.namelist():
            content = b"def forward(" if name.endswith(".py") else archive.read(name)
            damaged.writestr(name, content)
    with pytest.raises(UserError, match=r"net.pt cannot be loaded by torch .*export it anew"):
        build(file)


def test_another_size_or_number_of_classes_is_told(archive):
    file = archive(network())
    with pytest.raises(UserError, match=r"gives 2 outputs, and the data set .* has 3 classes"):
        build(file, classes=("a", "b", "c"), task="multiclass")
    plugin = Exported(file, size=SIZE)
    with pytest.raises(UserError, match="size: the network takes images of 32x32"):
        plugin.build(task="binary", classes=("a", "b"), channels=3, size=(64, 64))
