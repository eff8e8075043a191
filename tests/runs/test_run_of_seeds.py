"""Several training seeds in one run: each seed's rows are those of a run of its own."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from heard import Heard
from matplotlib.text import Text
from test_model_per_label import CONFIG, DATA, NET
from test_run import QUIET, TABLES, Lab

from xaibench.config.reading import load_config
from xaibench.errors import UserError
from xaibench.figures import base, draw
from xaibench.leaderboards.board import leaderboard
from xaibench.runs import fitting
from xaibench.runs.scoring import Scorer
from xaibench.runs.selection import same_images, with_targets
from xaibench.runs.story import run
from xaibench.store.merging import merge

SEEDS = (3, 1, 2)  # the first is not the smallest
SEVERAL = f"training.seeds={list(SEEDS)}"
TWIN = "metrics.label_randomisation="


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """Figure -> its texts, and ``progress`` -> the lines said, filled while ``whole`` runs."""
    return {}


@pytest.fixture(scope="module")
def whole(lab, said) -> Path:
    """The folder of a run of three seeds, with its figures and its page."""

    def save(figure, folder, name, formats):
        said[name] = " ".join(" ".join(t.get_text() for t in figure.findobj(Text)).split())
        return base.save(figure, folder, name, formats)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "save", save)
        patch.setattr(base, "DPI", 40)
        progress = Heard()
        folder = lab.run("out", SEVERAL, TWIN, progress=progress)
    said["progress"] = "\n".join(progress.lines)
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Leave figures and report out."""
    for slow in ("draw_all", "write_page"):
        monkeypatch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)


def read(folder: Path, name: str, seed: int | None = None) -> pd.DataFrame:
    table = pd.read_parquet(folder / f"{name}.parquet")
    return table if seed is None else table[table["training_seed"] == seed].reset_index(drop=True)


def test_every_table_has_the_rows_of_every_seed(whole):
    for name in ("scores", "curves", "timings", "predictions", "validation_predictions"):
        table = read(whole, name)
        assert table["training_seed"].dtype == np.int64
        assert list(table["training_seed"].unique()) == list(SEEDS)
    assert (read(whole, "scores").groupby("training_seed").size() == 4 * 3 * 8 + 4 * 2 + 5).all()
    alone = read(whole, "scores").query("metric == 'auroc'")
    assert list(alone["training_seed"]) == list(SEEDS)
    predictions = read(whole, "predictions")
    assert len(predictions) == 3 * 12
    chosen = [
        list(part.loc[part["selected"], "image"])
        for _, part in predictions.groupby("training_seed")
    ]
    assert chosen[0] == chosen[1] == chosen[2]
    assert list(pd.read_csv(whole / "training_log.csv")["training_seed"]) == list(SEEDS)
    thresholds = pd.read_csv(whole / "thresholds.csv").set_index("training_seed")["auroc"]
    assert thresholds.to_dict() == pytest.approx(dict(zip(SEEDS, alone["value"], strict=True)))


def test_target_predicted_is_what_each_model_predicts(whole):
    chosen = read(whole, "predictions").query("selected")
    assert (chosen["target"] == chosen["predicted"]).all()
    scores = read(whole, "scores").dropna(subset="image")
    told = scores.drop_duplicates(["training_seed", "image"])
    keys = ["training_seed", "image", "target", "p_target"]
    pd.testing.assert_frame_equal(
        told[keys].reset_index(drop=True), chosen[keys].reset_index(drop=True)
    )
    assert told.groupby("image")["p_target"].nunique().eq(3).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_of_a_seed_are_those_of_a_run_with_that_seed_alone(
    whole, lab, quick, seed, monkeypatch
):
    trained = []
    fit = fitting.fit

    def noted(*arguments, **options):
        trained.append(fit(*arguments, **options))
        return trained[-1]

    monkeypatch.setattr(fitting, "fit", noted)
    single = lab.run("out", f"training.seeds=[{seed}]", TWIN)
    assert [each.trained_steps for each in trained] == [0, 0]  # the model's and its twin's
    for name in ("scores", "curves", "predictions"):
        drop = [column for column in ("run",) if column in read(single, name)]
        pd.testing.assert_frame_equal(
            read(whole, name, seed).drop(columns=drop),
            read(single, name).drop(columns=drop),
            check_exact=True,
        )
    of_model = json.loads((whole / "manifest.json").read_text())["model"]
    one = json.loads((single / "manifest.json").read_text())
    assert one["training_seeds"] == [seed]
    assert of_model["seeds"][str(seed)]["checkpoint"] == one["model"]["checkpoint"]
    with h5py.File(whole / "maps.h5") as file, h5py.File(single / "maps.h5") as alone:
        own = file if seed == SEEDS[0] else file[f"seeds/{seed}"]
        assert set(own["maps"]) == set(alone["maps"])
        for name, maps in alone["maps"].items():
            np.testing.assert_array_equal(own["maps"][name][:], maps[:])
        for name in ("ids", "targets", "masks/evidence"):
            assert np.array_equal(own.get(name, file[name])[:], alone[name][:])
        assert "segments" not in own or seed == SEEDS[0]


def test_a_run_with_that_seed_of_its_own_shares_the_checkpoint(whole, lab, quick):
    """The splits do not depend on the seed here, so that the run's own seed trains the same."""
    other = lab.run("out", TWIN, seed=1)
    manifest = json.loads((other / "manifest.json").read_text())
    shared = json.loads((whole / "manifest.json").read_text())["model"]["seeds"]["1"]
    assert manifest["model"]["checkpoint"] == shared["checkpoint"]
    assert manifest["training_seeds"] == [1]
    assert set(read(other, "scores")["training_seed"]) == {1}


def test_splits_drawn_by_another_seed_share_no_checkpoint(lab, quick):
    half = ("dataset.train_fraction=0.5", "training.seeds=[5]", "explainers={random: }")
    keys = set()
    for seed in (1, 2):
        folder = lab.run("drawn", *half, seed=seed)
        keys.add(json.loads((folder / "manifest.json").read_text())["model"]["checkpoint"])
    assert len(keys) == 2


def test_the_manifest_tells_every_checkpoint(whole):
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["training_seeds"] == list(SEEDS)
    assert manifest["seed"] == 42
    each = manifest["model"]["seeds"]
    assert list(each) == [str(seed) for seed in SEEDS]
    assert len({its["checkpoint"] for its in each.values()}) == 3
    assert {its["best_epoch"] for its in each.values()} == {1}
    assert manifest["model"]["checkpoint"] == each["3"]["checkpoint"]


def test_progress_says_which_seed_is_trained(said):
    lines = [line for line in said["progress"].splitlines() if line.startswith("Training seed")]
    assert lines == [f"Training seed {seed} ({at} of 3):" for at, seed in enumerate(SEEDS, 1)]


def test_pictures_show_the_first_seed_and_say_so(whole, said):
    for name in ("panels", "agreement", "roc", "probes"):
        assert "training seed 3" in said[name], name
    for name in ("curves", "cost", "probes_summary"):
        assert "3 training seeds" in said[name], name
    assert "4 images in" in said["ranking"]
    assert "3 trained models" in said["ranking"]
    assert "mean over 12 maps of 4 images by 3 training seeds" in said["curves"]
    assert "one model a training seed" in said["training"]
    assert all(f"training seed {seed}" in said["training"] for seed in SEEDS)
    page = (whole / "report.html").read_text()
    assert (
        "training seeds 3, 1, 2 (pictures of maps, galleries and ROC curves show the first" in page
    )
    markdown = (whole / "roc.md").read_text()
    assert all(f"training seed {seed}: mean AUROC" in markdown for seed in SEEDS)
    assert "training seed" in (whole / "leaderboard_by_target.md").read_text()


def test_the_leaderboard_tells_every_model_alone(whole):
    alone = read(whole, "scores").query("metric == 'auroc'")
    text = (whole / "leaderboard.md").read_text()
    for seed, value in zip(alone["training_seed"], alone["value"], strict=True):
        assert f"auroc (training seed {seed}) {value:.3f}" in text


def test_the_leaderboard_is_over_images_and_seeds(whole):
    table = leaderboard(whole)
    rows = table[table["metric"] == "deletion"].set_index("explainer")
    assert set(rows["rows"]) == {12}
    assert set(rows["images"]) == {4}
    values = read(whole, "scores").query("metric == 'deletion' and explainer == 'random'")["value"]
    assert rows.loc["random", "mean"] == pytest.approx(values.mean())


@pytest.mark.parametrize("done", [2, 9])
def test_an_interrupted_run_goes_on_with_the_seed_where_it_stopped(
    whole, lab, quick, monkeypatch, done
):
    scored, score = [], Scorer.score_cells

    def noted(scorer, cells, block):
        if len(scored) == done and not resumed:
            raise KeyboardInterrupt
        scored.extend(cell.folder for cell in cells)
        return score(scorer, cells, block)

    resumed = False
    monkeypatch.setattr(Scorer, "score_cells", noted)
    with pytest.raises(KeyboardInterrupt):
        lab.run(f"stopped_{done}", SEVERAL, TWIN)
    resumed = True
    folder = lab.run(f"stopped_{done}", SEVERAL, TWIN)
    assert len(scored) == len(set(scored)) == 18
    assert {name.split("/")[0] for name in scored} == {f"seed_{seed}" for seed in SEEDS}
    for name in (*TABLES, "maps.h5"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def test_runs_of_other_seeds_are_merged(lab, quick, whole):
    folders = [lab.run("apart", f"training.seeds=[{seed}]", TWIN) for seed in SEEDS]
    merged, one = merge(folders), merge([whole])
    # The rows about the model alone stand last in each file.
    keys = ["training_seed", "image", "explainer", "metric"]
    told = [
        table.drop(columns="run").sort_values(keys, ignore_index=True) for table in (merged, one)
    ]
    pd.testing.assert_frame_equal(*told, check_exact=True)
    assert len(merge([whole, *folders])) == len(one)
    table = leaderboard(*folders)
    assert table["mean"].tolist() == pytest.approx(leaderboard(whole)["mean"].tolist())


def test_runs_that_were_also_trained_otherwise_are_not(lab, quick):
    alone = "explainers={random: }"
    one = lab.run("longer", "training.seeds=[1]", alone)
    other = lab.run("longer", "training.seeds=[2]", "training.epochs=2", alone)
    with pytest.raises(UserError, match=r"training.epochs is 1 in .* and 2 in .*seed alone"):
        merge([one, other])
    again = lab.run("longer", "training.seeds=[1]", "training.epochs=2", alone)
    with pytest.raises(UserError, match=r"training seed 1, image .*\(training.epochs is 1 in "):
        merge([one, again])


@pytest.fixture
def squares(tmp_path) -> Path:
    for name, source in {"squares": DATA, "small_net": NET}.items():
        (tmp_path / f"{name}.py").write_text(source)
    plugins = f"{tmp_path / 'squares.py'}, {tmp_path / 'small_net.py'}"
    (tmp_path / "squares.yaml").write_text(CONFIG.replace("PLUGINS", plugins))
    return tmp_path


def test_each_label_has_a_model_of_each_seed(squares, quick):
    """Targets differ between the seeds, and with them the blocks, which are of one label."""
    words = ["target=predicted", "training.epochs=4"]
    at = squares / "squares.yaml"
    both = run(load_config(at, [*words, "training.seeds=[0, 1]"]), squares / "out", QUIET)
    assert read(both, "predictions", 0)["target"].tolist() != (
        read(both, "predictions", 1)["target"].tolist()
    )
    log = pd.read_csv(both / "training_log.csv")
    told = list(log[["training_seed", "label"]].drop_duplicates().itertuples(index=False))
    assert [tuple(row) for row in told] == [(0, "left"), (0, "right"), (1, "left"), (1, "right")]
    manifest = json.loads((both / "manifest.json").read_text())
    assert set(manifest["model"]["seeds"]["1"]["labels"]) == {"left", "right"}
    for seed in (0, 1):
        one = run(load_config(at, [*words, f"training.seeds=[{seed}]"]), squares / "out", QUIET)
        for name in ("scores", "curves", "predictions"):
            pd.testing.assert_frame_equal(
                read(both, name, seed).drop(columns="run", errors="ignore"),
                read(one, name).drop(columns="run", errors="ignore"),
                check_exact=True,
            )
        with h5py.File(both / "maps.h5") as file, h5py.File(one / "maps.h5") as alone:
            own = file if seed == 0 else file["seeds/1"]
            for name in ("ids", "targets", "masks/evidence", "maps/square_occlusion"):
                np.testing.assert_array_equal(own[name][:], alone[name][:])
    first = pd.read_csv(both / "submission.csv")
    assert first["left"].tolist() == pytest.approx(
        (2 * read(both, "predictions", 0)["p_left"].clip(0, 1) - 1).tolist()
    )


def test_the_same_images_keep_their_targets_unless_these_are_predicted():
    one = pd.DataFrame({"image": list("abc"), "predicted": ["x", "y", "x"], "label": list("xxy")})
    one, other = one.assign(p_x=0.1, p_y=0.9), one.assign(predicted="y", p_x=0.2, p_y=0.8)
    for target, wanted in {"predicted": ["y", "y"], "label": ["x", "y"], "x": ["x", "x"]}.items():
        items = with_targets(one, target, ("x", "y")).iloc[[0, 2]]
        seen = same_images(items, other, target)
        assert list(seen["image"]) == ["a", "c"]
        assert list(seen.index) == [0, 2]
        assert list(seen["target"]) == wanted
        assert list(seen["p_target"]) == [{"x": 0.2, "y": 0.8}[name] for name in wanted]


def test_of_several_labels_each_pair_of_image_and_target_stays():
    one = pd.DataFrame({"image": ["a", "b"], "predicted": "x", "label_x": [1, 0], "label_y": 1})
    one = one.assign(p_x=0.1, p_y=[0.9, 0.3])
    items = with_targets(one, "label", ("x", "y"))
    seen = same_images(items, one.assign(p_x=0.5, p_y=[0.6, 0.7]), "label")
    pairs = zip(seen["image"], seen["target"], seen["p_target"], strict=True)
    assert list(pairs) == [("a", "x", 0.5), ("a", "y", 0.6), ("b", "y", 0.7)]


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("[1, 2, 1]", r"training.*seeds names 1 twice; each seed trains one model"),
        ("[-1]", r"training.seeds.*greater than or equal to 0"),
        ("[1.5]", r"training.seeds.*valid integer"),
        ("3", r"training.seeds.*a list"),
    ],
)
def test_mistaken_seeds_are_told(lab, seeds, message):
    with pytest.raises(UserError, match=message):
        lab.run("told", f"training.seeds={seeds}")
