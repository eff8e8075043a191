"""The peak of memory is that of the block, and None where the system cannot tell it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xaibench.engine import costs as memory
from xaibench.engine.costs import peak_memory

CPU = torch.device("cpu")
MIB = 2**20

told = pytest.mark.skipif(
    not memory._reset_resident(), reason="this system does not let the peak be reset"
)


@told
def test_an_array_inside_the_block_raises_its_peak_and_no_later_one():
    with peak_memory(CPU) as before:
        pass
    with peak_memory(CPU) as during:
        np.ones(256 * MIB, np.uint8).sum()  # gone when the block ends
    with peak_memory(CPU) as after:
        pass
    assert during.bytes - before.bytes == pytest.approx(256 * MIB, rel=0.1)
    assert after.bytes - before.bytes < 64 * MIB


@told
def test_the_peak_is_known_when_the_block_is_left():
    with peak_memory(CPU) as peak:
        assert peak.bytes is None
    assert peak.bytes > 10 * MIB  # an interpreter with torch


def test_without_leave_to_reset_there_is_no_peak(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "no_folder" / "clear_refs")
    with peak_memory(CPU) as peak:
        pass
    assert peak.bytes is None


@pytest.mark.parametrize("text", [None, "VmRSS:\t 10 kB\n"])
def test_without_the_systems_word_there_is_no_peak(monkeypatch, tmp_path, text):
    status = tmp_path / "status"
    if text:
        status.write_text(text)
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "clear_refs")
    monkeypatch.setattr(memory, "_STATUS", status)
    with peak_memory(CPU) as peak:
        pass
    assert peak.bytes is None


def test_the_systems_kilobytes_are_of_1024_bytes(monkeypatch, tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t   2048 kB\nVmRSS:\t 10 kB\n")
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "clear_refs")
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    with peak_memory(CPU) as peak:
        pass
    assert peak.bytes == 2 * MIB


def test_another_device_has_none():
    with peak_memory(torch.device("meta")) as peak:
        pass
    assert peak.bytes is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_it_is_what_the_tensors_held():
    device = torch.device("cuda")
    held = torch.ones(MIB, device=device)
    with peak_memory(device) as before:
        pass
    with peak_memory(device) as during:
        torch.ones(64 * MIB, dtype=torch.uint8, device=device)
    assert before.bytes >= held.nbytes
    assert during.bytes - before.bytes == 64 * MIB
