"""The sheet of images: every image, its label and its masks, legible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from xaibench.figures import sheet
from xaibench.figures.base import save, shortened
from xaibench.figures.pictures import border, picture


def table(n, label="mass"):
    ids = [f"images_{at:03d}/a_rather_long_name_{at:06d}.jpeg" for at in range(n)]
    return pd.DataFrame({"id": ids, "split": "train", "label": label})


def pictures(figure):
    return [ax for ax in figure.axes if ax.images]


@pytest.mark.parametrize(("n", "channels"), [(1, 1), (8, 3), (24, 1)])
def test_each_image_is_drawn_once_with_its_caption(legible, n, channels):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (n, 12, 16, channels), np.uint8)
    figure = sheet.draw(images, table(n), {}, "toy (generated)")
    assert len(pictures(figure)) == n
    for image, ax in zip(images, pictures(figure), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array().reshape(image.shape), image)
    numbers = [ax.get_xlabel().split("\n")[0][-6:] for ax in pictures(figure)]
    assert numbers == [f"{at:06d}" for at in range(n)]
    assert figure.get_suptitle() == "toy (generated)"
    legible(figure)


def test_grey_is_drawn_between_black_and_white():
    image = np.full((1, 4, 4, 1), 100, np.uint8)
    (drawn,) = pictures(sheet.draw(image, table(1), {}))[0].images
    assert drawn.get_clim() == (0, 255)
    (drawn,) = pictures(sheet.draw(image / np.float32(255), table(1), {}))[0].images
    assert drawn.get_clim() == (0, 1)


def test_many_labels_are_cut_to_three_lines(legible):
    labels = "Atelectasis, Cardiomegaly, Pleural_Thickening, Pneumothorax, Infiltration"
    figure = sheet.draw(np.zeros((6, 9, 9, 1), np.uint8), table(6, labels), {})
    lines = pictures(figure)[0].get_xlabel().split("\n")
    assert len(lines) == 4
    assert lines[1] == "train: Atelectasis,"
    assert lines[-1].endswith("…")
    legible(figure)


def test_masks_are_outlined_on_their_own_image_and_named(legible):
    masks = {name: np.zeros((2, 20, 20), bool) for name in ("box", "lungs_weak")}
    masks["box"][1, 5:9, 6:12] = True
    masks["lungs_weak"][:] = True
    figure = sheet.draw(np.zeros((2, 20, 20, 1), np.uint8), table(2), masks)
    first, second = pictures(figure)
    assert (len(first.collections), len(second.collections)) == (1, 2)
    corners = second.collections[0].get_paths()[0].get_extents().get_points()
    np.testing.assert_allclose(corners, [[5.5, 4.5], [11.5, 8.5]])
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["mask box", "mask lungs_weak (weak mask)"]
    legible(figure)


def test_an_outline_around_everything_lies_inside_the_picture():
    ax = Figure().add_subplot()
    picture(ax, np.zeros((10, 10), np.uint8))
    border(ax, np.ones((10, 10), bool), "white")
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 9.5), (9.5, -0.5))
    extents = ax.collections[0].get_paths()[0].get_extents()
    np.testing.assert_allclose(extents.get_points(), [[-0.5, -0.5], [9.5, 9.5]])


def test_names_that_are_equal_are_told_apart_by_their_folders(legible):
    ids = [f"train/patient{at:05d}/study{of}/view1.jpg" for at in range(3) for of in (1, 2)]
    rows = table(6).assign(id=ids)
    figure = sheet.draw(np.zeros((6, 9, 9, 1), np.uint8), rows, {})
    first = pictures(figure)[0].get_xlabel()
    assert first == "patient00000/study1\nview1\ntrain: mass"
    assert len({ax.get_xlabel() for ax in pictures(figure)}) == 6
    legible(figure)


@pytest.mark.parametrize(
    ("name", "letters", "short"),
    [("abcdef", 6, "abcdef"), ("abcdefg", 6, "ab…fg"), ("abcdefgh", 7, "abc…fgh")],
)
def test_long_names_keep_their_ends(name, letters, short):
    assert shortened(name, letters) == short


@pytest.mark.parametrize("name", [r"$\frac$", "$x^{$", "正常", "new\nline", "\x1b[31m", "😀"])
def test_a_name_is_text_whatever_stands_in_it(tmp_path, name):
    images = np.zeros((1, 8, 8, 1), np.uint8)
    figure = sheet.draw(images, table(1, label=name).assign(id=name), {}, name)
    files = save(
        figure, tmp_path, "sheet"
    )  # a formula, or a letter that the font lacks, would raise
    assert all(file.stat().st_size > 1000 for file in files)
