"""How the engine computes its passes; without torch, since a config is checked before it loads."""

from __future__ import annotations

from typing import Literal

Precision = Literal["fp32", "bf16"]
"""``fp32``: true float32 (TF32 stays off). ``bf16``: weights and activations in bfloat16, the
head in float32; about twice as fast where the processor has it, and in every protocol id."""

Acceleration = Literal["none", "compile", "cuda_graph"]
"""What full batches run through besides batch norm folding. ``compile``: ``torch.compile``, half
a minute at the start of each run. ``cuda_graph``: one replayed graph, on a CUDA device."""
