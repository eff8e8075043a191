"""What the machine has; needs nothing but torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from benchmarks.records import machine, version
from benchmarks.stage import Stage
from benchmarks.tables import markdown

_ALSO = ("torchvision", "scikit-image", "scikit-learn", "scipy", "pandas", "pyarrow", "h5py")


def environment(stage: Stage) -> dict[str, object]:
    """Return what the machine has, and the switches that figures depend on."""
    found = machine(stage.device) | {
        "other versions": {name: version(name) for name in _ALSO},
        "TF32 in convolutions": torch.backends.cudnn.allow_tf32,
        "TF32 in products": torch.backends.cuda.matmul.allow_tf32,
        "deterministic convolutions": torch.backends.cudnn.deterministic,
    }
    if stage.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(stage.device)
        found |= {
            "free memory": f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB",
            "capability": ".".join(map(str, torch.cuda.get_device_capability(stage.device))),
            "cuDNN": torch.backends.cudnn.version(),
        }
    rows = [[k, _listed(v) if isinstance(v, Mapping) else str(v)] for k, v in found.items()]
    return {"found": found, "table": f"**Environment**\n\n{markdown(['what', 'value'], rows)}"}


def _listed(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {found or 'not installed'}" for name, found in versions.items())
