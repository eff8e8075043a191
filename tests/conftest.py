"""Shared fixtures."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

# The tests' models are so small that a second thread costs more than it gives, and on a busy
# machine threads wait for each other.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
# What a machine remembers of its speed is not the tests' to write, nor to find.
os.environ["XAIBENCH_CACHE"] = tempfile.mkdtemp(prefix="xaibench-")
atexit.register(shutil.rmtree, os.environ["XAIBENCH_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images; tests that need it are skipped, with the reason, without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("XAIBENCH_DATA", default))
    if not root.is_dir():
        pytest.skip(f"no real images: {root} is not a folder (set XAIBENCH_DATA)")
    return root
