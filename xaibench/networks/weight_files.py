"""State dicts from files, with stem and head adapted to a network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from xaibench.errors import UserError

GreyStem = Literal["sum", "mean"]


def load_weights(
    net: nn.Module,
    path: Path,
    *,
    stems: tuple[str, ...],
    heads: tuple[str, ...],
    grey_stem: GreyStem,
) -> None:
    """Load a state dict (.pt, .pth) or .safetensors file; a UserError names what does not fit.

    Args:
        stems: names of the modules whose kernels of three channels become one where the network
            takes grey images.
        heads: names of the modules that stay as they are where the file's differ in shape or lack.
        grey_stem: what the one channel is of the three.
    """
    state = _read(path)
    wanted = net.state_dict()
    for key in (f"{name}.weight" for name in stems):
        if key in state and state[key].shape[1] == 3 and wanted[key].shape[1] == 1:
            kernels = state[key].sum(dim=1, keepdim=True)
            state[key] = kernels / 3 if grey_stem == "mean" else kernels
    for head in heads:
        if _shapes(state, head) != _shapes(wanted, head):
            state = {k: v for k, v in state.items() if not k.startswith(f"{head}.")}
            state |= {key: wanted[key] for key in _shapes(wanted, head)}
    for key, value in wanted.items():
        if key.endswith("num_batches_tracked"):  # older files do not hold this counter
            state.setdefault(key, value)
    problems = [f"lacks {k}" for k in wanted if k not in state]
    problems += [f"has {k}, which the network has not" for k in state if k not in wanted]
    problems += [
        f"{k} is {tuple(state[k].shape)}, must be {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in state and state[k].shape != v.shape
    ]
    if problems:
        raise UserError(
            f"weights: {path} does not fit the architecture ({len(problems)} differences): "
            + "; ".join(problems[:3])
        )
    net.load_state_dict(state)


def _shapes(state: dict[str, Tensor], module: str) -> dict[str, torch.Size]:
    return {k: v.shape for k, v in state.items() if k.startswith(f"{module}.")}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format raises its own kind for a damaged file
        raise UserError(f"weights: {path} cannot be read: {type(error).__name__}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"weights: {path} holds no state dict (names with tensors)")
    return dict(state)
