"""What each finding adds to the absorption of a healthy chest, NIH's fourteen by their names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xaibench.datasets.radiograph_anatomy import Chest, Field, noise

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


def _cloud(
    rng: np.random.Generator, chest: Chest, radius: float, grain: float, rough: float
) -> Field:
    """Return a patchy cloud in one lung, about 1 in its middle."""
    side = _side(rng)
    cx, cy = _in_lung(rng, chest, side, -0.12, 0.12)
    height, width = np.broadcast_shapes(chest.x.shape, chest.y.shape)
    patches = np.clip(1 + rough * noise(rng, height, width, grain), 0, 1.8)
    return _spot(chest, cx, cy, radius, radius * rng.uniform(0.9, 1.5)) * patches * chest.lung(side)


def _pneumonia(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    return (0.14 + 0.2 * severity) * _cloud(rng, chest, 0.05 + 0.05 * severity, 0.03, 0.5)


def _consolidation(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    return (0.16 + 0.24 * severity) * _cloud(rng, chest, 0.04 + 0.05 * severity, 0.05, 0.2)


def _infiltration(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    return (0.08 + 0.14 * severity) * _cloud(rng, chest, 0.07 + 0.05 * severity, 0.02, 0.9)


def _atelectasis(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    side = _side(rng)
    cx, cy = _in_lung(rng, chest, side, 0.05, 0.15)
    slope, thick = rng.uniform(-0.5, 0.5), 0.008 + 0.014 * severity
    line = (chest.y - cy - slope * (chest.x - cx)) / thick
    band = np.exp(-0.5 * line**2) * np.exp(-0.5 * ((chest.x - cx) / 0.09) ** 2)
    return (0.14 + 0.2 * severity) * band * chest.lung(side)


def _round(rng: np.random.Generator, chest: Chest, severity: float, radius: float) -> Field:
    side = _side(rng)
    cx, cy = _in_lung(rng, chest, side, -0.16, 0.12)
    distance = np.sqrt((chest.x - cx) ** 2 + (chest.y - cy) ** 2)
    return (0.16 + 0.18 * severity) * chest.edge(radius - distance) * chest.lung(side)


def _nodule(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    return _round(rng, chest, severity, 0.016 + 0.012 * severity)


def _mass(rng: np.random.Generator, chest: Chest, severity: float) -> Field:
    return _round(rng, chest, severity, 0.04 + 0.035 * severity)


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
    "Consolidation": _consolidation,
    "Edema": _edema,
    "Effusion": _effusion,
    "Emphysema": _emphysema,
    "Fibrosis": _fibrosis,
    "Hernia": _hernia,
    "Infiltration": _infiltration,
    "Mass": _mass,
    "Nodule": _nodule,
    "Pleural_Thickening": _pleural_thickening,
    "Pneumonia": _pneumonia,
    "Pneumothorax": _pneumothorax,
}
FINDINGS: tuple[str, ...] = tuple(sorted([*DRAW, HEART]))
