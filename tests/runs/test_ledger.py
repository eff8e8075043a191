"""The ledger of a run: it adds up, and sharing passes moves neither scores nor costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_run import TABLES, Lab
from torch import nn

from xaibench.leaderboards import cost
from xaibench.metrics.weight_randomisation import WeightRandomisation
from xaibench.runs import present, story
from xaibench.runs.ledger import _divided
from xaibench.runs.scoring import Scorer

EXPLAINERS = {
    "random": "{draws: 2}",
    "superpixel_occlusion": "",
    "lime": "{samples: 30, segmentation: slic, hide: dataset_mean}",
    "fewer": "{use: lime, samples: 20, segmentation: slic, hide: dataset_mean}",
    "kernel_shap": "{samples: 40}",
    "integrated_gradients": "{steps: 4}",
}
METRICS = (
    "deletion: {steps: 4}, reverse: {use: insertion, steps: 4, order: lerf, fill: dataset_mean}, "
    "cumulative_drop: , pointing_game: , weight_randomisation: {stages: 1}, "
    "occlusion_probe: {quadrants: false, fractions: [0.5]}"
)


def asked(*names: str) -> tuple[str, ...]:
    its = ", ".join(f"{name}: {EXPLAINERS[name]}" for name in names or EXPLAINERS)
    # Other backends round by the size of a batch.
    return (f"explainers={{{its}}}", f"metrics={{{METRICS}}}", "engine=eager")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for slow in ("draw_all", "write_page"):
            patch.setattr(present, slow, lambda *_: None)
        yield Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def counted() -> list[int]:
    """How many images went through the head while cells were done, filled by ``whole``."""
    return []


@pytest.fixture(scope="module")
def whole(lab, counted) -> Path:
    forward, work = nn.Linear.forward, story.explain_and_score
    others = WeightRandomisation.others

    def counting(self, x):
        counted.append(len(x))
        return forward(self, x)

    def prepared(*arguments):  # models to compare with are drawn by passes of no image of the run
        before = len(counted)
        found = others(*arguments)
        del counted[before:]
        return found

    def done(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nn.Linear, "forward", counting)
            patch.setattr(WeightRandomisation, "others", prepared)
            return work(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(story, "explain_and_score", done)
        return lab.run("whole", *asked())


def ledger(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "ledger.csv", keep_default_na=False).set_index(["explainer", "metric"])


def scores(run: Path) -> pd.DataFrame:
    table = pd.read_parquet(run / "scores.parquet").drop(columns="run")
    return table.sort_values(["image", "explainer", "metric"]).reset_index(drop=True)


def test_it_adds_up(whole, counted):
    table = ledger(whole)
    assert (table["asked"] == table["computed"] + table["shared"]).all()
    assert table["computed"].sum() == sum(counted)
    assert table["shared"].sum() > 0
    assert not table.index.duplicated().any()
    of_maps = {(e, m) for e in EXPLAINERS for m in ("", "deletion", "reverse", "cumulative_drop")}
    assert of_maps < set(table.index)
    own = table.loc[("", "")]
    assert own["asked"] >= 2 * 4  # the unmasked image and the fill, of four images
    assert own["shared"] == 0
    assert table.index[-1] == ("", "")


def test_what_was_asked_is_what_the_tables_of_costs_say(whole):
    table, rows = ledger(whole), scores(whole)
    forward = rows.drop_duplicates(["image", "explainer"]).groupby("explainer")["forward_passes"]
    for name, passes in forward.sum().items():
        assert table.loc[(name, ""), "asked"] == passes
    timings = pd.read_parquet(whole / "timings.parquet").groupby("explainer")["score_forward"].sum()
    of_metrics = table[table.index.get_level_values("metric") != ""]["asked"]
    pd.testing.assert_series_equal(
        of_metrics.groupby("explainer").sum().loc[list(EXPLAINERS)],
        timings.loc[list(EXPLAINERS)],
        check_names=False,
    )


def test_the_reverse_curve_takes_no_pass(whole):
    table = ledger(whole)
    for name in EXPLAINERS:
        deleted, reverse = table.loc[(name, "deletion")], table.loc[(name, "reverse")]
        assert reverse["asked"] == deleted["asked"] > 0
        assert reverse["computed"] == 0


def test_fewer_samples_of_the_same_are_all_known(whole):
    assert ledger(whole).loc[("fewer", "")].loc[["asked", "computed"]].tolist() == [80, 0]


def test_without_sharing_scores_and_costs_are_the_same(whole, lab):
    alone = lab.run("alone", *asked(), "share_passes=false")
    table = ledger(alone)
    assert (table["computed"] == table["asked"]).all()
    pd.testing.assert_series_equal(table["asked"], ledger(whole)["asked"])
    pd.testing.assert_frame_equal(scores(alone), scores(whole), check_exact=True)
    columns = ["explainer", *cost.PASSES, "score_forward_passes", "score_backward_passes"]
    told = [pd.read_csv(run / "leaderboard.csv")[columns] for run in (alone, whole)]
    pd.testing.assert_frame_equal(*told)


def test_the_order_of_explainers_moves_no_score(whole, lab):
    other = lab.run("reversed", *asked(*reversed(EXPLAINERS)))
    pd.testing.assert_frame_equal(scores(other), scores(whole), check_exact=True)
    pd.testing.assert_series_equal(
        ledger(other)["asked"].sort_index(), ledger(whole)["asked"].sort_index()
    )


@pytest.mark.parametrize("done", [1, 4, 8])
def test_a_stopped_run_goes_on_with_what_was_known(whole, lab, done):
    score, scored = Scorer.score_cells, []

    def stopping(*arguments):
        if len(scored) == done:
            raise KeyboardInterrupt
        scored.append(1)
        return score(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patch.setattr(Scorer, "score_cells", stopping)
        lab.run(f"stopped_{done}", *asked())
    (stopped,) = (lab.folder / f"stopped_{done}/tiny").iterdir()
    # One of the block that is not done, and none of one that is.
    assert [file.parts[-3] for file in stopped.glob("cells/**/known.npz")] == [
        f"{done // len(EXPLAINERS):05d}"
    ]
    resumed = lab.run(f"stopped_{done}", *asked())
    for name in (*TABLES, "ledger.csv", "maps.h5"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize("maps", [[1], [3, 2], [0, 0], [0, 5, 1], [7] * 9])
def test_what_is_divided_sums_up(maps):
    for passes in (0, 1, 10, 997):
        parts = _divided(passes, maps)
        assert (len(parts), sum(parts)) == (len(maps), passes)
        wanted = passes * (np.array(maps) / sum(maps) if sum(maps) else 1 / len(maps))
        assert np.abs(np.array(parts) - wanted).max() < 1
