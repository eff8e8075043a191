"""The figure of a training: its lines, its best row, and that it can be read in a column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xaibench.figures import training
from xaibench.figures.base import COLUMN
from xaibench.leaderboards.board import ScoredRun


def _legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _long_log(rows: int = 50) -> pd.DataFrame:
    """A log by steps, with everything that training writes but for the mean absolute error."""
    t = np.linspace(0, 1, rows)
    log = {"epoch": 1 + np.arange(rows) // 16, "step": 100 * np.arange(1, rows + 1)}
    for part, gap in (("train", 0.0), ("valid", 0.05)):
        log |= {
            f"{part}_loss": 0.6 - 0.3 * t + gap,
            f"{part}_accuracy": 0.6 + 0.3 * t - gap,
            f"{part}_auroc": 0.5 + 0.4 * t - gap,
            f"{part}_mae": np.full(rows, np.nan),
        }
    return pd.DataFrame(log)


def test_losses_above_and_the_rest_below_against_the_step(training_log, legible):
    figure = training.draw(training_log, "pcam_synthetic (generated)")
    above, below = figure.axes
    assert figure.get_figwidth() == COLUMN
    losses = ["loss, validation", "loss, training"]
    assert _legend(figure) == [*losses, "accuracy, validation", "AUROC, validation", "best"]
    assert above.lines[0].get_xdata().tolist() == [100, 200, 300, 400]
    assert (above.get_ylabel(), below.get_ylabel()) == ("loss", "accuracy, AUROC")
    assert below.get_xlabel() == "step"
    assert figure.get_suptitle().replace("\n", " ") == (
        "pcam_synthetic (generated): training, best step 200 (epoch 2) by validation accuracy"
    )
    legible(figure)


@pytest.mark.parametrize(
    ("monitor", "step", "value", "panel"),
    [("accuracy", 200, 0.8, 1), ("auroc", 400, 0.9, 1), ("loss", 300, 0.45, 0)],
)
def test_the_first_best_row_has_the_star(training_log, monitor, step, value, panel):
    assert training.best_row(training_log, monitor)["step"] == step
    axes = training.draw(training_log, "pcam", monitor).axes
    stars = [[line for line in ax.lines if line.get_marker() == "*"] for ax in axes]
    assert [len(found) for found in stars] == [1 - panel, panel]
    star = stars[panel][0]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (step, value)
    for ax in axes:
        assert any(line.get_ls() == ":" and set(line.get_xdata()) == {step} for line in ax.lines)


def test_a_long_log_has_a_marker_at_some_of_its_rows(legible):
    figure = training.draw(_long_log(), "nih_chestxray14 (generated)", "auroc")
    below = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 50]
    assert [line.get_ls() for line in below] == ["-", "--", "-", "--"]
    assert {line.get_markevery() for line in below} == {4}
    assert "mean absolute error" not in figure.axes[1].get_ylabel()
    legible(figure)


def test_a_regression_shows_its_absolute_error(legible):
    log = _long_log(5).assign(valid_mae=0.2, train_mae=0.1)
    empty = [c for c in log if c.endswith(("accuracy", "auroc"))]
    figure = training.draw(log.assign(**dict.fromkeys(empty, np.nan)), "chexpert", "loss")
    assert figure.axes[1].get_ylabel() == "mean absolute error"
    assert "by validation loss" in figure.get_suptitle().replace("\n", " ")
    legible(figure)


def test_models_of_several_labels_have_a_line_each(legible):
    labels = [f"finding {n}" for n in range(14)]
    logs = [_long_log(6).assign(label=name) for name in labels]
    logs[3].loc[2, "valid_auroc"] = 0.99
    figure = training.draw(pd.concat(logs, ignore_index=True), "chexpert", "auroc")
    assert _legend(figure) == labels
    stars = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in stars] == [300 if n == 3 else 600 for n in range(14)]
    assert "one model a label" in figure.get_suptitle().replace("\n", " ")
    legible(figure)


def test_an_empty_log_has_no_figure(training_log, finished_run):
    run = ScoredRun(finished_run)
    assert [name for name, _ in training.of_run(run)] == ["training"]
    training_log.iloc[:0].to_csv(finished_run / "training_log.csv")
    assert list(training.of_run(run)) == []


def test_an_empty_column_is_left_out(training_log, legible):
    log = training_log.assign(valid_auroc=np.nan, valid_accuracy=np.nan).head(1)
    figure = training.draw(log, "pcam")
    assert figure.axes[1].get_ylabel() == ""
    assert _legend(figure) == ["loss, validation", "loss, training"]
    assert "best" not in figure.get_suptitle()
    legible(figure)


def test_models_of_several_training_seeds_have_a_line_each(legible):
    logs = [_long_log(6).assign(training_seed=seed) for seed in (8, 0, 3)]
    logs[1].loc[2, "valid_auroc"] = 0.99
    figure = training.draw(pd.concat(logs, ignore_index=True), "pcam", "auroc")
    assert _legend(figure) == ["training seed 8", "training seed 0", "training seed 3"]
    stars = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in stars] == [600, 300, 600]
    assert "one model a training seed" in figure.get_suptitle().replace("\n", " ")
    legible(figure)


def test_of_labels_and_training_seeds_the_first_seed_is_drawn(legible):
    logs = [
        _long_log(6).assign(training_seed=seed, label=label)
        for seed in (8, 0)
        for label in ("x", "y")
    ]
    figure = training.draw(pd.concat(logs, ignore_index=True), "chexpert", "auroc")
    assert _legend(figure) == ["x", "y"]
    told = figure.get_suptitle().replace("\n", " ")
    assert "training seed 8, one model a label" in told
    legible(figure)


def test_the_log_of_one_training_seed_is_drawn_as_ever(training_log, legible):
    one = training.draw(training_log.assign(training_seed=8), "pcam")
    assert one.get_suptitle() == training.draw(training_log, "pcam").get_suptitle()
    assert "training seed" not in one.get_suptitle()
