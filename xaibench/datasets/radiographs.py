"""Radiograph-like phantoms of the chest, with the true mask of every finding (first sketch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

RADIOGRAPH_VERSION = 1
FINDINGS: tuple[str, ...] = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)


@dataclass(frozen=True)
class Anatomy:
    """One patient's body."""

    width: float
    child: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, child: bool = False) -> Anatomy:
        return cls(rng.uniform(0.17, 0.21), child)


@dataclass(frozen=True, eq=False)
class Radiograph:
    image: UInt8[np.ndarray, "height width"]
    findings: dict[str, Bool[np.ndarray, "height width"]]
    lungs: Bool[np.ndarray, "height width"]
    tag: Bool[np.ndarray, "height width"]
    content: tuple[int, int, int, int]


def draw_radiograph(
    rng: np.random.Generator,
    anatomy: Anatomy,
    findings: Mapping[str, float],
    *,
    height: int,
    width: int,
    frame: bool,
    tag: bool,
) -> Radiograph:
    v, u = np.mgrid[:height, :width].astype(np.float32)
    v, u = v / height, u / width
    left = ((u - 0.3) / anatomy.width) ** 2 + ((v - 0.5) / 0.3) ** 2 < 1
    right = ((u - 0.7) / anatomy.width) ** 2 + ((v - 0.5) / 0.3) ** 2 < 1
    lungs = left | right
    picture = 170 - 90 * lungs + rng.normal(0, 6, (height, width))
    masks = {}
    seeds = rng.integers(0, 2**32, len(FINDINGS))
    for name, severity in findings.items():
        own = np.random.default_rng(seeds[FINDINGS.index(name)])
        cu, cv = own.choice([0.3, 0.7]), own.uniform(0.35, 0.65)
        masks[name] = ((u - cu) ** 2 + (v - cv) ** 2 < (0.05 + 0.07 * severity) ** 2) & lungs
        picture[masks[name]] += 80 * severity
    tagged = np.zeros((height, width), bool)
    side = min(height, width)
    if tag:
        top, across = int(0.15 * side), int(0.15 * side)
        tagged[top : top + side // 11, across : across + side // 11] = True
        picture[tagged] = 250
    content = (0, height, 0, width)
    if frame:
        edge = int(rng.uniform(0.03, 0.11) * side)
        content = (edge, height - edge, edge, width - edge)
        inside = np.zeros((height, width), bool)
        inside[edge : height - edge, edge : width - edge] = True
        picture[~inside] = 3
    image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return Radiograph(image, masks, lungs, tagged, content)
