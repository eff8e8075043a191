"""What a config may say about training. Imports no torch, so a config is checked without it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

PositiveNumber = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]


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


class CopyOptions(BaseModel):
    """Changed copies of the training images, counted as images of their own; see ``Copies``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = Field(False, description="a copy mirrored left to right")
    contrast: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="a copy with its contrast times this"
    )


class TrainingOptions(BaseModel):
    """How the model is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[Seed, ...] = Field(
        (), description="one model is trained for each; () for the run's own seed"
    )
    epochs: NonNegativeInt = Field(10, description="at most; 0: nothing is trained, only scored")
    max_steps: PositiveInt | None = Field(None, description="ends training before the last epoch")
    batch_size: PositiveInt = 64
    precision: Literal["auto", "fp32"] = Field(
        "auto", description="auto: half on a GPU, by automatic casting, and fp32 elsewhere"
    )
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: NonNegativeFloat = Field(1e-4, description="decoupled for adamw, L2 for sgd")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    nesterov: bool = Field(False, description="of sgd")
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="of the rate, at each plateau")
    plateau_patience: NonNegativeInt = Field(
        2, description="validations without gain that a plateau may have before the rate falls"
    )
    warmup_steps: NonNegativeInt = 0
    frozen_stages: Annotated[int, Field(ge=0, strict=True)] | Literal["backbone"] = Field(
        0, description="the model's first so many stages, or all of it but the head"
    )
    frozen_epochs: NonNegativeInt | None = Field(
        None, description="how long frozen_stages stay as they were built; throughout if null"
    )
    validate_every: PositiveInt | None = Field(
        None, description="steps between validations, and at the last; each epoch if null"
    )
    monitor: Literal["accuracy", "auroc", "loss"] = Field(
        "accuracy", description="validation figure that chooses the checkpoint and stops"
    )
    patience: PositiveInt = Field(3, description="validations without gain before it stops")
    save_every: PositiveInt = Field(50, description="steps between saves to resume from")
    pos_weight: PositiveNumber | Literal["balanced"] | None = Field(
        None, description="weight of positives in a binary cross-entropy"
    )
    sampling: Literal["uniform", "balanced"] = Field(
        "uniform", description="each image once an epoch, or each class as often, by lot"
    )
    copies: CopyOptions = CopyOptions()
    augment: AugmentOptions = AugmentOptions()
    shuffle_labels: bool = Field(
        False, description="train on permuted labels: the control twin of Adebayo et al. 2018"
    )
    tensorboard: bool = Field(False, description="write event files beside the checkpoint")

    @model_validator(mode="after")
    def _each_seed_once(self) -> TrainingOptions:
        twice = sorted({seed for seed in self.seeds if self.seeds.count(seed) > 1})
        if twice:
            raise ValueError(f"seeds names {twice[0]} twice; each seed trains one model")
        return self

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> TrainingOptions:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise ValueError("nesterov needs optimizer: sgd and a momentum above 0")
        return self
