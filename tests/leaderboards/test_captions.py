"""What is said beside a table: how it was made, what was tested, what its signs mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xaibench.leaderboards import captions
from xaibench.leaderboards.passing import NONE, passing
from xaibench.leaderboards.summary import analyse
from xaibench.leaderboards.tables import Table

LIKE = "weight_randomisation@ssim"


def scores(groups: int = 9, seeds=(0,), **values: dict[str, float]) -> pd.DataFrame:
    """Return rows of two images a group: explainer -> metric -> value, a little apart."""
    return pd.DataFrame(
        {
            "dataset": "toy_synthetic", "split": "test", "model": "net", "image": f"i{i}",
            "group": f"g{i // 2}", "target": "t", "training_seed": seed, "explainer": explainer,
            "control": explainer in ("random", "edge"), "metric": metric,
            "protocol": f"{metric}[]", "higher_is_better": None if "control" in metric else False,
            "value": value + 0.001 * ((i + len(explainer) + seed) % 7), "status": "ok",
            "reason": None, "bound_low": 0.0, "bound_high": 1.0,
        }
        for explainer, of_metric in values.items()
        for metric, value in of_metric.items()
        for seed in seeds
        for i in range(2 * groups)
    )  # fmt: skip


def said(rows: pd.DataFrame) -> str:
    return " ".join(captions.sentences(analyse(rows, flips=200).summary))


def test_data_images_groups_and_models_are_told():
    summary = analyse(scores(seeds=(0, 1, 2), random={"deletion": 0.5})).summary
    told = captions.about(summary.iloc[0])
    assert told == (
        "data set toy_synthetic (generated), model net, split test, "
        "18 images in 9 groups, 3 trained models"
    )


def test_interval_test_and_correction_are_told():
    text = said(scores(random={"deletion": 0.5}, edge={"deletion": 0.4}, lime={"deletion": 0.3}))
    assert "mean [95% interval over groups (patients or slides), cluster-robust" in text
    assert "largest |t| of all 3 comparisons of this table" in text
    assert "the chance of any false mark in it is at most 5%" in text
    assert "Bold: the best explainer that is no control" in text
    # Every sign that stands in the table is told, and no other; only the control itself loses here.
    assert "‡" not in text
    assert "°" not in text


@pytest.mark.parametrize(
    ("lime", "sign"),
    [({"deletion": 0.6}, "° not better than `random`"), ({"deletion": 0.45}, "† not better")],
)
def test_a_sign_in_the_table_is_told(lime, sign):
    text = said(scores(random={"deletion": 0.5}, edge={"deletion": 0.4}, lime=lime))
    assert sign in text


@pytest.mark.parametrize(("letters", "shown"), [("abcdefgh", True), ("abcdefgyz1", False)])
def test_letters_that_nobody_can_read_are_left_out_and_said_to_be(letters, shown):
    rows = scores(
        random={"deletion": 0.5, "road": 0.5}, edge={"deletion": 0.4, "road": 0.3},
        lime={"deletion": 0.3, "road": 0.4},
    )  # fmt: skip
    summary = analyse(rows, flips=200).summary
    at = (summary["metric"] == "road") & (summary["explainer"] == "lime")
    summary.loc[at, "letters"] = letters
    needed = {} if shown else {"road": 9}  # z1 is one letter
    summary.loc[(summary["metric"] == "road") & ~at, "letters"] = "a"
    none = summary.index[(summary["metric"] == "road") & (summary["explainer"] == "random")]
    summary.loc[none, "letters"] = None  # as of an explainer without a value
    assert captions.lettered_out(summary) == needed
    text = " ".join(captions.sentences(summary))
    assert ("No letters under `road`, where 9 were needed" in text) is not shown
    table = Table(summary, rows.iloc[:0], "Board")
    assert table.cell("lime", "road").letters == (letters if shown else "")
    assert table.cell("edge", "road").letters == ("a" if shown else "")
    assert table.cell("lime", "deletion").letters != ""
    summary["letters"] = np.nan  # nothing is ranked
    assert captions.lettered_out(summary) == {}


def test_images_that_are_their_own_groups_are_said_to_be_so():
    rows = scores(random={"deletion": 0.5}, lime={"deletion": 0.3})
    assert "a group of its own" not in said(rows)
    assert "Each image is a group of its own" in said(rows.assign(group=None))


def test_with_several_models_tests_are_about_these():
    rows = scores(seeds=(0, 1), random={"deletion": 0.5}, lime={"deletion": 0.3})
    text = said(rows)
    assert "and over the 2 trained models" in text
    assert "Tests (about these trained models)" in text
    assert "⇄" not in text
    other = rows[rows["explainer"] == "lime"].assign(explainer="cam", value=0.31)
    hit = (rows["training_seed"] == 1) & (rows["explainer"] == "lime")
    rows.loc[hit, "value"] += 0.05
    turned = said(pd.concat([rows, other]))
    assert "⇄ in a head: the best explainer is not the same in every training seed" in turned
    assert "⇄ a difference beyond chance has the other sign in some training seed" in turned


def test_without_a_comparison_nothing_is_claimed():
    text = said(scores(lime={"deletion": 0.3}))
    assert text.endswith("Nothing is marked: there is nothing to compare")


def test_what_each_row_passes_is_counted_and_put_in_words():
    found = scores(
        random={"deletion": 0.5, LIKE: 0.9, f"{LIKE}_control": 0.1},
        edge={"deletion": 0.4, LIKE: 0.99, f"{LIKE}_control": 0.1},
        lime={"deletion": 0.3, LIKE: 0.2, f"{LIKE}_control": 0.1},
        blind={"deletion": 0.6, LIKE: 0.9, f"{LIKE}_control": 0.1},
        half={"deletion": 0.3, LIKE: 0.9, f"{LIKE}_control": 0.1},
    )
    table = passing(analyse(found, flips=200).summary).set_index("explainer")
    kinds = ["beats_random", "beats_edge", "weights", "labels", "words"]
    assert table.loc["lime", kinds].tolist() == ["1/1", "1/1", "1/1", "–", ""]
    assert table.loc["blind", ["beats_random", "beats_edge", "weights"]].tolist() == ["0/1"] * 3
    assert table.loc["blind", "words"] == NONE
    assert table.loc["half", "words"] == "not shown to depend on the weights"


def test_notes_tell_missing_controls_and_rates():
    rows = scores(random={"deletion": 0.5}, lime={"deletion": 0.3})
    rows.loc[(rows["explainer"] == "lime") & (rows["image"] == "i3"), "status"] = "nan"
    rows.loc[(rows["explainer"] == "lime") & (rows["image"] == "i4"), "status"] = "constant"
    notes = captions.notes(analyse(rows, flips=200).summary)
    assert "controls that this table lacks: `center_prior`, `edge`" in notes
    assert "maps that are not finite of `lime`: 5.6%" in notes
    assert "constant maps of `lime`: 5.6%" in notes
