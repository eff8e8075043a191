"""The cells of a synthetic patch: where nuclei lie, their shapes, and how they take the dye.

Nuclei are painted on a canvas larger than the patch, so that those cut by the border need no
special case.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

SIZE, PAD = 96, 18
CANVAS = SIZE + 2 * PAD


@dataclass(frozen=True, eq=False)
class Nuclei:
    """N nuclei as windows into the flat canvas.

    ``centres`` (N, 2) and ``radius`` (N,) are in pixels, the rest is (N, w, w): ``depth`` is the
    distance to the outline, positive inside; ``relative`` runs from 0 in the middle to 1 on it.
    """

    centres: np.ndarray
    radius: np.ndarray
    index: np.ndarray
    depth: np.ndarray
    relative: np.ndarray

    @classmethod
    def shape(
        cls,
        rng: np.random.Generator,
        centres: np.ndarray,
        radius: np.ndarray,
        stretch: np.ndarray,
        angle: np.ndarray | None = None,
        border: int = 2,
        uneven: float = 0.0,
    ) -> Nuclei:
        """Draw uneven ovals, windows reaching ``border`` beyond them; all at once, for speed."""
        n = len(centres)
        half = int(np.ceil((radius * np.sqrt(stretch)).max(initial=1.0) * (1 + uneven))) + border
        middle = np.clip(np.rint(centres).astype(np.int64), half, CANVAS - 1 - half)
        offset = np.arange(-half, half + 1)
        index = (middle[:, :1] + offset)[:, :, None] * CANVAS + (middle[:, 1:] + offset)[:, None]
        y, x = ((middle - centres)[:, :, None] + offset).astype(np.float32).transpose(1, 0, 2)
        turn = rng.uniform(0, np.pi, n) if angle is None else angle
        cos, sin = np.array([np.cos(turn), np.sin(turn)], np.float32)[:, :, None]
        long = np.sqrt(stretch).astype(np.float32)[:, None]
        u = (x * cos / long)[:, None, :] + (y * sin / long)[:, :, None]
        v = (y * cos * long)[:, :, None] - (x * sin * long)[:, None, :]
        away = np.sqrt(u * u + v * v) + np.float32(1e-3)
        edge = radius.astype(np.float32)[:, None, None]
        if uneven:
            # Two- and threefold bumps of the outline, as polynomials of the unit direction.
            wave2, wave3 = rng.uniform(-uneven, uneven, (2, n, 1, 1)).astype(np.float32)
            u /= away
            v /= away
            edge = edge * (wave2 * (2 * u * v) + wave3 * (u * (4 * u * u - 3)) + 1)
        return cls(centres, radius, index, edge - away, away / edge)

    def keep(self, which: np.ndarray) -> Nuclei:
        return Nuclei(*(getattr(self, field.name)[which] for field in fields(self)))

    def cover(self, margin: float = 0.0) -> np.ndarray:
        """Canvas, true on every pixel of a nucleus or up to ``margin`` pixels from it."""
        canvas = np.zeros((CANVAS, CANVAS), bool)
        canvas.ravel()[self.index[self.depth > -margin]] = True
        return canvas

    def reach(self, area: np.ndarray, margin: float) -> np.ndarray:
        """Which of the N have a pixel in ``area``, or come as near to it as ``margin``."""
        return (area.ravel()[self.index] & (self.depth > -margin)).any((1, 2))

    def spread(self, weight: np.ndarray) -> np.ndarray:
        """Canvas of the largest weight (N, w, w) that any nucleus puts on each pixel."""
        canvas = np.zeros(CANVAS * CANVAS, np.float32)
        np.maximum.at(canvas, self.index.ravel(), weight.astype(np.float32).ravel())
        return canvas.reshape(CANVAS, CANVAS)

    def paint(self, dyes: np.ndarray, density: np.ndarray) -> None:
        """Lay nuclei of haematoxylin ``density`` (N, w, w) over what is there."""
        alpha = np.clip(self.depth + 0.5, 0, 1)
        cover = self.spread(alpha)
        dyes[0] += self.spread(alpha * density) - cover * dyes[0]
        dyes[1] *= 1 - 0.6 * cover


def place_tumour(rng: np.random.Generator, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres (N, 2) and radii (N,) of a tumour: a sheet, a nest, or a few cells alone."""
    if not label and rng.random() > 0.3:
        return np.empty((0, 2)), np.empty(0)
    middle = (CANVAS - 1) / 2
    if label:
        anchor = middle + rng.uniform(-13, 13, 2)
        extent = rng.choice([999.0, rng.uniform(14, 40), rng.uniform(4, 12)], p=[0.3, 0.58, 0.12])
    else:
        side = rng.permutation([rng.choice([-1, 1]) * rng.uniform(26, 44), rng.uniform(-44, 44)])
        anchor, extent = middle + side, rng.uniform(6, 26)
    # One in twenty has cells hardly larger than a lymphocyte, to keep the task from being clean.
    size = rng.uniform(3.9, 4.4) if rng.random() < 0.05 else rng.uniform(4.6, 6.4)
    points = _scatter(rng, size * rng.uniform(2.2, 3.0), 0.16)
    away = np.hypot(*(points - anchor).T)
    nearest = away.argmin()
    keep = (away * rng.uniform(0.85, 1.25, len(away)) < extent) & (rng.random(len(away)) < 0.92)
    points[nearest], keep[nearest] = anchor, True
    return points[keep], np.clip(size * rng.lognormal(0, 0.13, keep.sum()), 3.6, 7.5)


def paint_tumour(
    rng: np.random.Generator, nuclei: Nuclei, dyes: np.ndarray, grain: np.ndarray
) -> None:
    """Paint pale, vesicular nuclei with dark rims and nucleoli, in ample cytoplasm."""
    n = len(nuclei.index)
    body = nuclei.spread(np.clip((nuclei.depth + 3.0) / 2, 0, 1))
    for dye, level in zip(dyes, (rng.uniform(0.06, 0.27), rng.uniform(0.5, 1.05)), strict=True):
        dye += 0.8 * body * (level * (1 + 0.12 * grain) - dye)
    pale = rng.uniform(0.35, 0.78) * rng.lognormal(0, 0.15, (n, 1, 1)).astype(np.float32)
    density = pale * (0.82 + 0.4 * nuclei.relative**6) + 0.09 * grain.ravel()[nuclei.index]
    nuclei.paint(dyes, np.clip(density, 0.05, None))
    # Most nuclei have a nucleolus, some a second one.
    parent = np.concatenate([np.flatnonzero(rng.random(n) < share) for share in (0.9, 0.35)])
    shift = rng.uniform(-0.35, 0.35, (len(parent), 2)) * nuclei.radius[parent, None]
    size = rng.uniform(0.9, 1.7, len(parent))
    spots = Nuclei.shape(rng, nuclei.centres[parent] + shift, size, np.ones_like(size), border=1)
    dyes[0] += 0.55 * spots.spread(np.clip(spots.depth + 0.3, 0, 1))


def paint_bystanders(
    rng: np.random.Generator,
    dyes: np.ndarray,
    grain: np.ndarray,
    lymphoid: np.ndarray,
    free: np.ndarray,
    angle: float,
) -> None:
    """Paint the benign nuclei: histiocytes, then spindle cells of the stroma, then lymphocytes."""
    pale = rng.choice([0.02, 0.15, 0.6], p=[0.6, 0.3, 0.1])
    few = rng.uniform(0.01, 0.2)
    dark = rng.uniform(0.8, 1.3)
    kinds = (  # pitch, jitter, radius, stretch, density, share in lymphoid tissue, share outside
        (13.0, 0.2, (3.4, 4.4), (1.0, 1.7), rng.uniform(0.4, 0.8), pale, pale),
        (15.0, 0.25, (2.2, 3.2), (1.8, 4.0), rng.uniform(0.6, 1.1), 0.05, 0.6),
        (rng.uniform(7.0, 9.0), 0.12, (2.8, 3.6), (1.0, 1.4), dark, rng.uniform(0.6, 1.0), few),
    )
    for pitch, jitter, radii, stretches, density, within, outside in kinds:
        points = _scatter(rng, pitch, jitter)
        at = tuple(np.rint(points).astype(np.int64).T)
        chance = np.where(lymphoid[at], within, outside)
        points = points[free[at] & (rng.random(len(points)) < chance)]
        n = len(points)
        turn = angle + rng.normal(0, 0.3, n) if stretches[1] > 2 else None
        nuclei = Nuclei.shape(rng, points, rng.uniform(*radii, n), rng.uniform(*stretches, n), turn)
        each = (
            density
            * rng.lognormal(0, 0.16, (n, 1, 1)).astype(np.float32)
            * (0.9 + 0.15 * nuclei.relative**4)
        )
        nuclei.paint(dyes, np.clip(each + 0.13 * grain.ravel()[nuclei.index], 0.05, None))
        free &= ~nuclei.cover(margin=2.0)


def _scatter(rng: np.random.Generator, pitch: float, jitter: float) -> np.ndarray:
    """(N, 2) points of a hexagonal grid at random phase, each moved by about jitter * pitch."""
    n = int(1.15 * CANVAS / pitch) + 3  # rows lie closer than points in a row
    row, column = np.divmod(np.arange(n * n), n)
    points = np.stack([row * 0.87, column + 0.5 * (row % 2)], 1) * pitch
    points += rng.normal(0, jitter * pitch, points.shape) - rng.uniform(0, pitch, 2)
    return points[((points > PAD - 6) & (points < CANVAS - PAD + 5)).all(1)]
