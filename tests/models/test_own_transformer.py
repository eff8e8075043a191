"""The transformer that docs/how-to/model.md shows: all that reads its tokens explains it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xaibench.checks.stage import toy_batch
from xaibench.registry import Registry

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/model.md"
NAMES = ["grad_cam", "attention_rollout", "raw_attention", "gradient_attention", "token_occlusion"]


@pytest.mark.parametrize("name", NAMES)
def test_a_transformer_of_ones_own_is_explained(name, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    file = tmp_path / "small_vit.py"
    file.write_text(next(b for b in blocks if "small_vit.py" in b), encoding="utf-8")
    registry = Registry([file])
    plugin = registry.load("model", "small_vit")()
    model = plugin.build(task="binary", classes=("a", "b"), channels=3, size=(32, 32)).eval()
    explainer = registry.load("explainer", name)()
    explainer.check(model)
    assert set(explainer(model, toy_batch()).statuses) == {"ok"}
