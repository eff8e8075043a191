"""How a network's weights and images lie in memory while it is trained."""

from __future__ import annotations

import torch
from torch import nn


def training_layout(net: nn.Module, device: torch.device) -> torch.memory_format:
    """Return channels_last, which is faster, unless its backward pass would end the process.

    On processors with AVX-512, oneDNN (of PyTorch 2.14) writes outside its memory where it takes
    the gradient of the weights of a 1x1 convolution with a stride that reads 2 to 15 channels in
    channels_last: a segmentation fault or "corrupted memory". Such a network is too narrow to be
    slow. Gradients of the images are right in either layout.
    """
    narrow = device.type == "cpu" and any(
        isinstance(part, nn.Conv2d)
        and part.kernel_size == (1, 1)
        and part.stride != (1, 1)
        and part.in_channels < 16
        for part in net.modules()
    )
    return torch.contiguous_format if narrow else torch.channels_last
