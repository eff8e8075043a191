"""Where a run computes, and how it is kept from varying from run to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from xaibench.errors import UserError


def choose_device(name: str) -> torch.device:
    """Return the device that a config names; ``auto`` takes a GPU where one is."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    missing = (name.startswith("cuda") and not torch.cuda.is_available()) or (
        name == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise UserError(f"device: {name!r} is not available here; use 'auto' or 'cpu'")
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or else the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed what has no seed of its own, and keep kernels from varying from run to run."""
    backends, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (backends.deterministic, backends.benchmark, backends.allow_tf32, products.allow_tf32)
    backends.deterministic, backends.benchmark = True, False
    # fp32 means fp32: TF32 keeps 10 bits of a product's operands.
    backends.allow_tf32 = products.allow_tf32 = False
    torch.manual_seed(seed)
    try:
        yield
    finally:
        backends.deterministic, backends.benchmark, backends.allow_tf32 = before[:3]
        products.allow_tf32 = before[3]
