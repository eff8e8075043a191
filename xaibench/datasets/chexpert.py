"""CheXpert: findings of the chest as values in [0, 1], some uncertain, some missing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool
from pydantic import ConfigDict, Field, NonNegativeInt

from xaibench.datasets import chexpert_synthetic as synthetic
from xaibench.datasets.base import Data, Dataset
from xaibench.datasets.chexpert_table import COMPETITION, LabelPolicy, read_records, table_folder
from xaibench.datasets.mask_files import FOLDER as MASKS
from xaibench.datasets.mask_files import read_mask
from xaibench.datasets.preprocess import CropOptions, Preprocessing, ResizeOptions
from xaibench.datasets.radiograph_sets import Asked, radiograph_data
from xaibench.datasets.radiograph_splits import SplitOptions
from xaibench.errors import UserError
from xaibench.progress import Progress
from xaibench.registry import register

HOW = (
    "register at Stanford AIMI for CheXpert-v1.0-small and unpack it there, or put a train.csv "
    "of the same columns beside its images"
)
ROWS = 223_648  # of train.csv and valid.csv together


@dataclass(frozen=True)
class SyntheticOptions:
    """The generated set that stands in; see ``chexpert_synthetic``."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    root: Path = Path("data/chexpert_synthetic")
    images: Annotated[int, Field(ge=60)] = 600
    seed: NonNegativeInt = 42
    """Of the images; the run's seed is another matter."""
    shortcut_rate: Annotated[float, Field(ge=0.5, le=1)] | None = None


@register("dataset")
@dataclass(frozen=True)
class Chexpert(Dataset):
    """CheXpert (Irvin et al. 2019), or any table like its own: one value in [0, 1] a finding.

    ``root`` holds ``train.csv`` at most two folders deep, and the images that its column ``Path``
    names, whatever folders lead it; null for none. ``when_missing``: ``error`` or ``synthesize``
    (phantoms in the same layout, named ``chexpert_synthetic`` in every result). ``valid.csv`` is
    the test split where it is there, and validation is drawn from train; else all is split by
    patient into ``fractions``. ``uncertain`` says what -1 becomes and ``missing`` what an empty
    label becomes (``ignore``: NaN, which no loss and no figure counts). ``views`` chooses frontal
    or lateral images. Of all rows, the share ``allowed_bad`` may lack a readable file.

    Masks, of generated images only: the target's finding (``evidence``), the ``lungs``, and the
    marker that is planted with Cardiomegaly at ``shortcut_rate`` (``tag``).
    """

    root: Path | None = Path("data/chexpert")
    when_missing: Literal["error", "synthesize"] = "error"
    findings: tuple[str, ...] = COMPETITION
    uncertain: Literal["ignore", "zero", "one", "half"] = "ignore"
    missing: Literal["ignore", "zero"] = "ignore"
    views: Literal["frontal", "lateral", "all"] = "frontal"
    fractions: tuple[float, float, float] = (0.80, 0.10, 0.10)
    split_seed: NonNegativeInt = 42
    manifests: Path | None = None
    crop: CropOptions | None = None
    resize: ResizeOptions = field(default_factory=ResizeOptions)
    channels: Literal[1, 3] = 3
    allowed_bad: Annotated[float, Field(ge=0, lt=1)] = 0.0
    synthetic: SyntheticOptions = field(default_factory=SyntheticOptions)

    def validate(self) -> None:
        if not self.findings or len(set(self.findings)) < len(self.findings):
            raise UserError(f"findings: are {self.findings}; name each once, and at least one")
        if min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise UserError(
                f"fractions: are {self.fractions}; three above 0 that add up to 1 are needed"
            )
        if self.root is None and self.when_missing != "synthesize":
            raise UserError("root: is null: name a folder, or set when_missing to synthesize")
        if self.when_missing == "error" and self._found() is None:
            raise UserError(
                f"root: {self.root} holds no train.csv (working directory {Path.cwd()}); {HOW}, or "
                "set when_missing to synthesize"
            )

    def get(self, cache: Path, progress: Progress) -> str:
        """Return where the files are, or how they are had: CheXpert asks for a registration."""
        there = self._found()
        return f"chexpert: {HOW}" if there is None else f"chexpert: the tables are in {there}"

    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        self.validate()
        folder = self._found()
        if folder is None:
            options = self.synthetic
            synthetic.write_dataset(
                options.root,
                options.images,
                options.seed,
                progress,
                workers=os.cpu_count() or 1,
                shortcut_rate=options.shortcut_rate,
            )
            folder = table_folder(options.root)
        policy = LabelPolicy(self.uncertain, self.missing)
        records, counted = read_records(folder, self.findings, policy, self.views, progress)
        recipe = synthetic.recipe_of(folder)
        # A part of the original, or another table, is not the original.
        whole = counted["table_rows"] == ROWS
        tagged = recipe is not None and recipe["shortcut_rate"] is not None
        generated = f"chexpert{'_shortcut' * tagged}_synthetic"
        return radiograph_data(
            records,
            name=generated if recipe else "chexpert" + "_subset" * (not whole),
            task="regression",
            classes=self.findings,
            preprocessing=Preprocessing(self.crop, self.resize),
            channels=self.channels,
            split=SplitOptions(self.fractions, self.split_seed, self.manifests),
            allowed_bad=self.allowed_bad,
            masks=TrueMasks(folder.parent / MASKS, self.findings, tagged) if recipe else None,
            masks_from=json.dumps(recipe) if recipe else "",
            facts={"root": str(folder), "generated": bool(recipe), **counted},
            cache=cache,
            progress=progress,
        )

    def _found(self) -> Path | None:
        return None if self.root is None else table_folder(self.root)


@dataclass(frozen=True)
class TrueMasks:
    """Masks of generated images, from the files beside them."""

    folder: Path
    findings: tuple[str, ...]
    tagged: bool = False

    def __call__(self, asked: Asked) -> dict[str, Bool[np.ndarray, "n size size"]]:
        targets = [self.findings[target] for target in asked.targets]
        masks = {
            "evidence": self._read(asked, targets),
            "lungs": self._read(asked, ["lungs"] * len(targets)),
        }
        if self.tagged:  # of no concern to the other findings
            concerned = np.array([t == synthetic.SHORTCUT_FINDING for t in targets])
            tag = self._read(asked, ["tag"] * len(targets))
            masks["tag"] = tag & concerned[:, None, None]
        return masks

    def _read(self, asked: Asked, names: list[str]) -> Bool[np.ndarray, "n size size"]:
        rows = asked.rows
        of = zip(names, rows["path"], rows["height"], rows["width"], strict=True)
        return asked.carry([read_mask(self.folder, *each) for each in of])
