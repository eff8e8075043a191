"""Paediatric chest radiographs: pneumonia or not."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool
from pydantic import ConfigDict, Field, NonNegativeInt

from xaibench.datasets import chest_xray_pneumonia_synthetic as synthetic
from xaibench.datasets import kaggle
from xaibench.datasets.base import Data, Dataset
from xaibench.datasets.kermany_folder import clean_root, records
from xaibench.datasets.lungs import lungs_box
from xaibench.datasets.mask_files import FOLDER as MASKS
from xaibench.datasets.mask_files import read_mask
from xaibench.datasets.preprocess import CropOptions, Preprocessing, ResizeOptions
from xaibench.datasets.radiograph_sets import Asked, radiograph_data
from xaibench.datasets.radiograph_splits import SplitOptions
from xaibench.errors import UserError
from xaibench.progress import Progress
from xaibench.registry import register

HANDLE = "paultimothymooney/chest-xray-pneumonia"
IMAGES = 5_856
CLASSES = ("normal", "pneumonia")


@dataclass(frozen=True)
class SyntheticOptions:
    """The generated set that stands in; see ``chest_xray_pneumonia_synthetic``."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    root: Path = Path("data/chest_xray_pneumonia_synthetic")
    images: Annotated[int, Field(ge=40)] = 700
    seed: NonNegativeInt = 42
    """Of the images; the run's seed is another matter."""
    shortcut_rate: Annotated[float, Field(ge=0.5, le=1)] | None = None


@register("dataset")
@dataclass(frozen=True)
class ChestXrayPneumonia(Dataset):
    """Kermany's paediatric radiographs as Kaggle has them: normal or pneumonia, 5,856 images.

    ``root`` holds ``{train,val,test}/{NORMAL,PNEUMONIA}``, or the two folders, at any depth that
    the archive has; null for none. ``when_missing``: ``error``, ``download`` (by kagglehub, the
    extra ``kaggle``), or ``synthesize`` (phantoms in the same layout, named ``..._synthetic`` in
    every result). The given split shares patients between its parts, so all images are pooled and
    split by patient, told from the file's name: ``fractions`` of the images, drawn by
    ``split_seed``; ``manifests`` keeps the split in a folder and takes it from there. ``crop`` cuts
    dark frames (null: no crop). Of all files, the share ``allowed_bad`` may be unreadable or
    misplaced.

    Masks: of real images a box estimated around the lungs (``lungs_box_weak``); of generated ones
    the opacity (``evidence``), the planted marker (``tag``) and the lung fields (``lungs``). The
    lungs are the same for either class.
    """

    root: Path | None = Path("data/chest_xray_pneumonia")
    when_missing: Literal["error", "download", "synthesize"] = "error"
    fractions: tuple[float, float, float] = (0.80, 0.09, 0.11)
    split_seed: NonNegativeInt = 42
    manifests: Path | None = None
    crop: CropOptions | None = field(default_factory=CropOptions)
    resize: ResizeOptions = field(default_factory=ResizeOptions)
    channels: Literal[1, 3] = 1
    allowed_bad: Annotated[float, Field(ge=0, lt=1)] = 0.0
    synthetic: SyntheticOptions = field(default_factory=SyntheticOptions)

    def validate(self) -> None:
        if min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise UserError(
                f"fractions: are {self.fractions}; three above 0 that add up to 1 are needed"
            )
        if self.root is None and self.when_missing != "synthesize":
            raise UserError("root: is null: name a folder, or set when_missing to synthesize")
        if self.when_missing == "error" and self._found() is None:
            raise UserError(
                f"root: {self.root} holds no folders NORMAL and PNEUMONIA (working directory "
                f"{Path.cwd()}); unpack {kaggle.SITE}/datasets/{HANDLE} there, or set when_missing "
                "to download or synthesize"
            )

    def get(self, cache: Path, progress: Progress) -> str:
        """Fetch the files where they are missing; return where they are."""
        if self.root is None:
            raise UserError("root: is null: name a folder that the files shall be found in")
        return f"chest_xray_pneumonia: the images are in {self._found() or self._fetch(progress)}"

    def open(self, *, seed: int, cache: Path, progress: Progress) -> Data:
        self.validate()
        there = self._found()
        if there is None and self.when_missing == "download":
            there = self._fetch(progress)
        if there is None:
            options = self.synthetic
            synthetic.write_dataset(
                options.root,
                options.images,
                options.seed,
                options.shortcut_rate,
                progress,
                workers=os.cpu_count() or 1,
            )
            there = clean_root(options.root)
        return self._open(there, cache, progress)

    def _found(self) -> Path | None:
        return None if self.root is None else clean_root(self.root)

    def _fetch(self, progress: Progress) -> Path:
        there = clean_root(kaggle.fetch(HANDLE, self.root, progress))
        if there is None:
            raise UserError(
                f"root: what Kaggle sent holds no folders NORMAL and PNEUMONIA; delete {self.root} "
                f"and unpack {kaggle.SITE}/datasets/{HANDLE} there"
            )
        return there

    def _open(self, root: Path, cache: Path, progress: Progress) -> Data:
        found = records(root)
        recipe = synthetic.recipe_of(root)
        if recipe is None:
            name = "chest_xray_pneumonia" + "_subset" * (len(found.table) != IMAGES)
            masks, masks_from = _weak, ""
        else:
            tagged = recipe["shortcut_rate"] is not None
            name = f"chest_xray_pneumonia{'_shortcut' * tagged}_synthetic"
            masks = TrueMasks(root.parent / MASKS, tagged)
            masks_from = json.dumps(recipe)
        return radiograph_data(
            found,
            name=name,
            task="binary",
            classes=CLASSES,
            preprocessing=Preprocessing(self.crop, self.resize),
            channels=self.channels,
            split=SplitOptions(self.fractions, self.split_seed, self.manifests),
            allowed_bad=self.allowed_bad,
            masks=masks,
            masks_from=masks_from,
            facts={"root": str(root), "generated": recipe is not None},
            cache=cache,
            progress=progress,
        )


def _weak(asked: Asked) -> dict[str, Bool[np.ndarray, "n size size"]]:
    boxes = [lungs_box(image) for image in asked.images]
    return {"lungs_box_weak": np.stack(boxes) if boxes else np.zeros(asked.images.shape, bool)}


@dataclass(frozen=True)
class TrueMasks:
    """Masks of generated images, from the files beside them."""

    folder: Path
    tagged: bool

    def __call__(self, asked: Asked) -> dict[str, Bool[np.ndarray, "n size size"]]:
        # Only pneumonia has a place in the image; nothing in particular speaks for its absence.
        shown = ((asked.labels == 1) & (asked.targets == 1))[:, None, None]
        masks = {"evidence": self._read(asked, "evidence") & shown}
        if self.tagged:
            masks["tag"] = self._read(asked, "tag") & shown
        return masks | {"lungs": self._read(asked, "lungs")}

    def _read(self, asked: Asked, name: str) -> Bool[np.ndarray, "n size size"]:
        rows = asked.rows
        sizes = zip(rows["path"], rows["height"], rows["width"], strict=True)
        return asked.carry([read_mask(self.folder, name, *of) for of in sizes])
