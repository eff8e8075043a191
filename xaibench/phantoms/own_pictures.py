"""Small pictures as a user's own would lie, for checks and tests: a bright square, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 24
CLASSES = ("normal", "square")
PATIENTS = 12
"""Of each class, with two images each."""


def draw_folders(folder: Path) -> Path:
    """Write ``images/CLASS/pNN_K.png`` in colour, and ``masks/square/pNN_K.png``; return images."""
    root = folder / "images"
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True, exist_ok=True)
        (folder / "masks" / name).mkdir(parents=True, exist_ok=True)
        for patient in range(PATIENTS):
            for number in range(2):
                image, mask = drawn(label, seed=[label, patient, number])
                file = f"p{label * PATIENTS + patient:02}_{number}.png"
                Image.fromarray(image).save(root / name / file)
                if label:
                    Image.fromarray(mask).save(folder / "masks" / name / file)
    return root


def draw_table(folder: Path) -> Path:
    """Write ``pNN_K.png`` and ``table.csv`` with class, patient and box; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["path,class,patient,x,y,w,h"]
    for label, name in enumerate(CLASSES):
        for patient in range(PATIENTS):
            for number in range(2):
                image, mask = drawn(label, seed=[label, patient, number])
                who = f"p{label * PATIENTS + patient:02}"
                Image.fromarray(image).save(folder / f"{who}_{number}.png")
                rows, columns = np.nonzero(mask)
                box = f"{columns.min()},{rows.min()},8,8" if label else ",,,"
                lines.append(f"{who}_{number}.png,{name},{who},{box}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def draw_arrays(folder: Path) -> Path:
    """Write ``arrays.npz`` with images, labels, groups and masks; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = [(c, p, n) for c in range(2) for p in range(PATIENTS) for n in range(2)]
    pairs = [drawn(label, seed=[label, patient, number]) for label, patient, number in cases]
    np.savez_compressed(
        folder / "arrays.npz",
        images=np.stack([image for image, _ in pairs]),
        masks=np.stack([mask for _, mask in pairs]),
        labels=np.array([label for label, _, _ in cases]),
        groups=np.array([f"p{label * PATIENTS + patient:02}" for label, patient, _ in cases]),
    )
    return folder / "arrays.npz"


def drawn(label: int, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (SIDE, SIDE, 3) in noise, and its mask: 255 on the square of label 1."""
    rng = np.random.default_rng(seed)
    image = rng.integers(60, 120, (SIDE, SIDE, 3)).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if label:
        top, left = rng.integers(2, SIDE - 10, 2)
        image[top : top + 8, left : left + 8] += 100
        mask[top : top + 8, left : left + 8] = 255
    return image, mask
