"""Style: stable looks, no state left behind, files whole and reproducible."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from xaibench.figures.base import COLUMN, DPI, blank, laid_out, save, style, titled, wrapped
from xaibench.figures.looks import looks


def test_an_explainer_looks_the_same_in_every_figure():
    few = looks(["lime", "random"], controls=["random"])
    many = looks(["cam", "random", "grad_cam", "lime", "mine"], controls=["random"])
    assert few["lime"] == many["lime"]
    assert few["random"] == many["random"]
    assert len({look.colour for look in many.values()}) == len(many)


def test_controls_are_grey_and_dashed_and_others_solid():
    found = looks(["grad_cam", "random", "center_prior"], ["random", "center_prior"])
    assert {found["random"].line, found["center_prior"].line} == {"--"}
    assert 0 < float(found["random"].colour) < 1
    assert found["random"].colour != found["center_prior"].colour
    assert found["grad_cam"].line == "-"


def test_no_explainer_is_grey():
    for look in looks([f"e{i:02d}" for i in range(12)]).values():
        assert max(look.colour) - min(look.colour) > 0.1


def test_from_the_tenth_explainer_on_the_marker_differs():
    found = looks([f"e{i:02d}" for i in range(16)])
    assert len({(look.colour, look.marker) for look in found.values()}) == 16


def test_style_leaves_the_settings_as_found():
    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["font.size"] == 7.5
    assert dict(mpl.rcParams) == before


def test_style_comes_back_after_an_exception():
    before = dict(mpl.rcParams)
    with pytest.raises(ZeroDivisionError), style():
        _ = 1 / 0
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("lime", "lime"),
        ("superpixel_occlusion", "superpixel_\nocclusion"),
        ("iou_top@centre_weak", "iou_top\n@centre_weak"),
    ],
)
def test_names_break_where_words_end(name, lines):
    assert wrapped(name) == lines


def figure_of_a_line():
    with style():
        figure = blank(COLUMN, 2)
        (line,) = figure.subplots().plot([0, 1], [0, 1])
        title = "a name that is far too long for one line of a paper's column " * 2
        legend = {f"a_long_name_of_an_explainer_no_{at}": line for at in range(3)}
        return titled(figure, title, legend)


def test_long_titles_and_legends_stay_inside(legible):
    legible(figure_of_a_line())


def test_files_are_whole_and_the_same_every_time(tmp_path):
    formats = ("png", "pdf", "svg")
    first = save(figure_of_a_line(), tmp_path / "a", "line", formats)
    second = save(figure_of_a_line(), tmp_path / "b", "line", formats)
    assert [path.name for path in first] == ["line.png", "line.pdf", "line.svg"]
    assert set((tmp_path / "a").iterdir()) == set(first)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"CreationDate" not in first[1].read_bytes()
    assert b"<dc:date>" not in first[2].read_bytes()


def test_a_file_takes_one_drawing(tmp_path, monkeypatch):
    draw, drawn = Figure.draw, []
    monkeypatch.setattr(Figure, "draw", lambda self, to: drawn.append(self) or draw(self, to))
    save(figure_of_a_line(), tmp_path, "line", ("png", "pdf", "svg"))
    assert len(drawn) == 3


def test_a_png_has_the_pixels_that_matplotlib_draws(tmp_path):
    (path,) = save(figure_of_a_line(), tmp_path, "line")
    figure = figure_of_a_line()
    figure.set_dpi(DPI)
    with style():
        laid_out(figure)
        figure.set_layout_engine("none")
        figure.savefig(tmp_path / "plain.png", dpi=DPI)
    written, plain = Image.open(path), Image.open(tmp_path / "plain.png").convert("RGB")
    assert written.mode == "RGB"
    assert written.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
    assert np.array_equal(np.asarray(written), np.asarray(plain))


def test_only_sides_without_ticks_and_label_are_left_out():
    with style():
        figure = blank(COLUMN, 2)
        empty, labelled, _ = figure.subplots(1, 3)
        for ax in (empty, labelled):
            ax.set(xticks=[], yticks=[])
        labelled.set_xlabel("what it is")
        laid_out(figure)
    sides = [(ax.xaxis.get_visible(), ax.yaxis.get_visible()) for ax in figure.axes]
    assert sides == [(False, False), (True, False), (True, True)]
