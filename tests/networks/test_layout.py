"""The layout of a training, and a network that ends its process in the faster one."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from xaibench.models.gap_cnn import GapCnn
from xaibench.networks.layout import training_layout

CPU = torch.device("cpu")


def narrow(width: int) -> nn.Module:
    model = GapCnn(width=width).build(task="binary", classes=("a", "b"), channels=3, size=(96, 96))
    return model.net


@pytest.mark.parametrize(
    ("net", "layout"),
    [
        (narrow(8), torch.contiguous_format),
        (narrow(16), torch.channels_last),
        (nn.Conv2d(15, 4, 1, 2), torch.contiguous_format),
        (nn.Conv2d(16, 4, 1, 2), torch.channels_last),
        (nn.Conv2d(8, 4, 1), torch.channels_last),
        (nn.Conv2d(8, 4, 3, 2), torch.channels_last),
        (nn.Linear(4, 2), torch.channels_last),
    ],
)
def test_only_narrow_strided_convolutions_are_kept_from_the_faster_layout(net, layout):
    assert training_layout(net, CPU) == layout
    assert training_layout(net, torch.device("cuda")) == torch.channels_last


def test_a_narrow_network_is_trained_to_the_end():
    code = """
import tempfile
from pathlib import Path
import numpy as np
from tests.training.toy_training import OPTIONS, ArraySplit, fit_toy, toy_data
from xaibench.models.gap_cnn import GapCnn

draws = np.random.default_rng(0)
splits = {
    split: ArraySplit(draws.random((16, 96, 96, 3), np.float32), np.arange(16) % 2)
    for split in ("train", "valid")
}
data = toy_data(size=(96, 96), splits=splits)
model = GapCnn(width=8).build(task="binary", classes=("no", "yes"), channels=3, size=(96, 96))
with tempfile.TemporaryDirectory() as folder:
    fit_toy(Path(folder), model, data, OPTIONS.model_copy(update={"epochs": 1}))
print("trained")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "trained"), done.stderr[-500:]
