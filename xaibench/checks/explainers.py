"""Does an explainer keep its contract?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from xaibench.checks.checking import CheckResult, as_found, check, gap, invariant, well_made
from xaibench.checks.stage import Stage
from xaibench.engine import Batch
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier


def check_explainer(explainer: Explainer) -> Iterator[CheckResult]:
    """Check an explainer on small models: three kinds of head, one and three channels."""
    yield check("is a frozen dataclass with a docstring", well_made, explainer)
    for head, channels in (("softmax", 3), ("single_logit", 1), ("multilabel", 3)):
        stage = Stage(head, channels)
        yield check(f"gives finite maps of the images' size{stage}", _finite, explainer, stage)
        yield check(f"gives the same twice{stage}", _repeatable, explainer, stage)
        maps = partial(_maps, explainer, stage.model())
        name = f"whole batch = one by one = permuted{stage}"
        yield check(name, invariant, maps, stage.batch())
        act = lambda model, batch, _, explainer=explainer: explainer(model, batch)
        yield check(f"returns model and images as found{stage}", as_found, act, stage)
        if not explainer.control:
            yield check(f"depends on the model{stage}", _sensitive, explainer, stage)


def _maps(explainer: Explainer, model: Classifier, batch: Batch) -> Tensor:
    return explainer(model, batch).maps


def _finite(explainer: Explainer, stage: Stage) -> str | None:
    model = stage.model()
    explainer.check(model)
    statuses = explainer(model, stage.batch()).statuses
    return "maps have values that are not finite" if "nan" in statuses else None


def _repeatable(explainer: Explainer, stage: Stage) -> str | None:
    first = explainer(stage.model(), stage.batch()).maps
    second = explainer(stage.model(), stage.batch()).maps
    return None if torch.equal(first, second) else f"differ by {gap(first, second):.2g}; use seeds"


def _sensitive(explainer: Explainer, stage: Stage) -> str | None:
    one = explainer(stage.model(), stage.batch()).maps
    two = explainer(stage.model(seed=1), stage.batch()).maps
    same = torch.allclose(one, two, rtol=1e-4, atol=1e-7)
    return "another model's weights change no map" if same else None
