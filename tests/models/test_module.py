"""A callable of one's own: how it is found, what it takes and gives, heads, messages."""

from __future__ import annotations

import pytest
import torch

from xaibench.config.reading import load_config
from xaibench.errors import UserError
from xaibench.models.module import Module
from xaibench.networks.tokens import TokenGrid
from xaibench.store.provenance import plugin_version

NET = """
from torch import nn


class Wrapped(nn.Module):
    def __init__(self, outputs=2, width=4, channels=3, ending=None):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, width, 3, 2, 1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, outputs)
        self.end = getattr(nn, ending)(*[1] * (ending == "Softmax")) if ending else nn.Identity()

    def forward(self, x):
        return self.end(self.fc(self.pool(self.body(x)).flatten(1)))


def make(**options):
    return Wrapped(**options)


def fixed():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))


def two(x=1):
    class Two(Wrapped):
        def forward(self, x):
            return {"logits": super().forward(x)}
    return Two()


number = 3
"""


@pytest.fixture(autouse=True)
def beside(tmp_path, monkeypatch):
    (tmp_path / "my_net.py").write_text(NET, "utf-8")
    monkeypatch.chdir(tmp_path)


def build(*, classes=2, task="binary", images=(3, 16, 16), **told):
    torch.manual_seed(0)
    model = Module(**{"factory": "my_net.py:make"} | told)
    model.validate()
    names = tuple(f"class {i}" for i in range(classes))
    return model.build(task=task, classes=names, channels=images[0], size=images[1:]).eval()


def test_places_are_found():
    model = build(options={"width": 6})
    assert (model.cam_layer, model.pool, model.linear_head) == ("body", "pool", "fc")
    assert model.stages == (("body",),)
    assert model.weights == "as my_net.py:make gives them"
    assert build(cam_layer="body.0").cam_layer == "body.0"


@torch.no_grad()
@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ({}, lambda x: x),
        ({"mean": (0.5,), "std": (0.25,)}, lambda x: (x - 0.5) / 0.25),
        ({"input_range": (0.0, 255.0)}, lambda x: 255 * x),
        ({"input_range": (-1.0, 1.0)}, lambda x: 2 * x - 1),
        ({"input_range": (0.0, 255.0), "mean": (100.0, 110.0, 120.0), "std": (50.0,)},
         lambda x: (255 * x - torch.tensor([100.0, 110, 120])[:, None, None]) / 50),
    ],
)  # fmt: skip
def test_the_network_sees_what_it_was_trained_on(told, seen):
    model = build(**told)
    images = torch.rand(3, 3, 16, 16)
    assert torch.allclose(model.logits(images), model.net(seen(images)), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_grey_images_are_repeated_each_copy_normalised():
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    model = build(images=(1, 16, 16), channels=3, mean=mean, std=std)
    images = torch.rand(2, 1, 16, 16)
    three = (images.expand(-1, 3, -1, -1) - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[
        :, None, None
    ]
    assert torch.allclose(model.logits(images), model.net.net(three), atol=1e-6)
    assert (model.cam_layer, model.linear_head) == ("net.body", "net.fc")
    assert model.check_feature_maps("net.body") == (4, 8, 8)


HEADS = [
    ("binary", 2, 2, "softmax"), ("binary", 2, 1, "single_logit"), ("multiclass", 4, 4, "softmax"),
    ("multilabel", 3, 3, "multilabel"), ("regression", 1, 1, "regression"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "classes", "outputs", "head"), HEADS)
def test_outputs_are_read_as_the_task_has_them(task, classes, outputs, head):
    assert build(task=task, classes=classes, options={"outputs": outputs}).head == head


@pytest.mark.parametrize("single_logit", [True, False])
def test_a_head_is_replaced(single_logit):
    model = build(head="replace", single_logit=single_logit, options={"outputs": 1000})
    assert model.net.fc.out_features == (1 if single_logit else 2)
    assert model.head == ("single_logit" if single_logit else "softmax")
    assert model.origin.doubts == ("the head is fresh",)


@torch.no_grad()
@pytest.mark.parametrize(
    ("ending", "outputs", "task"), [("Softmax", 2, "binary"), ("Sigmoid", 1, "binary"),
                                    ("Sigmoid", 2, "multilabel")],
)  # fmt: skip
def test_probabilities_come_out_as_they_went_in(ending, outputs, task):
    told = {"outputs": outputs, "ending": ending}
    model = build(task=task, options=told, outputs="probabilities")
    images = torch.rand(3, 3, 16, 16)
    given = model.net.net(images)
    got = model.probabilities(model.logits(images))
    assert torch.allclose(got[:, -outputs:], given, atol=1e-6)
    assert model.linear_head is None


def test_a_checkpoint_goes_in(tmp_path):
    torch.manual_seed(7)
    net = Module("my_net.py:make").build(
        task="binary", classes=("a", "b"), channels=3, size=(16, 16)
    ).net  # fmt: skip
    state = {f"module.{k}": v for k, v in net.state_dict().items()}
    torch.save({"state_dict": state, "mean": [0.5], "std": [0.5]}, tmp_path / "w.pth")
    model = build(weights=str(tmp_path / "w.pth"))
    assert torch.equal(model.net.fc.weight, net.fc.weight)
    assert model.origin.notes == (
        "Weights of w.pth: those under 'state_dict', names without 'module.'",
    )
    assert [d.partition(" by ")[2] for d in model.origin.doubts] == [
        "the mean (0, 0, 0), and w.pth says (0.5)", "the std (1, 1, 1), and w.pth says (0.5)"
    ]  # fmt: skip


REFUSED = [
    ({"factory": "my_net"}, "factory: 'my_net' names no callable; write `package.module:name`"),
    ({"factory": "no.py:make"}, "factory: no.py is no file, neither beside the config nor in"),
    ({"factory": "my_net.py:maek"}, r"my_net.py has no 'maek'; allowed: .*did you mean 'make'\?"),
    ({"factory": "my_net.py:number"}, "factory: my_net.py:number is a int, no callable"),
    ({"factory": "no_such_package:f"}, "no_such_package cannot be imported: ModuleNotFoundError"),
    ({"factory": "builtins:dict"}, r"gives a dict; it must return a torch\.nn\.Module"),
    ({"options": {"wdith": 3}}, r"my_net.py:make with \(wdith=3\) failed: TypeError: .*'wdith'"),
    ({"options": {"outputs": 1000}}, r"gives 1000 outputs, and .* 2 classes; say `head: replace`"),
    ({"factory": "my_net.py:two"}, r"gives dict for one image; it must give one tensor"),
    ({"factory": "my_net.py:fixed"}, "does not take images of 3x16x16 .* say its `channels` and"),
    ({"options": {"channels": 1}}, "does not take images of 3x16x16 .* `channels`"),
    ({"channels": 1}, "channels: the network takes 1, and the data set's images have 3"),
    ({"size": (224, 224)}, "size: the network takes images of 224x224, and .* are 16x16; resize"),
    ({"options": {"ending": "Softmax"}}, "gives probabilities, .* say `outputs: probabilities`"),
    ({"input_range": (1.0, 0.0)}, "input_range: 1 must be below 0"),
    ({"std": (0.0,)}, "std: every number must be above 0"),
    ({"mean": (0.1, 0.2)}, "mean: 2 numbers, and the images have 3 channels"),
    ({"mean": (0.1, 0.2), "channels": 3}, "mean: 2 numbers for channels: 3"),
    ({"weights": "no.pth"}, "'no.pth' is neither 'factory' nor an existing file"),
    ({"single_logit": True}, "single_logit: is of a head that is replaced"),
    ({"head": "replace", "outputs": "probabilities"}, "outputs: a head that is replaced gives"),
    ({"head": "replace", "options": {"ending": "Softmax"}}, "do not come of a linear layer"),
]


@pytest.mark.parametrize(("told", "why"), REFUSED)
def test_what_cannot_be_is_refused_in_a_line(told, why):
    with pytest.raises(UserError, match=why) as raised:
        build(**told)
    assert "\n" not in str(raised.value)


def test_code_that_fails_at_the_top_is_told(tmp_path):
    (tmp_path / "broken.py").write_text("raise SystemExit('no')", "utf-8")
    with pytest.raises(UserError, match=r"broken\.py failed to import: SystemExit: no"):
        build(factory="broken.py:f")


CONFIG = """
name: own
dataset: {use: pcam, when_missing: synthesize}
model: {use: module, factory: "my_net.py:make"}
explainers: {edge: }
metrics: {mass_accuracy: }
"""


def test_a_file_beside_the_config_comes_first(tmp_path, monkeypatch):
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "my_net.py").write_text(NET, "utf-8")
    (folder / "run.yaml").write_text(CONFIG, "utf-8")
    config = load_config(folder / "run.yaml")
    assert config.model.factory == f"{folder / 'my_net.py'}:make"
    (folder / "my_net.py").unlink()
    assert load_config(folder / "run.yaml").model.factory == "my_net.py:make"
    (tmp_path / "my_net.py").unlink()
    with pytest.raises(UserError, match=r"run\.yaml:4: model\.factory: my_net\.py is no file"):
        load_config(folder / "run.yaml")


def test_a_factory_must_be_named(tmp_path):
    text = CONFIG.replace(', factory: "my_net.py:make"', "")
    (tmp_path / "run.yaml").write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"model\.factory: lacks the key 'factory'"):
        load_config(tmp_path / "run.yaml")


def test_code_and_weights_are_part_of_the_version(tmp_path):
    torch.save({}, tmp_path / "w.pth")
    plugin = Module("my_net.py:make", weights="w.pth")
    first = plugin_version(plugin)
    assert plugin_version(plugin) == first
    (tmp_path / "my_net.py").write_text(f"{NET}\nmore = 1\n", "utf-8")
    second = plugin_version(plugin)
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pth")
    assert len({first, second, plugin_version(plugin)}) == 3


def test_a_timm_network_is_read_as_timms_own():
    model = build(
        factory="timm:create_model",
        options={"model_name": "test_vit", "num_classes": 2, "img_size": 32},
        images=(3, 32, 32),
    )
    assert isinstance(model.tokens, TokenGrid)
    assert model.cam_layer == "blocks.5.norm1"
