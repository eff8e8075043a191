"""What Integrated Gradients miss of completeness, by the rule and the number of its points.

python -m benchmarks.quadrature [--size resnet18_96] [--images 4]
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.sizes import SIZES
from benchmarks.subjects import Subject, subject
from benchmarks.tables import markdown
from xaibench.explainers.integrated_gradients import IntegratedGradients
from xaibench.metrics.completeness import Completeness

RULES = ("gausslegendre", "riemann_middle", "trapezoid", "riemann_right", "by_change")
STEPS = (8, 16, 32, 64, 128)


def missing(its: Subject, images: int, rule: str, steps: int) -> tuple[float, str]:
    """Return the mean of |sum of relevance - rise of the score|, in logits, and the passes."""
    explainer = IntegratedGradients(steps, channels="sum", rule=rule)
    batch = its.fresh(images)
    found = explainer(its.model, batch)
    errors = Completeness("black").score(its.model, batch, found.maps).values["completeness"]
    passes = (found.passes.forward // images, found.passes.backward // images)
    return float(errors.mean()), f"{passes[0]} + {passes[1]} back"


def table(its: Subject, images: int) -> str:
    rows = []
    for steps in STEPS:
        for rule in RULES:
            error, passes = missing(its, images, rule, steps)
            rows.append([str(steps), rule, passes, f"{error:.3g}"])
    return markdown(["steps", "rule", "passes an image", "mean error, logits"], rows)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--size", choices=SIZES, default="resnet18_96")
    asked.add_argument("--images", type=int, default=4)
    said = asked.parse_args()
    print(table(subject(SIZES[said.size], said.images, torch.device("cpu")), said.images))
