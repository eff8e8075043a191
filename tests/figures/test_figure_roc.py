"""ROC grid, bands by confidence, and the two choice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xaibench.figures import bands as bands_figure
from xaibench.figures import choice, gallery, ranking, roc
from xaibench.leaderboards import thresholds
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.roc import curve, labels_of

FINDINGS = [f"finding_{i:02d}" for i in range(12)] + ["Pleural_Thickening", "Hernia"]
CONTROLS = ("random",)


def predictions(count: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"image": [f"{i:08d}_000.png" for i in range(count)]})
    table["group"] = table["image"]
    table["predicted"] = FINDINGS[0]
    for name in FINDINGS:
        truth = (np.arange(count) + rng.integers(5)) % 3 == 0
        table[f"label_{name}"] = truth * (name != "Hernia") * 1.0
        table[f"p_{name}"] = (0.6 * truth + 0.7 * rng.random(count)) / 1.3
    return table


def explained(table: pd.DataFrame) -> pd.DataFrame:
    parts = [table.assign(target=f, p_target=table[f"p_{f}"]) for f in FINDINGS[-3:]]
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)


# ------------------------------------------------------------------------------- ROC


def test_fourteen_labels_have_a_panel_each(legible):
    labels = labels_of(predictions())
    rows = thresholds.table(predictions(), "test", predictions(24))
    figure = roc.draw(labels, rows, "toy (generated), net, split test")
    panels = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title().split("\n")[0] for ax in panels] == FINDINGS
    assert figure.get_figwidth() == 7.2
    assert "over 13 of 14 labels" in figure.get_suptitle()
    first, row = panels[0], rows.iloc[0]
    assert first.get_title().split("\n")[1].startswith(f"{row['auroc']:.3f} [")
    chance, line, point = first.lines
    false, true, _ = curve(labels[0])
    np.testing.assert_array_equal(line.get_xdata(), false)
    np.testing.assert_array_equal(line.get_ydata(), true)
    assert point.get_xdata()[0] == pytest.approx(1 - row["specificity"])
    assert point.get_ydata()[0] == row["sensitivity"]
    assert first.texts[0].get_text().startswith(f"at ≥ {row['threshold']:.2g}\nsens.")
    assert list(chance.get_xdata()) == list(chance.get_ydata()) == [0, 1]
    legible(figure)


def test_a_label_without_a_curve_says_why():
    rows = thresholds.table(predictions(), "test", predictions(24))
    hernia = roc.draw(labels_of(predictions()), rows, "toy").axes[13]
    assert not hernia.lines
    assert hernia.texts[0].get_text().replace("\n", " ") == "all 30 known labels are negative"


def test_one_label_is_one_panel(legible):
    table = predictions()[["image", "group", "label_Hernia", "p_Hernia"]]
    table["label_Hernia"] = np.arange(30) % 2
    rows = thresholds.table(table, "test", table.iloc[:20])
    figure = roc.draw(labels_of(table), rows, "toy")
    assert len(figure.axes) == 1
    assert figure.get_figwidth() == 3.5
    assert "Youden's threshold, chosen on valid" in [
        t.get_text() for t in figure.legends[0].get_texts()
    ]
    legible(figure)


def test_a_curve_without_a_threshold_has_no_point(legible):
    rows = thresholds.table(predictions(), "valid")
    figure = roc.draw(labels_of(predictions()), rows, "toy")
    assert len(figure.axes[0].lines) == 2  # chance and the curve
    assert figure.axes[0].texts[0].get_text() == "no threshold\n10 of 30 pos."
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["ROC curve; AUROC [95 % interval]", "chance"]
    legible(figure)


# ------------------------------------------------------------------------------- bands


@pytest.fixture
def bands() -> pd.DataFrame:
    rows = [
        {
            "metric": metric, "band": band, "explainer": explainer,
            "control": explainer in CONTROLS, "mean": 0.2 + 0.1 * at, "low": 0.15, "high": 0.45,
            "confidence": 0.95, "n": 6 - at, "rows": 6, "chance": 0.36,
        }
        for metric in ("border_mass", "mass_accuracy@lungs_box_weak")
        for at, band in enumerate(("0.5 to 0.8", "0.8 to 0.95", "≥ 0.95"))
        for explainer in ("random", "grad_cam")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_bands_have_a_facet_a_metric_and_the_level_of_chance(bands, legible):
    figure = bands_figure.draw(bands, "toy (generated)")
    titles = ["border_mass", "mass_accuracy@lungs_box_weak (weak mask)"]
    assert [ax.get_title() for ax in figure.axes] == titles
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == [
        "0.5 to 0.8\nn=6", "0.8 to 0.95\nn=5", "≥ 0.95\nn=4",
    ]  # fmt: skip
    dots = [line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 1]
    assert dots == pytest.approx([0.2, 0.2, 0.3, 0.3, 0.4, 0.4])
    chance = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in chance] == [[0.36, 0.36]] * 3
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["grad_cam", "random (control)", "a map that says nothing"]
    legible(figure)


def test_bands_without_values_have_no_figure(bands, finished_run):
    run = ScoredRun(finished_run)
    assert list(bands_figure.of_run(run)) == []
    bands.to_csv(finished_run / "bands.csv")
    assert [name for name, _ in bands_figure.of_run(run)] == ["bands"]
    bands.assign(n=0).to_csv(finished_run / "bands.csv")
    assert list(bands_figure.of_run(run)) == []


def test_the_ranking_leaves_out_what_says_nothing():
    names = ["deletion", "iou_top@lungs", "pointing_game@lungs_box_weak", "iou_top@evidence"]
    names.append("mass_accuracy@lungs")
    summary = pd.DataFrame({"metric": names}, index=[3, 3, 4, 5, 6])
    told = list(ranking.telling(summary)["metric"])
    assert told == ["deletion", "iou_top@evidence", "mass_accuracy@lungs"]


# ------------------------------------------------------------------------------- galleries


def test_the_galleries_show_grad_cam_if_it_is_there():
    assert choice.cam_like(["random", "lime", "cam", "grad_cam"], CONTROLS) == "grad_cam"
    assert choice.cam_like(["random", "lime", "cam"], CONTROLS) == "cam"
    assert choice.cam_like(["random", "lime", "saliency"], CONTROLS) == "lime"
    assert choice.cam_like(["random"], CONTROLS) == "random"
    assert choice.cam_like([], CONTROLS) is None


def test_true_positives_are_titled_by_prediction_and_truth(legible):
    table = predictions()
    cuts = choice.thresholds(table, predictions(24))
    rows = choice.true_positives(explained(table), cuts)
    images = np.zeros((len(rows), 16, 16, 1), "uint8")
    maps = np.random.default_rng(0).random((len(rows), 16, 16))
    masks = {"evidence": np.zeros((len(rows), 16, 16), "uint8")}
    masks["evidence"][0, 3:9, 4:8] = 1
    ((_, figure),) = gallery.true_positives(rows, images, maps, masks, "toy")
    panels = [ax for ax in figure.axes if ax.axison]
    assert len(panels) == len(rows) == 10  # five each of two findings; Hernia has none
    row = rows.iloc[0]
    told = f"(p {row['p_target']:.2f} ≥ {row['threshold']:.2g})"
    assert panels[0].get_title() == f"{row['target']}:\npredicted 1, truth 1\n{told}"
    assert panels[0].get_xlabel() == row["image"]
    assert len(panels[0].collections) == 1  # the outline of the evidence
    assert not panels[1].collections
    assert "blue" not in figure.get_suptitle()
    legible(figure)


def test_many_findings_are_several_pages():
    rows = pd.DataFrame({"image": "a", "target": [f"f{i}" for i in range(6)], "p_target": 0.9})
    rows["threshold"] = 0.5
    pages = list(
        gallery.true_positives(rows, np.zeros((6, 8, 8, 1)), np.ones((6, 8, 8)), {}, "toy")
    )
    assert [(name, sum(ax.axison for ax in page.axes)) for name, page in pages] == [
        ("true_positives", 4),
        ("true_positives_2", 2),
    ]


def test_failures_show_the_image_and_where_the_model_looked(legible):
    rows = choice.failures(explained(predictions()))
    images = np.zeros((len(rows), 16, 16, 1), "uint8")
    maps = np.random.default_rng(0).random((len(rows), 16, 16)) - 0.5
    _, figure = next(gallery.failures(rows, images, maps, "toy", 99))
    shown = min(len(rows), 15)
    assert sum(ax.axison for ax in figure.axes) == 2 * shown
    row = rows.iloc[0]
    told = f"{row['target']}\ntruth {row['label_' + row['target']]:g}\nmodel {row['p_target']:.2f}"
    assert figure.axes[0].get_title() == told
    assert figure.axes[1].get_title().startswith("map of\n")
    assert f"failures 1 to {shown} of 99, the worst first" in figure.get_suptitle()
    assert "blue: against it" in figure.get_suptitle()
    legible(figure)


def test_failures_of_one_label_name_truth_and_prediction():
    rows = pd.DataFrame({"image": ["a"], "label": "NORMAL", "predicted": "PNEUMONIA"})
    rows = rows.assign(target="PNEUMONIA", p_target=0.8, error=0.8)
    ((_, figure),) = gallery.failures(rows, np.zeros((1, 8, 8, 1)), np.ones((1, 8, 8)), "toy", 1)
    assert figure.axes[0].get_title() == "true: NORMAL\nmodel: PNEUMONIA\np(true) = 0.20"
