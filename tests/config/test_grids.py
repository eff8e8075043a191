"""A list where a parameter takes none makes a row of each value, with a label that is safe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from xaibench.config.reading import load_config
from xaibench.config.run_config import dump
from xaibench.errors import UserError

TEXT = """\
name: base
dataset: {use: pcam, when_missing: synthesize}
model: {use: timm, architecture: resnet10t, weights: none}
explainers:
  random:
  square_occlusion:
    window: [16, 8]
metrics:
  deletion: {steps: [4, 10]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    return path


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_a_list_makes_a_row_of_each_value(path):
    config = load_config(path)
    assert list(config.explainers) == [
        *("random", "square_occlusion(window=16)", "square_occlusion(window=8)")
    ]
    assert [e.window for e in list(config.explainers.values())[1:]] == [16, 8]
    assert {k: m.steps for k, m in config.metrics.items()} == {
        "deletion(steps=4)": 4,
        "deletion(steps=10)": 10,
    }


def test_several_lists_make_their_product(path):
    words = ["explainers.square_occlusion={window: [16, 8], stride: [8, 4], space: logit}"]
    rows = load_config(path, words).explainers
    rows.pop("random")
    points = [(16, 8), (16, 4), (8, 8), (8, 4)]
    assert list(rows) == [f"square_occlusion(window={w},stride={s})" for w, s in points]
    assert [(e.window, e.stride, e.space) for e in rows.values()] == [(*p, "logit") for p in points]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("blur(7,2.5)", "fill=blur-7-2.5"),
        ("0.5", "fill=0.5"),
        ("0.00001", "fill=1e-05"),
        ("image_mean", "fill=image_mean"),
    ],
)
def test_labels_are_safe_in_names_of_files(path, value, label):
    config = load_config(
        path,
        [
            f"metrics.deletion={{fill: ['{value}', black]}}"
            if "(" in value
            else f"metrics.deletion={{fill: [{value}, black]}}"
        ],
    )
    assert list(config.metrics) == [f"deletion({label})", "deletion(fill=black)"]
    assert all(re.fullmatch(r"[\w(),.=+-]+", name) for name in config.metrics)


def test_texts_numbers_and_nothing_are_spelled_apart(path):
    words = [
        "explainers={grad_cam: {layer: [null, stages.1/conv]}, "
        "lime: {positive_only: [true, false]}}"
    ]
    assert list(load_config(path, words).explainers) == [
        *("grad_cam(layer=null)", "grad_cam(layer=stages.1-conv)"),
        *("lime(positive_only=true)", "lime(positive_only=false)"),
    ]


def test_a_parameter_that_takes_a_list_makes_no_grid(path):
    config = load_config(path, ["metrics.occlusion_probe={fractions: [0.25, 0.5]}"])
    assert config.metrics["occlusion_probe"].fractions == (0.25, 0.5)


def test_a_label_of_ones_own_begins_each_row(path):
    config = load_config(path, ["explainers.hide={use: square_occlusion, window: [9, 12]}"])
    assert {"hide(window=9)", "hide(window=12)"} <= set(config.explainers)
    assert config.explainers["hide(window=9)"].name == "square_occlusion"


def test_a_list_of_one_value_is_a_row_with_a_label(path):
    config = load_config(path, ["metrics.deletion.steps=[4]"])
    assert list(config.metrics) == ["deletion(steps=4)"]


def test_the_resolved_config_holds_the_rows_and_reads_back_the_same(path, tmp_path):
    config = load_config(path)
    again = tmp_path / "again.yaml"
    again.write_text(dump(config))
    assert load_config(again) == config
    assert dump(load_config(again)) == again.read_text()
    written = yaml.safe_load(again.read_text())["explainers"]
    assert written["square_occlusion(window=8)"]["use"] == "square_occlusion"
    assert written["square_occlusion(window=8)"]["window"] == 8


def test_an_element_that_does_not_fit_is_named_with_its_line(path):
    path.write_text(TEXT.replace("window: [16, 8]", "window:\n    - 16\n    - 0"))
    assert refused(path) == (
        f"{path}:9: explainers.square_occlusion.window.1: must be greater than 0, got 0 "
        "(window: integer, above 0)"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[]", "window: is an empty list, which makes no row; give integer, above 0, or several"),
        ("[8, wide]", "window.1: must be a valid integer, got 'wide' (window: integer, above 0)"),
        ("[8, [9]]", "window.1: must be integer, above 0, got [9]; a grid has plain values"),
        ("[{a: 1}]", "window.0: must be integer, above 0, got {'a': 1}; a grid has plain values"),
    ],
)
def test_a_list_that_makes_no_grid_is_refused(path, value, said):
    words = f"explainers.square_occlusion.window={value}"
    assert refused(path, words) == f"--set {words}: explainers.square_occlusion.{said}"


def test_a_value_that_the_plugin_itself_refuses_is_named(path):
    words = "metrics.deletion.fill=[black, blak]"
    said = "metrics.deletion.fill.1: unknown fill 'blak'; allowed: black, "
    assert refused(path, words).startswith(f"--set {words}: {said}")


def test_two_rows_of_one_label_are_refused(path):
    said = "makes a second row 'square_occlusion(window=8)'; every row needs a label of its own"
    words = "explainers.square_occlusion.window=[8, 16, 8]"
    assert refused(path, words).endswith(f": explainers.square_occlusion: {said}")
    path.write_text(TEXT.replace("  random:", "  square_occlusion(window=8): {use: cam}"))
    assert refused(path).endswith(f":6: explainers.square_occlusion: {said}")


@pytest.mark.parametrize("label", ["a b", "a(b", "a()", "a(b)c", "../a", "a(b=c/d)", "_a"])
def test_a_label_of_other_signs_is_refused(path, label):
    path.write_text(TEXT.replace("  random:", f"  '{label}': {{use: cam}}"))
    assert "must match pattern" in refused(path)
