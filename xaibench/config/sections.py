"""Sections of a config: which images are explained, their superpixels, limits, a challenge's CSV.

Training's own stand in ``training/options.py``, those of plugins in the plugins. Imports no torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class ConfidenceBand(BaseModel):
    """Images whose score of the target lies in [low, high)."""

    model_config = _FROZEN

    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1.01, description="exclusive; 1.01 takes 1.0 in")
    count: PositiveInt

    @model_validator(mode="after")
    def _in_order(self) -> ConfidenceBand:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self


class ImageOptions(BaseModel):
    """Which images are explained; draws are seeded."""

    model_config = _FROZEN

    split: str = "test"
    count: PositiveInt | Literal["all"] = "all"
    outcome: Literal["any", "correct", "wrong"] = Field(
        "any", description="only images whose label the model gets right, or wrong"
    )
    classes: tuple[str, ...] = Field((), description="only images with these labels; () for all")
    confidence: tuple[ConfidenceBand, ...] = Field((), description="so many from each band")

    @model_validator(mode="after")
    def _one_count(self) -> ImageOptions:
        if self.confidence and self.count != "all":
            raise ValueError("`confidence` bands have counts of their own; leave out `count`")
        return self


class SegmentOptions(BaseModel):
    """SLIC superpixels, computed once an image."""

    model_config = _FROZEN

    n_segments: PositiveInt = 50
    compactness: PositiveFloat = 10.0
    sigma: NonNegativeFloat = 1.0
    # RGB values are at most 1 apart: with compactness 10 they leave a plain grid of squares.
    lab: bool = Field(True, description="cluster in CIELAB instead of RGB")

    @property
    def id(self) -> str:
        """How protocol ids name them."""
        lab = ",lab" if self.lab else ""
        return f"slic({self.n_segments},{self.compactness:g},{self.sigma:g}{lab})"


class LimitOptions(BaseModel):
    """What one call of a plugin on a block may take; one that takes more gives failed rows."""

    model_config = _FROZEN

    seconds: PositiveFloat | None = Field(3600.0, description="of wall time; null: no limit")
    memory_gb: PositiveFloat | None = Field(
        None, description="GiB that the process may hold; null: nine tenths of the machine's"
    )


class SubmissionOptions(BaseModel):
    """The CSV of all outputs for a challenge, made of the explained split's predictions."""

    model_config = _FROZEN

    columns: tuple[str, ...] = Field((), description="outputs in the challenge's order; () for all")
    id_column: str = "Id"
    low: float = Field(0.0, description="what an output of 0 becomes")
    high: float = Field(1.0, description="what an output of 1 becomes")

    @model_validator(mode="after")
    def _in_order(self) -> SubmissionOptions:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self
