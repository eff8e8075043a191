"""What a plugin is: its definition, source, parameters, cost, needs, and the id of its results."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from xaibench.checks.stage import toy_batch, toy_model
from xaibench.config.parameters import REQUIRED, Parameter, parameters_of
from xaibench.config.run_config import plugin_parameters
from xaibench.config.sections import SegmentOptions
from xaibench.engine import Batch
from xaibench.errors import UserError
from xaibench.explainers.base import Explainer
from xaibench.metrics.base import Metric, PredictionMetric
from xaibench.models.base import Classifier
from xaibench.registry import Plugin

SIDE = 96
"""Height and width of the image whose cost is told."""

_TOLD = re.compile(r"(?:^|(?<=\s))(Cost|Source):\s(.*?)(?=\s(?:Cost|Source):\s|\n\s*\n|\Z)", re.S)
_MASKS = ("evidence",)  # as generated images have them


@dataclass(frozen=True)
class Description:
    """A plugin in words, for people and as JSON.

    Attributes:
        origin: where it comes from: ``xaibench``, a package, or a file.
        definition: its docstring without what the next ones tell.
        reference: what its docstring says behind ``Source:``.
        cost: what its docstring says behind ``Cost:``.
        passes: what ``cost()`` counts for one image of 96 x 96 pixels and a small CNN.
        facts: name -> what else is known of a plugin of its kind.
        ids: what its rows are called with these defaults: the protocol id of each value of a
            metric; of others the parameters.
        missing: why it cannot be used here; empty where it can.
    """

    kind: str
    name: str
    origin: str
    definition: str
    reference: str = ""
    cost: str = ""
    passes: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        parameters = {
            name: {
                "type": p.type,
                "default": None if p.default is REQUIRED else p.default,
                "required": p.default is REQUIRED,
                "bounds": p.bounds,
                "choices": list(p.choices),
            }
            for name, p in self.parameters.items()
        }
        return {**vars(self), "parameters": parameters}


def describe(plugin: Plugin) -> Description:
    """Return what is known of a plugin; only its first line where its library is missing.

    Raises:
        UserError: it cannot be imported for another reason than a missing package.
    """
    try:
        cls = plugin.load()
    except UserError as error:
        if "is not installed" not in str(error):
            raise
        return Description(
            plugin.kind, plugin.name, plugin.source, plugin.summary, missing=str(error)
        )
    doc = inspect.cleandoc(cls.__doc__ or "")
    told = {name: " ".join(text.split()) for name, text in _TOLD.findall(doc)}
    parameters = parameters_of(cls)
    instance = None if any(p.default is REQUIRED for p in parameters.values()) else cls()
    return Description(
        plugin.kind,
        plugin.name,
        plugin.source,
        _TOLD.sub("", doc).strip(),
        told.get("Source", ""),
        told.get("Cost", ""),
        _passes(instance),
        parameters,
        _metric_facts(cls, instance) if issubclass(cls, Metric) else _facts(cls),
        _ids(instance),
    )


def _facts(cls: type) -> dict[str, str]:
    facts = {}
    if hasattr(cls, "needs"):
        facts["needs of a model"] = ", ".join(cls.needs) or "nothing"
    if getattr(cls, "control", False):
        facts["control"] = "yes: it knows nothing of the model"
    return facts


def _metric_facts(cls: type[Metric], metric: Metric | None) -> dict[str, str]:
    higher = (metric or cls).higher_is_better
    if not isinstance(higher, bool | None):  # a property, which hangs on the parameters
        higher = None
    low, high = metric.bounds if metric else cls.range
    words = {True: "higher is better", False: "lower is better", None: "neither is better"}
    bounds = f"{low:g} to {high:g}" if math.isfinite(low) or math.isfinite(high) else "any number"
    facts = {"direction": words[higher], "range": bounds}
    if cls.uses_segments:
        facts["uses"] = "the run's superpixels"
    if getattr(cls, "needs_twin", False):
        facts["needs"] = "the model's twin, trained on permuted labels"
    return facts


def _ids(plugin: object) -> dict[str, str]:
    """Return what results by the plugin's defaults are called."""
    if isinstance(plugin, Metric):
        names = [plugin.name]
        if not isinstance(plugin, PredictionMetric):
            names = plugin.value_names(_MASKS)
        return {name: plugin.protocol(name, SegmentOptions().id) for name in names}
    if plugin is None:
        return {}
    return {"params": json.dumps(plugin_parameters(plugin), sort_keys=True)}


def _passes(plugin: object) -> str:
    """Return the passes that the plugin says it takes for one image; empty where it says none."""
    if not hasattr(plugin, "cost"):
        return ""
    model, batch = _stage()
    try:
        if isinstance(plugin, Explainer):
            plugin.admit(model)
        count = plugin.cost(model, batch)
    except UserError as error:
        return f"not told for a small CNN: {error}"
    if count is None:
        return ""
    return f"{count.forward} forward, {count.backward} backward"


def _stage() -> tuple[Classifier, Batch]:
    """Return a small CNN and one image of SIDE x SIDE pixels."""
    model, batch = toy_model(), toy_batch(images=1)
    times = SIDE // batch.images.shape[-1]
    large = lambda t: t.repeat_interleave(times, -1).repeat_interleave(times, -2)
    model.input_shape = (model.input_shape[0], SIDE, SIDE)
    return model, replace(
        batch,
        images=large(batch.images),
        segments=large(batch.segments),
        masks={name: large(mask) for name, mask in batch.masks.items()},
    )
