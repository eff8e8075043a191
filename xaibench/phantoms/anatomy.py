"""The body behind a phantom radiograph: one patient's proportions, and where everything lies.

Lengths are fractions of the picture's shorter side; x runs to the right and y down from the
picture's middle. Brightness is absorbed radiation: air near 0, bone and heart near 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from PIL import Image

from xaibench.phantoms.noise import noise_bank

Field = Float[np.ndarray, "height width"]
_BANK, _BANK_SEED = 512, 7
_CELL = 96  # pixels of noise over one shorter side


@dataclass(frozen=True)
class Anatomy:
    """One patient's proportions; the pictures of one patient share them."""

    lung_width: float
    lung_height: float
    gap: float
    heart: float
    shoulder: float
    ribs: int
    rib_slope: float
    bone: float
    child: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, child: bool = False) -> Anatomy:
        """Draw a patient; a child's thorax is rounder, its heart larger, its bones paler."""
        return cls(
            lung_width=rng.uniform(0.145, 0.175) + 0.01 * child,
            lung_height=rng.uniform(0.30, 0.36) - 0.05 * child,
            gap=rng.uniform(0.185, 0.215),
            heart=rng.uniform(0.115, 0.14) + 0.015 * child,
            shoulder=rng.uniform(0.38, 0.46),
            ribs=int(rng.integers(8, 11)),
            rib_slope=rng.uniform(0.12, 0.3),
            bone=rng.uniform(0.05, 0.085) * (0.75 if child else 1),
            child=child,
        )


@dataclass(frozen=True, eq=False)
class Chest:
    """One picture's shapes: soft ones in [0, 1] as they are painted, and distances.

    Attributes:
        x, y: coordinates of each pixel.
        heart_growth: 1 for a healthy heart; its half width is multiplied by it.
        tilt, shift, breath: the pose.
    """

    anatomy: Anatomy
    x: Field
    y: Field
    heart_growth: float
    tilt: float
    shift: tuple[float, float]
    breath: float

    @classmethod
    def posed(
        cls,
        rng: np.random.Generator,
        anatomy: Anatomy,
        height: int,
        width: int,
        heart_growth: float,
    ) -> Chest:
        """Place the patient in a picture of that size, a little turned and moved."""
        side = min(height, width)
        x = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / side)[None, :]
        y = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) / side)[:, None]
        tilt = float(rng.normal(0, 0.025))
        shift = (float(rng.normal(0, 0.012)), float(rng.normal(0.01, 0.015)))
        breath = float(rng.uniform(0.94, 1.06))
        cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
        x, y = x - np.float32(shift[0]), y - np.float32(shift[1])
        turned = cos * x + sin * y, cos * y - sin * x
        return cls(anatomy, *turned, heart_growth, tilt, shift, breath)

    def edge(self, inside: Field) -> Field:
        """Return a soft step over 1.2 % of the side: 1 where ``inside`` is well above 0."""
        return np.clip(0.5 + inside / 0.012, 0, 1)

    def lung_radius(self, side: int) -> Field:
        """Return the distance from a lung's middle in units of its outline: 1 on the outer wall.

        Args:
            side: -1 for the one on the picture's left, 1 for the other.
        """
        a = self.anatomy
        across = (self.x - side * a.gap) / a.lung_width
        along = (self.y + 0.02) / (a.lung_height * self.breath)
        # Narrow at the top, and full at the base.
        across = across / (1 + 0.22 * np.clip(along, -1, 1))
        return (np.abs(across) ** 2.3 + np.abs(along) ** 2.6) ** np.float32(1 / 2.4)

    def diaphragm(self, side: int) -> Field:
        """Return how far above (positive) a lung's diaphragm a pixel lies."""
        a = self.anatomy
        base = (0.21 + 0.02 * (side > 0)) * self.breath + (a.lung_height - 0.33) * 0.6
        return base + 2.2 * (self.x - side * (a.gap - 0.02)) ** 2 - self.y

    def lung(self, side: int) -> Field:
        """Return one lung field, heart and mediastinum taken out."""
        wall = (1 - self.lung_radius(side)) * self.anatomy.lung_width
        inner = side * self.x - 0.045
        inside = np.minimum(np.minimum(wall, inner), self.diaphragm(side))
        return self.edge(inside) * (1 - self.heart)

    @cached_property
    def lungs(self) -> Field:
        """Both lung fields."""
        return np.maximum(self.lung(-1), self.lung(1))

    @cached_property
    def heart(self) -> Field:
        """The heart's shadow; two thirds of it lie on the picture's right."""
        half = self.anatomy.heart * self.heart_growth
        across = (self.x - 0.035 - 0.35 * (half - self.anatomy.heart)) / half
        along = (self.y - 0.1) / (0.14 * (0.6 + 0.4 * self.heart_growth))
        # An egg that leans: its tip points down and to the picture's right.
        across, along = 0.9 * across - 0.38 * along, 0.9 * along + 0.25 * across
        egg = np.sqrt(across**2 * (1 - 0.25 * np.clip(along, -1, 1)) + along**2)
        return np.clip(0.5 + (1 - egg) * half / 0.024, 0, 1)

    def paint(self) -> Field:
        """Return the absorption of a healthy chest."""
        a, x, y = self.anatomy, self.x, self.y
        # Nothing about a body is straight: a straight edge in the dark is that of a frame.
        waist = a.shoulder + 0.03 - 0.22 * (y + 0.12) ** 2 * np.sign(y + 0.12)
        body = self.edge(waist - np.abs(x) - 3.6 * np.clip(-0.28 - y, 0, 1) ** 2)
        neck = self.edge(0.11 - np.abs(x)) * (y < -0.3)
        shoulders = self.edge(y + 0.47 - 0.28 * np.abs(x))
        tissue = np.maximum(body * shoulders, neck) * np.float32(0.62)
        beside = np.abs(x) - a.shoulder - 0.05 - 0.3 * (y + 0.1) ** 2 + 0.08 * y
        arms = self.edge(beside) * self.edge(y + 0.25) * np.float32(0.35)
        picture = np.maximum(tissue, arms * (a.shoulder < 0.43))
        belly = np.minimum(self.diaphragm(-1), self.diaphragm(1))
        picture = picture + 0.1 * self.edge(-belly) * body
        picture = picture - 0.4 * self.lungs * (1 - 0.25 * np.clip(y + 0.1, 0, 0.3))
        picture = picture + 0.1 * self.heart
        picture = picture + 0.13 * np.exp(-((x / 0.04) ** 2)) * (0.9 + 0.1 * np.cos(y * 105))
        picture = picture + 0.07 * np.exp(-(((np.abs(x) - 0.02) / 0.05) ** 2)) * (y < 0.1)
        return (picture + self._bones() * body).astype(np.float32)

    def _bones(self) -> Field:
        a, x, y = self.anatomy, self.x, self.y
        across = np.abs(x)
        bones = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
        step = 0.62 / a.ribs
        arch = a.rib_slope * across - 1.15 * (across - 0.19) ** 2 * 2.2
        rows = (y + 0.34 - arch) / step
        band = np.abs(rows - np.rint(rows)) * step
        there = (np.rint(rows) >= 0) & (np.rint(rows) < a.ribs) & (across > 0.05) & (across < 0.37)
        bones += a.bone * there * np.clip(1.4 - band / 0.011, 0, 1)
        front = (y + 0.30 + 0.55 * across - 0.05) / (step * 1.3)
        near = np.abs(front - np.rint(front)) * step * 1.3
        bones += 0.45 * a.bone * (across > 0.12) * (across < 0.34) * (near < 0.010) * (y > -0.1)
        clavicle = np.abs(y + 0.30 + 0.13 * (across - 0.2) - 0.9 * (across - 0.2) ** 2)
        bones += (
            1.6 * a.bone * (across > 0.04) * (across < 0.36) * np.clip(1.5 - clavicle / 0.012, 0, 1)
        )
        return bones


def noise(rng: np.random.Generator, height: int, width: int, scale: float) -> Field:
    """Return smooth noise of unit variance that looks the same at every resolution.

    Args:
        scale: how far it is smooth, as a fraction of the shorter side.
    """
    side = min(height, width)
    rows, columns = (max(2, round(_CELL * n / side)) for n in (height, width))
    top, left = rng.integers(0, _BANK - rows), rng.integers(0, _BANK - columns)
    cut = noise_bank(_BANK_SEED, _BANK, scale * _CELL)[top : top + rows, left : left + columns]
    return np.asarray(Image.fromarray(cut).resize((width, height), Image.Resampling.BICUBIC))
