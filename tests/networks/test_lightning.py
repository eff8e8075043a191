"""Checkpoints as Lightning saves them: the weights are read, and nothing beside them is run."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from xaibench.errors import UserError
from xaibench.networks import stand_ins
from xaibench.networks.made_for import MadeFor
from xaibench.networks.stand_ins import Unread
from xaibench.networks.weight_files import load_weights

# What stands under Lightning's and others' dotted names; importing `project` leaves a trace.
MODULES = {
    "lightning/fabric/utilities/data.py": "class AttributeDict(dict):\n    pass\n",
    "omegaconf/dictconfig.py": "class DictConfig:\n    pass\n",
    "project.py": """
import enum
from pathlib import Path

from torch import nn

Path(__file__).with_name("imported").touch()


class Mode(enum.Enum):
    FAST = 1


class Settings(dict):
    pass


class Head(nn.Linear):
    def __setstate__(self, state):
        Path(__file__).with_name("built").touch()
        super().__setstate__(state)


def schedule(step):
    return 1.0
""",
}
SAVE = """
import collections
import datetime
import decimal
import functools
import pathlib

import numpy as np
import project
import torch
from lightning.fabric.utilities.data import AttributeDict
from omegaconf.dictconfig import DictConfig
from torch import nn

torch.manual_seed(5)
net = NET
optimizer = torch.optim.AdamW(net.parameters())
net(torch.rand(2, 3, 8, 8)).sum().backward()
optimizer.step()
tree = DictConfig()
tree.width = {"content": 3, "path": pathlib.Path("x")}
counts = collections.defaultdict(list)
counts["loss"].append(0.5)
saved = {
    "epoch": 3,
    "pytorch-lightning_version": "2.5.0",
    "torch": torch.__version__,
    "state_dict": {f"model.{name}": value for name, value in net.state_dict().items()},
    "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"ready": 4}}}},
    "optimizer_states": [optimizer.state_dict()],
    "lr_schedulers": [{"base_lrs": [0.1], "best": np.float64(0.5), "seen": np.arange(3)}],
    "callbacks": {"ModelCheckpoint{'monitor': None}": {
        "dirpath": pathlib.Path("runs"), "best_model_score": torch.tensor(0.9), "counts": counts,
        "when": datetime.datetime(2024, 1, 1), "step": decimal.Decimal("0.1")}},
    "hyper_parameters": AttributeDict(
        mean=[0.5, 0.5, 0.5], image_size=64, data=pathlib.PureWindowsPath("c:/data"),
        only=frozenset([1]), span=slice(3), **MORE),
}
torch.save(saved, "last.ckpt")
torch.save(net.state_dict(), "plain.pth")
"""
NET = "nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))"
FOREIGN = """dict(mode=project.Mode.FAST, head=project.Head(2, 2), config=tree,
        optimizer=functools.partial(torch.optim.SGD, lr=0.1), schedule=project.schedule)"""


def network() -> nn.Module:
    return eval(NET)


@pytest.fixture(scope="module", params=["{}", FOREIGN], ids=["plain", "foreign"])
def saved(request, tmp_path_factory):
    """A folder with ``last.ckpt``, of a process that knows modules which this one does not."""
    return written(tmp_path_factory.mktemp("saved"), request.param)


def written(folder: Path, more: str) -> Path:
    for name, source in MODULES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source, "utf-8")
    python(folder, "-c", SAVE.replace("MORE", more).replace("NET", NET))
    return folder


def python(folder: Path, *words: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True)


def test_the_weights_are_read_and_nothing_else_is_made(saved, request):
    for trace in ("imported", "built"):
        (saved / trace).unlink(missing_ok=True)
    net = network()
    loaded = load_weights(net, saved / "last.ckpt")
    for name, value in torch.load(saved / "plain.pth", weights_only=True).items():
        assert torch.equal(net.state_dict()[name], value), name
    assert loaded.made_for == MadeFor("last.ckpt", (0.5,) * 3, None, (64, 64))
    assert not {"project", "lightning", "omegaconf"} & sys.modules.keys()
    assert not (saved / "imported").exists()
    assert not (saved / "built").exists()
    assert (
        loaded.notes[0] == "Weights of last.ckpt: those under 'state_dict', names without 'model.'"
    )


def test_names_are_no_longer_safe_behind_a_file(saved):
    before = set(torch.serialization.get_safe_globals())
    load_weights(network(), saved / "last.ckpt")
    assert set(torch.serialization.get_safe_globals()) == before


def test_what_cannot_be_read_names_its_class_and_the_command_that_mends_it(tmp_path):
    folder = written(tmp_path, "dict(settings=project.Settings(lr=0.1))")
    with pytest.raises(UserError) as raised:
        load_weights(network(), folder / "last.ckpt")
    message = str(raised.value)
    assert "cannot be read: it is a pickle that holds code: project.Settings; " in message
    assert "where you trust it, this saves its weights alone: python -c" in message
    follow(message, folder)
    net = network()
    load_weights(net, folder / "last_weights.pth")
    assert torch.equal(
        net[3].weight, torch.load(folder / "plain.pth", weights_only=True)["3.weight"]
    )


def follow(message: str, folder: Path) -> None:
    """Run the command that a message tells, as a shell does."""
    command = re.search(r"alone: python (-c .*)$", message)[1]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    shell = f"'{sys.executable}' {command}"
    subprocess.run(shell, shell=True, cwd=folder, env=environment, check=True)


@pytest.mark.parametrize(
    ("wrap", "folder"),
    [(lambda net: net, "plain"), (lambda net: {"epoch": 2, "model": net}, 'a $HOME "of" it\'s')],
)
def test_a_whole_network_is_told_with_the_command_that_mends_it(wrap, folder, tmp_path):
    net = network()
    tmp_path /= folder
    tmp_path.mkdir()
    torch.save(wrap(net), tmp_path / "whole.pt")
    why = r"holds code: torch\.nn\.modules\.container\.Sequential; it is never loaded here; where"
    with pytest.raises(UserError, match=why) as raised:
        load_weights(network(), tmp_path / "whole.pt")
    follow(str(raised.value), tmp_path)
    other = network()
    load_weights(other, tmp_path / "whole_weights.pth")
    assert torch.equal(other[3].weight, net[3].weight)


class Calls:
    """Is pickled as a call of a function, which unpickling would make."""

    def __init__(self, function, *words):
        self.call = function, words

    def __reduce__(self):
        return self.call


HOSTILE = {
    "os.system": lambda trace: Calls(os.system, f"touch {trace}"),
    "builtins.eval": lambda trace: Calls(eval, f"__import__('os').mkdir({str(trace)!r})"),
    "builtins.exec": lambda trace: Calls(exec, f"__import__('os').mkdir({str(trace)!r})"),
    "io.open": lambda trace: Calls(open, str(trace), "w"),
    "subprocess.check_call": lambda trace: Calls(subprocess.check_call, ["touch", str(trace)]),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("function", HOSTILE)
def test_code_among_weights_is_told_whatever_stands_before_it(function, zipped, tmp_path):
    """Behind a path, a foreign class and the weights, and in each format: named, never run."""
    trace = tmp_path / "trace"
    state = network().state_dict()
    hostile = HOSTILE[function](trace)
    options = {"path": Path("x"), "net": nn.Conv2d(1, 1, 1), "more": hostile}
    file = tmp_path / "last.ckpt"
    tree = {"state_dict": state, "hyper_parameters": options}
    torch.save(tree, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError) as raised:
        load_weights(network(), file)
    message = str(raised.value)
    assert f"cannot be read: it is a pickle that holds code: {function}; no weights need" in message
    assert "python -c" not in message
    assert not trace.exists()
    done = pickle.loads(pickle.dumps(hostile))  # as people load it: no harmless file was refused
    getattr(done, "close", int)()
    assert trace.exists()


def test_code_of_the_standard_library_is_refused_even_if_nobody_listed_it(tmp_path):
    state = {"w": torch.ones(1), "more": Calls(re.compile, "a")}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"a pickle that holds code: re\._?compile; it is never"):
        load_weights(nn.Linear(1, 1), tmp_path / "w.pth")


def test_nothing_stands_in_for_what_is_refused():
    names = ["os.system", "re.compile", "builtins.eval", "builtins.getattr", "a hidden name"]
    for told in (names, [*names, "pathlib.PosixPath", "project.Net"]):
        stood = [pair[1] for pair in stand_ins.safe_globals(told) if isinstance(pair, tuple)]
        assert not set(names) & set(stood)
    assert (Unread, "project.Net") in stand_ins.safe_globals(["project.Net"])


def test_a_stand_in_keeps_nothing():
    stood = Unread(1, [2])
    stood.__setstate__({"call": print})
    assert vars(stood) == {}


def test_without_names_for_stand_ins_a_foreign_class_is_refused(saved, monkeypatch):
    """As torch 2.5 reads, which lets nothing stand under another's name."""
    monkeypatch.setattr(stand_ins, "NAMED", False)
    with pytest.raises(UserError, match="this saves its weights alone"):
        load_weights(network(), saved / "last.ckpt")
