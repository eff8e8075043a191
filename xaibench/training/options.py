"""What a config may say about training. Imports no torch, so a config is checked without it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt


class AugmentOptions(BaseModel):
    """Random changes to training images; the defaults are those of the PCam system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizontal_flip: float = Field(0.5, ge=0, le=1, description="probability")
    rotation: float = Field(10.0, ge=0, le=180, description="largest angle, degrees")
    rotation_probability: float = Field(1.0, ge=0, le=1)
    color_jitter: float = Field(
        0.2, ge=0, lt=1, description="largest relative change of brightness, contrast, saturation"
    )
    color_jitter_probability: float = Field(0.5, ge=0, le=1)


class TrainingOptions(BaseModel):
    """How the model is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: Literal["all", "head"] = Field("all", description="what is trained; the rest is frozen")
    epochs: NonNegativeInt = Field(10, description="0 leaves the model as it was built")
    batch_size: PositiveInt = 64
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: NonNegativeFloat = 1e-4
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_steps: NonNegativeInt = 0
    monitor: Literal["accuracy", "auroc", "loss"] = Field(
        "accuracy", description="validation figure that chooses the checkpoint and stops"
    )
    patience: PositiveInt = Field(3, description="epochs without gain before it stops")
    save_every: PositiveInt = Field(50, description="steps between saves to resume from")
    augment: AugmentOptions = AugmentOptions()
    shuffle_labels: bool = Field(
        False, description="train on permuted labels: the control twin of Adebayo et al. 2018"
    )
