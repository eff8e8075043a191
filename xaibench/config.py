"""From YAML to a frozen RunConfig: all validation, before any data or model loads.

Every mistake is one UserError that says where (file and line, or the ``--set``), what it got,
what is allowed, and the nearest name. Relative paths are taken from the working directory.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    TypeAdapter,
    ValidationError,
)

from xaibench.document import Document
from xaibench.errors import UserError, did_you_mean
from xaibench.options import ImageOptions, SegmentOptions, SubmissionOptions
from xaibench.precision import Acceleration, Precision
from xaibench.registry import Registry
from xaibench.training.options import TrainingOptions

if TYPE_CHECKING:  # these import torch, which a mistake in the file must not wait for
    from xaibench.datasets.base import Dataset
    from xaibench.explainers.base import Explainer
    from xaibench.metrics.base import Metric
    from xaibench.models.base import Model

_FROZEN = ConfigDict(frozen=True, extra="forbid")
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+.-]*$", max_length=64)]


class _Plain(BaseModel):
    """The document's own keys, before the plugins' parameters are looked at."""

    model_config = _FROZEN

    name: Slug
    seed: NonNegativeInt = 42
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    target: str = "predicted"
    batch_size: PositiveInt | Literal["auto"] = "auto"
    precision: Precision = "fp32"
    acceleration: Acceleration = "none"
    images_per_block: PositiveInt | Literal["auto"] = "auto"
    plugins: tuple[str, ...] = ()
    dataset: dict[str, Any]
    model: dict[str, Any]
    training: TrainingOptions = TrainingOptions()
    model_per_label: bool = False
    submission: SubmissionOptions | None = None
    images: ImageOptions = ImageOptions()
    segments: SegmentOptions = SegmentOptions()
    explainers: dict[Slug, dict[str, Any] | None] = Field(min_length=1)
    metrics: dict[Slug, dict[str, Any] | None] = Field(min_length=1)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """A run, wholly checked.

    Attributes:
        target: ``predicted``, ``label``, or the name of a class, label or output.
        batch_size: images in one pass of the masking engine; ``auto``: the power of two that
            suits the device, see ``masking.automatic_batch_size``.
        precision: of the masking engine's passes: ``fp32``, or ``bf16``, which protocol ids say.
            Predictions and gradients are always taken in fp32.
        acceleration: how the engine's full batches run; see ``precision.Acceleration``.
        images_per_block: images in one cell of work, which is written whole or not at all; see
            ``blocks.blocks_of`` for ``auto``.
        model_per_label: train one model for each label or output, instead of one for all.
        submission: write a challenge's CSV of all outputs; None for none.
        plugins: files of plugins beside the installed ones.
        explainers, metrics: label -> plugin; the label is the plugin's name, unless the section
            says ``use: NAME``.
    """

    name: str
    seed: int
    device: str
    target: str
    batch_size: int | Literal["auto"]
    precision: Precision
    acceleration: Acceleration
    images_per_block: int | Literal["auto"]
    plugins: tuple[str, ...]
    dataset: Dataset
    model: Model
    training: TrainingOptions
    model_per_label: bool
    submission: SubmissionOptions | None
    images: ImageOptions
    segments: SegmentOptions
    explainers: Mapping[str, Explainer]
    metrics: Mapping[str, Metric]

    def resolved(self) -> dict[str, Any]:
        """Return the config with every default filled in, as plain YAML data."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for key in ("training", "images", "segments", "submission"):
            plain[key] = plain[key] and plain[key].model_dump(mode="json")
        for key in ("dataset", "model"):
            plain[key] = plugin_parameters(plain[key])
        for key in ("explainers", "metrics"):
            plain[key] = {k: plugin_parameters(v) for k, v in plain[key].items()}
        return plain | {"plugins": list(self.plugins)}


def plugin_parameters(plugin: object) -> dict[str, Any]:
    """Return ``{use: name, parameter: value, ...}`` of a plugin, as plain data."""
    return {"use": plugin.name} | TypeAdapter(type(plugin)).dump_python(plugin, mode="json")


def load(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read and check a config.

    Args:
        path: a YAML file.
        overrides: ``a.b=value`` each, the value as YAML.

    Raises:
        UserError: on the first mistake.
    """
    document = Document.read(path, overrides)
    plain = _checked(_Plain, document.data, document, ())
    try:
        registry = Registry([Path(p) for p in plain.plugins])
    except UserError as error:
        raise document.error(("plugins",), str(error)) from None
    # All names first: they are known without importing a plugin, and with it torch.
    named = [("dataset", ("dataset",)), ("model", ("model",))]
    named += [("explainer", ("explainers", label)) for label in plain.explainers]
    named += [("metric", ("metrics", label)) for label in plain.metrics]
    for kind, place in named:
        _plugin_name(kind, place, document, registry)
    built = {place: _plugin(kind, place, document, registry) for kind, place in named}
    kept = {f.name: getattr(plain, f.name) for f in dataclasses.fields(RunConfig)}
    return RunConfig(
        **kept
        | {
            "dataset": built["dataset",],
            "model": built["model",],
            "explainers": {k: built["explainers", k] for k in plain.explainers},
            "metrics": {k: built["metrics", k] for k in plain.metrics},
        }
    )


def load_dataset(
    name: str,
    root: Path | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    *,
    with_files: bool = True,
) -> Dataset:
    """Return a data set by name, its parameters checked as in a config.

    Args:
        root: the parameter of that name; None leaves it at its default.
        overrides: ``key=value`` each, the value as YAML.
        plugins: plugin files beside the installed ones.
        with_files: also check what the parameters name, such as files that must be there.
    """
    cls = Registry(plugins).load("dataset", name)
    document = Document.said(name, {} if root is None else {"root": str(root)}, overrides)
    dataset = _checked(cls, document.data, document, ())
    if with_files:
        _validate(dataset, document.data, document, ())
    return dataset


def _plugin_name(
    kind: str, place: tuple[str, ...], document: Document, registry: Registry
) -> tuple[str, dict[str, Any]]:
    """Return a plugin section's name and its parameters."""
    parameters = dict(document.at(place) or {})
    default = place[1] if len(place) > 1 else None
    name = parameters.pop("use", default)
    if not isinstance(name, str):
        raise document.error(
            place, f"says no plugin; add `use:`{did_you_mean('', registry.names(kind))}"
        )
    if name not in registry.names(kind):
        at = (*place, "use") if "use" in (document.at(place) or {}) else place
        hint = did_you_mean(name, registry.names(kind))
        raise document.error(at, f"unknown {kind} {name!r}{hint}")
    return name, parameters


def _plugin(kind: str, place: tuple[str, ...], document: Document, registry: Registry) -> Any:
    name, parameters = _plugin_name(kind, place, document, registry)
    plugin = _checked(registry.load(kind, name), parameters, document, place)
    _validate(plugin, parameters, document, place)
    return plugin


def _validate(
    plugin: Any, parameters: Mapping[str, Any], document: Document, place: tuple[str, ...]
) -> None:
    try:
        plugin.validate()
    except UserError as error:
        field, _, said = str(error).partition(": ")
        if field in parameters:
            raise document.error((*place, field), said) from None
        raise document.error(place, str(error)) from None


def _checked(cls: type, data: Mapping[str, Any], document: Document, place: tuple) -> Any:
    """Return ``cls`` made from plain data, types strict; UserError names the place."""
    try:
        text = json.dumps(data)
    except TypeError as error:  # YAML has dates and sets, which no key of ours takes
        raise document.error(place, f"a value is no plain number, text or list: {error}") from None
    try:
        # As JSON, strict mode takes a list for a tuple and an integer for a float, and no more.
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        raise _translated(error, cls, document, place) from None


_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")


def _translated(error: ValidationError, cls: type, document: Document, place: tuple) -> UserError:
    """Return pydantic's report as one line with its place in the file."""
    errors = error.errors(include_url=False)
    # A misspelt key is also a missing one: the misspelling is the better word for it.
    first = next((e for e in errors if e["type"] in _UNKNOWN), errors[0])
    where = _known_part((*place, *first["loc"]), document)
    key = first["loc"][-1]
    if first["type"] in _UNKNOWN:
        keys = _keys(_owner(cls, first["loc"][:-1]))
        return document.error(where, f"unknown key {key!r}{did_you_mean(str(key), keys)}")
    if first["type"] in _MISSING:
        return document.error(where, f"lacks the key {key!r}")
    # Every branch of a union reports under the same key: together they say what is allowed.
    same = [e for e in errors if _known_part((*place, *e["loc"]), document) == where]
    wanted = " or ".join(dict.fromkeys(_wanted(e["msg"]) for e in same))
    if first["type"] == "value_error":
        return document.error(where, wanted)
    hint = _nearest_choice(first) if isinstance(first["input"], str) else ""
    return document.error(where, f"must {wanted}, got {first['input']!r}{hint}")


def _wanted(message: str) -> str:
    message = re.sub(r"^(Value error, |\w+ should )", "", message)
    # pydantic's words are JSON's; the user wrote YAML.
    words = {
        "a valid array": "a list",
        "an object": "keys with values",
        "a valid dictionary": "keys",
    }
    for word, plain in words.items():
        message = message.replace(word, plain)
    return message


def _nearest_choice(error: Mapping[str, Any]) -> str:
    """Return `` (did you mean 'x'?)`` where pydantic lists the choices, else nothing."""
    choices = str(error.get("ctx", {}).get("expected", "")).replace(" or ", ",").split(",")
    _, bracket, hint = did_you_mean(error["input"], [c.strip(" '") for c in choices]).partition(
        " ("
    )
    return bracket + hint


def _known_part(place: tuple, document: Document) -> tuple:
    """Return the place without the union branches that pydantic puts behind a value."""
    for end in range(1, len(place)):
        holds = list if isinstance(place[end], int) else dict
        if document.has(place[:end]) and not isinstance(document.at(place[:end]), holds):
            return place[:end]
    while place and not document.has(place) and not document.has(place[:-1]):
        place = place[:-1]
    return place


def _owner(cls: type, loc: Sequence[str | int]) -> type:
    """Return the options class that holds the keys at ``loc``."""
    for key in loc:
        hints = typing.get_type_hints(cls)
        inside = [hints.get(key), *typing.get_args(hints.get(key))]
        cls = next((t for t in inside if isinstance(t, type) and _has_keys(t)), cls)
    return cls


def _has_keys(cls: type) -> bool:
    return dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel)


def _keys(cls: type) -> list[str]:
    if dataclasses.is_dataclass(cls):
        # A plugin's section also says which plugin it is for.
        return [f.name for f in dataclasses.fields(cls)] + ["use"] * hasattr(cls, "kind")
    return list(cls.model_fields)


def dump(config: RunConfig) -> str:
    """Return the resolved config as YAML that ``load`` reads back to the same config."""
    return yaml.safe_dump(config.resolved(), sort_keys=False, allow_unicode=True)
