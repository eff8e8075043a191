"""What each finding adds to the absorption of a healthy chest, NIH's fourteen by their names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xaibench.phantoms.anatomy import Chest, Field, noise

Draw = Callable[[np.random.Generator, Chest, float], Field]


def _spot(chest: Chest, cx: float, cy: float, rx: float, ry: float | None = None) -> Field:
    ry = rx if ry is None else ry
    return np.exp(-0.5 * (((chest.x - cx) / rx) ** 2 + ((chest.y - cy) / ry) ** 2))


def _side(rng: np.random.Generator) -> int:
    return -1 if rng.random() < 0.5 else 1


def _in_lung(rng: np.random.Generator, chest: Chest, side: int, low: float, high: float):
    """Return a place well inside a lung, between two heights."""
    x = side * (chest.anatomy.gap + rng.uniform(-0.04, 0.05))
    return x, rng.uniform(low, high)


def _cloud(faint: float, gain: float, radius: float, grain: float, rough: float) -> Draw:
    """Return a finding that is a patchy cloud in one lung, denser and wider where it is severe."""

    def draw(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
        side = _side(rng)
        cx, cy = _in_lung(rng, chest, side, -0.12, 0.12)
        height, width = np.broadcast_shapes(chest.x.shape, chest.y.shape)
        patches = np.clip(1 + rough * noise(rng, height, width, grain), 0, 1.8)
        wide = radius + 0.05 * severity
        cloud = _spot(chest, cx, cy, wide, wide * rng.uniform(0.9, 1.5))
        return (faint + gain * severity) * (cloud * patches * chest.lung(side))

    return draw


def _round(radius: float, growth: float) -> Draw:
    """Return a finding that is a disc in one lung."""

    def draw(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
        side = _side(rng)
        cx, cy = _in_lung(rng, chest, side, -0.16, 0.12)
        distance = np.sqrt((chest.x - cx) ** 2 + (chest.y - cy) ** 2)
        disc = chest.edge(radius + growth * severity - distance)
        return (0.16 + 0.18 * severity) * disc * chest.lung(side)

    return draw


def _atelectasis(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    side = _side(rng)
    cx, cy = _in_lung(rng, chest, side, 0.05, 0.15)
    slope, thick = rng.uniform(-0.5, 0.5), 0.008 + 0.014 * severity
    line = (chest.y - cy - slope * (chest.x - cx)) / thick
    band = np.exp(-0.5 * line**2) * np.exp(-0.5 * ((chest.x - cx) / 0.09) ** 2)
    return (0.14 + 0.2 * severity) * band * chest.lung(side)


def _effusion(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    side = _side(rng)
    level = 0.17 - 0.16 * severity
    lateral = side * chest.x - chest.anatomy.gap
    meniscus = 0.03 * np.clip(lateral / 0.1, -1, 1.3) ** 2
    fluid = chest.edge(chest.y - level + meniscus)
    return (0.14 + 0.24 * severity) * fluid * chest.lung(side)


def _pneumothorax(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    side = _side(rng)
    strip = (0.02 + 0.055 * severity) / chest.anatomy.lung_width
    radius = chest.lung_radius(side)
    outside = chest.edge((radius - 1 + strip) * chest.anatomy.lung_width)
    place = chest.edge((0.06 - chest.y) / 4) * chest.edge(side * chest.x - 0.1)
    outside = outside * place
    line = np.exp(-0.5 * ((radius - 1 + strip) * chest.anatomy.lung_width / 0.004) ** 2)
    line = line * place
    return (0.16 * line - (0.1 + 0.06 * severity) * outside) * chest.lung(side)


def _edema(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    height, width = np.broadcast_shapes(chest.x.shape, chest.y.shape)
    wings = _spot(chest, -0.13, 0.0, 0.06, 0.11) + _spot(chest, 0.13, 0.0, 0.06, 0.11)
    haze = np.clip(1 + 0.35 * noise(rng, height, width, 0.025), 0, 2)
    return (0.12 + 0.16 * severity) * wings * haze * chest.lungs


def _emphysema(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    return -(0.05 + 0.08 * severity) * chest.lungs


def _fibrosis(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    height, width = np.broadcast_shapes(chest.x.shape, chest.y.shape)
    net = np.exp(-((noise(rng, height, width, 0.012) / 0.35) ** 2))
    bases = chest.edge((chest.y - 0.02) / 8)
    return (0.12 + 0.16 * severity) * net * bases * chest.lungs


def _pleural_thickening(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    side = _side(rng)
    thick = (0.012 + 0.02 * severity) / chest.anatomy.lung_width
    band = chest.edge((chest.lung_radius(side) - 1 + thick) * chest.anatomy.lung_width)
    band = band * (side * chest.x > chest.anatomy.gap) * chest.edge(chest.y + rng.uniform(0, 0.1))
    return (0.12 + 0.2 * severity) * band * chest.lung(side)


def _hernia(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    cx, radius = rng.uniform(-0.02, 0.05), 0.045 + 0.03 * severity
    distance = np.sqrt((chest.x - cx) ** 2 + (chest.y - 0.17) ** 2)
    wall = np.exp(-0.5 * ((distance - radius) / 0.008) ** 2)
    gas = chest.edge(radius - distance) * chest.edge(0.17 - chest.y)
    return 0.2 * wall - (0.12 + 0.1 * severity) * gas


HEART = "Cardiomegaly"  # changes the heart itself; see ``Chest.heart_growth``
DRAW: dict[str, Draw] = {
    "Atelectasis": _atelectasis,
    "Consolidation": _cloud(0.16, 0.24, 0.04, grain=0.05, rough=0.2),
    "Edema": _edema,
    "Effusion": _effusion,
    "Emphysema": _emphysema,
    "Fibrosis": _fibrosis,
    "Hernia": _hernia,
    "Infiltration": _cloud(0.08, 0.14, 0.07, grain=0.02, rough=0.9),
    "Mass": _round(0.04, 0.035),
    "Nodule": _round(0.016, 0.012),
    "Pleural_Thickening": _pleural_thickening,
    "Pneumonia": _cloud(0.14, 0.2, 0.05, grain=0.03, rough=0.5),
    "Pneumothorax": _pneumothorax,
}
