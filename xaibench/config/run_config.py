"""A run's config: what its document may say, and what it is once wholly checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    TypeAdapter,
)

from xaibench.config.sections import (
    ImageOptions,
    LimitOptions,
    SegmentOptions,
    SubmissionOptions,
)
from xaibench.training.options import Seed, TrainingOptions
from xaibench.types import BackendName, FigureFormat, Gradients, Precision

_FROZEN = ConfigDict(frozen=True, extra="forbid")
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+.-]*$", max_length=64)]
Label = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+.-]*(\([A-Za-z0-9_+.,=-]+\))?$", max_length=128),
]
"""Names a row of tables, a folder of cells and a group of ``maps.h5``; of a grid's row,
``NAME(parameter=value,…)``."""


def _with_png(formats: tuple[str, ...]) -> tuple[str, ...]:
    if "png" not in formats:
        raise ValueError("`png` must be among them, since report.html shows it")
    return tuple(dict.fromkeys(formats))


Formats = Annotated[tuple[FigureFormat, ...], AfterValidator(_with_png)]


class PlainConfig(BaseModel):
    """The document's own keys, before the plugins' parameters are looked at."""

    model_config = _FROZEN

    name: Slug
    seed: Seed = 42
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    target: str = "predicted"
    batch_size: PositiveInt | Literal["auto"] = "auto"
    precision: Precision = "fp32"
    gradients: Gradients = "exact"
    engine: BackendName | Literal["auto"] = "auto"
    images_per_block: PositiveInt | Literal["auto"] = "auto"
    share_passes: bool = True
    plugins: tuple[str, ...] = ()
    dataset: dict[str, Any]
    model: dict[str, Any]
    training: TrainingOptions = TrainingOptions()
    model_per_label: bool = False
    submission: SubmissionOptions | None = None
    images: ImageOptions = ImageOptions()
    segments: SegmentOptions = SegmentOptions()
    limits: LimitOptions = LimitOptions()
    figures: Formats = ("png",)
    explainers: dict[Label, dict[str, Any] | None] = Field(min_length=1)
    metrics: dict[Label, dict[str, Any] | None] = Field(min_length=1)


class RunConfig(PlainConfig):
    """A run, wholly checked.

    Attributes:
        dataset, model: a `Dataset` and a `Model`.
        target: ``predicted``, ``label``, or the name of a class, label or output.
        batch_size: images in one pass of the masking engine; ``auto``: the power of two that
            suits the device, see ``engine.automatic_batch_size``.
        precision: of the masking engine's passes: ``fp32``, or ``bf16``, which protocol ids say.
            Predictions and gradients are always taken in fp32.
        gradients: ``folded`` takes those at images and CAM layers through a copy whose batch norms
            are part of its convolutions: faster, and equal but for rounding.
        engine: what forward passes run through: ``auto`` takes the fastest backend whose scores
            agree with eager PyTorch's; see ``engine.backends``.
        images_per_block: images in one cell of work, which is written whole or not at all; see
            ``runs.blocks.block_size`` for ``auto``.
        share_passes: pass a masked image of a block once, whichever explainers and metrics ask for
            it; false where the seconds of each are to be its own. ``ledger.csv`` tells both.
        model_per_label: train one model for each label or output, instead of one for all.
        submission: write a challenge's CSV of all outputs; None for none.
        limits: of each call of an explainer or a metric; see ``runs.limits``.
        figures: the formats that they are drawn in: ``png``, ``pdf``, ``svg``; no part of the
            run's id, and ``xaibench figures`` draws another later.
        plugins: files of plugins beside the installed ones, as they were found.
        explainers, metrics: label -> `Explainer` or `Metric`; the label is the plugin's name,
            unless the section says ``use: NAME``. A list where a parameter takes none makes a row
            for each of its values, ``LABEL(parameter=value)``; see ``grids``.
    """

    # Any: those plugins import torch, which a mistake in the file must not wait for.
    dataset: Any
    model: Any
    explainers: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """The seeds that models are trained with, in the config's order; the run's own if none."""
        return self.training.seeds or (self.seed,)

    def resolved(self) -> dict[str, Any]:
        """Return the config with every default filled in, as plain YAML data."""
        plain = {name: getattr(self, name) for name in type(self).model_fields}
        for key in ("training", "images", "segments", "limits", "submission"):
            plain[key] = plain[key] and plain[key].model_dump(mode="json")
        for key in ("dataset", "model"):
            plain[key] = plugin_parameters(plain[key])
        for key in ("explainers", "metrics"):
            plain[key] = {k: plugin_parameters(v) for k, v in plain[key].items()}
        return plain | {"plugins": list(self.plugins), "figures": list(self.figures)}


def plugin_parameters(plugin: object) -> dict[str, Any]:
    """Return ``{use: name, parameter: value, ...}`` of a plugin, as plain data."""
    return {"use": plugin.name} | TypeAdapter(type(plugin)).dump_python(plugin, mode="json")


def identity_of(plugin: object) -> dict[str, Any]:
    """Return ``plugin_parameters`` without where the files in ``beside`` lie: their names alone.

    What they hold is part of the plugin's version; see ``provenance.plugin_version``.
    """
    told = plugin_parameters(plugin)
    for name in getattr(plugin, "beside", ()):
        if isinstance(told[name], str):
            file, colon, rest = told[name].rpartition(":")
            told[name] = f"{Path(file).name}:{rest}" if colon else Path(rest).name
    return told


def dump(config: RunConfig) -> str:
    """Return the resolved config as YAML that ``load_config`` reads back to the same config."""
    return yaml.safe_dump(config.resolved(), sort_keys=False, allow_unicode=True)
