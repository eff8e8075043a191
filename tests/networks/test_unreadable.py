"""A file that holds no weights says what it is, and nothing in it is run."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from xaibench.errors import UserError
from xaibench.networks.unreadable import what_it_is
from xaibench.networks.weight_files import load_weights


class Hostile:
    """Would write a file when it is unpickled."""

    def __init__(self, traces: Path) -> None:
        self.traces = traces

    def __reduce__(self):
        return os.system, (f"touch {self.traces}",)


def bytes_of(write) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def saved(value, **how) -> bytes:
    return bytes_of(lambda file: torch.save(value, file, **how))


def zipped(**members) -> bytes:
    def write(file):
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members.items():
                archive.writestr(name.replace("__", "/"), content)

    return bytes_of(write)


def tarred() -> bytes:
    def write(file):
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("weights.pth"))

    return bytes_of(write)


NET = nn.Conv2d(3, 4, 3)
STATE = NET.state_dict()
LEGACY = {"_use_new_zipfile_serialization": False}
STACK = pickle.dumps(Hostile(Path("never")), protocol=4)
FILES = {
    "empty": (b"", "empty"),
    "page": (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "an HTML page"),
    "bare page": (b"<html><head><title>404</title>", "an HTML page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "Git LFS"),
    "text": (b"epoch,loss\n1,0.3\n", "a text file"),
    "accents": ("Gewichte für das Netz\n".encode() * 400, "a text file"),
    "cut zip": (saved(STATE)[:-300], "a truncated ZIP"),
    "photos": (zipped(a__jpg=b"1", b__jpg=b"2"), "a ZIP without tensors"),
    "numbers": (saved({"epoch": 3}), "a ZIP without tensors"),
    "code": (b"cos\nsystem\n(S'touch never'\ntR.", "a pickle that holds code: os.system"),
    "stack code": (STACK, "a pickle that holds code: os.system"),
    "zip code": (saved({"w": Hostile(Path("never"))}), "a pickle that holds code: os.system"),
    "old code": (saved({"w": Hostile(Path("x"))}, **LEGACY), "a pickle that holds code: os.system"),
    "whole net": (saved(NET), "a pickle that holds code: torch.nn.modules.conv.Conv2d"),
    "cut pickle": (pickle.dumps({"a": list(range(999))})[:50], "a truncated pickle"),
    "cut tensors": (b"\x40\x02\x00\x00\x00\x00\x00\x00{", "a truncated safetensors file"),
    "tar": (tarred(), "a tar archive"),
    "gzip": (b"\x1f\x8b\x08\x00rest", "a gzip archive"),
    "keras": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "noise": (bytes(range(200, 256)) * 9, "no kind of file that holds weights"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_what_it_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, said = FILES[name]
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    assert said in what_it_is(file)
    with pytest.raises(UserError) as raised:
        load_weights(NET, file, stems=(), heads=(), grey_stem="sum")
    message = str(raised.value)
    assert message.startswith(f"weights: {file} ")
    assert said in message or "holds no state dict" in message
    assert "\n" not in message
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]  # nothing was run


def test_hostile_files_would_have_done_it(tmp_path):
    """The same bytes, unpickled as people do: what is refused above is no harmless file."""
    traces = tmp_path / "traces"
    pickle.loads(pickle.dumps(Hostile(traces)))
    assert traces.exists()


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_archives_with_code_are_told_from_weights(tmp_path):
    traced = tmp_path / "net.pt"
    torch.jit.save(torch.jit.trace(NET, torch.rand(1, 3, 8, 8)), traced)
    exported = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(NET, (torch.rand(2, 3, 8, 8),)), exported)
    assert what_it_is(traced) == "a TorchScript archive (use: exported)"
    assert what_it_is(exported) == "a torch.export archive (use: exported)"
    for file in (traced, exported):
        with pytest.raises(UserError, match=r"archive \(use: exported\)"):
            load_weights(NET, file, stems=(), heads=(), grey_stem="sum")


@pytest.mark.parametrize("how", [{}, LEGACY, {"pickle_protocol": 4}])
def test_tensors_are_no_code(how, tmp_path):
    plain = {"epoch": 1, "state_dict": STATE, "args": {"lr": 0.1}, "shape": torch.Size([1])}
    half = {k: v.bfloat16() for k, v in STATE.items()}
    (tmp_path / "w.pt").write_bytes(saved(plain | {"half": half, "p": NET.weight}, **how))
    assert what_it_is(tmp_path / "w.pt") == "a file of tensors"


def test_a_safetensors_file_that_is_cut_is_told(tmp_path):
    file = tmp_path / "w.safetensors"
    save_file({k: v.clone() for k, v in STATE.items()}, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 8])
    with pytest.raises(UserError, match="it is a truncated safetensors file; copy or download"):
        load_weights(NET, file, stems=(), heads=(), grey_stem="sum")
