"""Hot loops never wait for the device: twice the steps, or half the batch, and no wait more.

On a GPU each wait ends what makes it fast: kernels are queued while others run.
"""

from __future__ import annotations

from collections import Counter

import pytest
from trials import numbers_there, plugin

from xaibench.checks.stage import Stage

# A loop, and two sizes of it.
LOOPS = [
    ("metric", "deletion", {"steps": 10}, {"steps": 30}),
    ("metric", "insertion", {"steps": 10}, {"steps": 30}),
    ("metric", "srg", {"steps": 8}, {"steps": 20}),
    ("metric", "aopc", {"steps": 4}, {"steps": 12}),
    ("metric", "selectivity", {"steps": 10}, {"steps": 30}),
    ("metric", "monotonicity", {"steps": 10}, {"steps": 30}),
    ("metric", "infidelity", {"samples": 10}, {"samples": 30}),
    ("metric", "sensitivity_n", {"subsets": 2}, {"subsets": 6}),
    ("metric", "faithfulness_correlation", {"subsets": 10}, {"subsets": 30}),
    ("explainer", "square_occlusion", {"window": 16, "stride": 8}, {"window": 8, "stride": 4}),
    ("explainer", "superpixel_occlusion", {}, {}),
    ("explainer", "lime", {"samples": 20}, {"samples": 50}),
    ("explainer", "kernel_shap", {"samples": 64}, {"samples": 128}),
    ("explainer", "rise", {"masks": 20}, {"masks": 60}),
    ("explainer", "score_cam", {}, {}),
    ("explainer", "ablation_cam", {}, {}),
    ("explainer", "smooth_grad", {"samples": 4}, {"samples": 20}),
    ("explainer", "var_grad", {"samples": 4}, {"samples": 20}),
    ("explainer", "expected_gradients", {"samples": 4}, {"samples": 20}),
    ("explainer", "integrated_gradients", {"steps": 8}, {"steps": 48}),
    ("explainer", "blur_ig", {"steps": 4}, {"steps": 20}),
    ("explainer", "guided_ig", {"steps": 3}, {"steps": 6}),
    ("explainer", "extremal_perturbation", {"steps": 3}, {"steps": 6}),
    ("explainer", "grad_cam", {}, {}),
]


def waits(kind: str, name: str, settings: dict, batch_size: int = 16) -> Counter:
    """Return kind and place of a wait -> how often; of large batches, in which loops are long."""
    _, found = numbers_there(plugin(kind, name, settings), Stage(images=2), batch_size)
    return Counter((wait.what, wait.where) for wait in found)


@pytest.mark.parametrize(
    ("kind", "name", "few", "many"), LOOPS, ids=[name for _, name, *_ in LOOPS]
)
def test_a_loop_waits_as_often_however_long_it_is(kind, name, few, many):
    short = waits(kind, name, few)
    assert waits(kind, name, many) - short == Counter()
    # All images still in one batch, where the images themselves are batched.
    assert waits(kind, name, few, batch_size=4) - short == Counter()
