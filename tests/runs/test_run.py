"""Whole runs of a small config: all files, the same bytes for the same seed, nothing done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text

from xaibench.config.reading import load_config
from xaibench.errors import UserError
from xaibench.figures import base, draw
from xaibench.leaderboards import cost
from xaibench.leaderboards.board import leaderboard
from xaibench.phantoms.pcam import PcamPhantoms
from xaibench.progress import LineProgress, Progress, SilentProgress
from xaibench.runs import cells
from xaibench.runs import story as module
from xaibench.runs.scoring import Scorer
from xaibench.segmentation.segmenter import Segmenter
from xaibench.segmentation.slic import Slic
from xaibench.store.cells import Cell
from xaibench.store.run_folder import RunFolder

TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"
SIZES = {"train": 24, "valid": 12, "test": 12}
CELLS = "cells/[!.]*/[!_]*"  # without those of the images themselves
QUIET = SilentProgress()
TABLES = ("scores.parquet", "curves.parquet", "predictions.parquet")
TOLD = (*TABLES, "ledger.csv")

NET = '''
from dataclasses import dataclass

from torch import nn

from xaibench.models.base import Classifier, Model
from xaibench.registry import register


@register("model")
@dataclass(frozen=True)
class SmallNet(Model):
    """Two convolutions."""

    pooled: bool = True

    def build(self, *, task, classes, channels, size):
        net = nn.Sequential()
        net.add_module("first", nn.Conv2d(channels, 8, 7, 4, 3))
        net.add_module("relu", nn.ReLU())
        net.add_module("last", nn.Conv2d(8, 8, 3, 2, 1))
        pool = nn.AdaptiveAvgPool2d if self.pooled else nn.AdaptiveMaxPool2d
        net.add_module("pool", pool(1))
        net.add_module("flat", nn.Flatten())
        net.add_module("head", nn.Linear(8, len(classes)))
        return Classifier(
            net, head="softmax", classes=classes, mean=(0.5,) * channels, std=(0.2,) * channels,
            cam_layer="last", linear_head="head", pool="pool" if self.pooled else None,
            input_shape=(channels, *size),
        )
'''
EXPLAINER = '''
from dataclasses import dataclass

from xaibench.explainers.base import Explainer
from xaibench.registry import register


@register("explainer")
@dataclass(frozen=True)
class Darkness(Explainer):
    """How dark a pixel is."""

    def attribute(self, model, batch):
        return 1 - batch.images.mean(1)
'''


class Lab:
    """A folder with data and plugins, in which configs are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plugins = []
        for name, source in {"small_net": NET, "darkness": EXPLAINER}.items():
            self.plugins.append(folder / f"{name}.py")
            self.plugins[-1].write_text(source)

    def settings(self, *more: str, seed: int = 42) -> list[str]:
        root = self.folder / "data"
        PcamPhantoms(root, **SIZES).write(QUIET, workers=1)
        counts = ", ".join(f"{name}: {size}" for name, size in SIZES.items())
        return [
            f"seed={seed}",
            f"plugins=[{', '.join(map(str, self.plugins))}]",
            f"dataset.synthetic={{root: {root}, {counts}}}",
            "model={use: small_net}",
            "training={epochs: 1, batch_size: 8}",
            "segments.n_segments=8",
            "batch_size=16",  # so small that each cell is scored alone
            "device=cpu",
            "explainers={random: , square_occlusion: {window: 48, stride: 48}, darkness: }",
            "metrics={deletion: {steps: 4}, pointing_game: , shuffled_labels: {permutations: 9}, "
            "occlusion_probe: {quadrants: false, fractions: [0.5]}}",
            *more,
        ]

    def run(self, out: str, *more: str, seed: int = 42, progress: Progress = QUIET) -> Path:
        config = load_config(TINY, self.settings(*more, seed=seed))
        with pytest.MonkeyPatch.context() as patch:  # the sources may be edited meanwhile
            patch.setattr(module, "code_version", lambda: "same")
            return module.run(config, self.folder / out, progress)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def said() -> dict[str, list[str]]:
    """Figure -> the texts in it, filled while ``whole`` runs."""
    return {}


@pytest.fixture(scope="module")
def whole(lab, said) -> Path:
    """The folder of a run that nothing disturbed, with its figures."""

    def save(figure, folder, name, formats):
        said[name] = [text.get_text() for text in figure.findobj(Text)]
        return base.save(figure, folder, name, formats)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "save", save)
        patch.setattr(base, "DPI", 40)
        return lab.run("whole")


@pytest.fixture
def quick(monkeypatch):
    """Leave figures and report out."""
    for slow in ("draw_all", "write_page"):
        monkeypatch.setattr(f"xaibench.runs.present.{slow}", lambda *_: None)


@pytest.fixture
def scored(monkeypatch):
    """The cells that were scored, in order."""
    done, score = [], Scorer.score_cells

    def note(scorer, explainers, block):
        done.extend(cell.folder for cell in explainers)
        return score(scorer, explainers, block)

    monkeypatch.setattr(Scorer, "score_cells", note)
    return done


@pytest.fixture
def stopped_after(monkeypatch, scored):
    """Ctrl-C once so many cells are scored."""

    @contextmanager
    def stop(count: int) -> Iterator[None]:
        score = Scorer.score_cells

        def interrupted(*arguments):
            if len(scored) == count:
                raise KeyboardInterrupt
            return score(*arguments)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
            patch.setattr(Scorer, "score_cells", interrupted)
            yield

    return stop


def test_a_run_makes_every_file(whole, said):
    files = {path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.png" for name in said}
    assert files == figures | {
        *("config.yaml", "manifest.json", "training_log.csv", "maps.h5", "timings.parquet"),
        "ledger.csv",
        *("validation_predictions.parquet", "checksums.json"),
        *("plugins/small_net.py", "plugins/darkness.py"),
        *("agreement.csv", "normalised.csv", "friedman.csv", "friedman_pairs.csv"),
        *("report.html", "probes.csv", "probes.md", "thresholds.csv", "roc.md"),
        *(f"leaderboard_{part}.{e}" for part in ("by_target", "strata") for e in ("csv", "md")),
        *TABLES,
        *(f"leaderboard.{ending}" for ending in ("csv", "md", "tex")),
        "leaderboard_pairs.csv",
    }
    assert {"training", "ranking", "curves", "panels", "agreement"} <= set(said)
    for name in said:
        assert matplotlib.image.imread(whole / "figures" / f"{name}.png").std() > 0


def test_scores_have_a_row_for_each_image_explainer_and_metric(whole):
    scores = pd.read_parquet(whole / "scores.parquet")
    mapped = scores.dropna(subset="explainer")
    counts = mapped.groupby(["explainer", "metric"])["image"].nunique()
    assert counts.to_dict() == {
        (explainer, metric): 4
        for explainer in ("random", "square_occlusion", "darkness")
        for metric in ("deletion", "pointing_game@evidence")
    }
    alone = scores[scores["explainer"].isna()]
    assert {"auroc", "shuffled_labels.p_value"} <= set(alone["metric"])
    probes = scores[scores["metric"].str.startswith("occlusion_probe@")]
    assert probes["explainer"].isna().all()
    assert probes["image"].notna().all()
    assert probes.groupby("metric").size().to_dict() == {
        f"occlusion_probe@{probe}": 4 for probe in ("square_0.5", "ring_0.1")
    }
    predictions = pd.read_parquet(whole / "predictions.parquet")
    assert len(predictions) == 12
    assert predictions["selected"].sum() == 4
    chosen = list(predictions.loc[predictions["selected"], "image"])
    assert mapped["image"].drop_duplicates().tolist() == chosen
    with h5py.File(whole / "maps.h5") as file:
        assert file["ids"].asstr()[:].tolist() == chosen
        assert {name: maps.shape for name, maps in file["maps"].items()} == dict.fromkeys(
            ("random", "square_occlusion", "darkness"), (4, 96, 96)
        )


def test_the_threshold_is_chosen_on_the_validation_images(whole):
    valid = pd.read_parquet(whole / "validation_predictions.parquet")
    assert len(valid) == SIZES["valid"]
    assert not set(valid["image"]) & set(pd.read_parquet(whole / "predictions.parquet")["image"])
    row = pd.read_csv(whole / "thresholds.csv").iloc[0]
    assert row["threshold_split"] == "valid"
    assert row["threshold"] in set(valid[f"p_{row['label']}"])


def test_a_run_of_the_validation_images_chooses_no_threshold_on_them(lab, quick):
    folder = lab.run("valid", "images={split: valid, count: 2}", "explainers={random: }")
    assert not (folder / "validation_predictions.parquet").exists()
    row = pd.read_csv(folder / "thresholds.csv").iloc[0]
    assert np.isnan(row["threshold"])
    assert row["threshold_reason"].startswith("split valid is the explained one")


def test_a_notebook_reads_the_leaderboard_of_the_file(whole):
    table = leaderboard(whole)
    written = pd.read_csv(whole / "leaderboard.csv")
    assert list(table) == list(written)
    assert table["mean"].tolist() == pytest.approx(written["mean"].tolist(), rel=1e-15)
    assert leaderboard(str(whole), whole).shape == table.shape  # rows that two share are kept once


def test_a_notebook_needs_no_display_of_its_own(whole, lab, monkeypatch, capsys):
    config = load_config(TINY, lab.settings())
    monkeypatch.setattr(module, "code_version", lambda: "same")
    assert module.run(config, str(lab.folder / "whole")) == whole
    assert "is finished already" in capsys.readouterr().err


def test_another_format_of_figures_is_the_same_run(whole, lab):
    told: list[str] = []
    progress = SilentProgress()
    progress.say = told.append
    assert lab.run("whole", "figures=[png, svg]", progress=progress) == whole
    assert told[1:] == [f"for its figures: xaibench figures {whole} --format svg"]


def test_superpixels_and_fill_stand_beside_the_maps(whole, lab):
    config = load_config(TINY, lab.settings())
    with h5py.File(whole / "maps.h5") as file:
        images = torch.from_numpy(file["images"][:]).permute(0, 3, 1, 2) / 255
        slic = Slic(**config.segments.model_dump())
        wanted = Segmenter().labels(images, torch.zeros(len(images), dtype=torch.int64), slic)
        assert np.array_equal(file["segments"][:], wanted.numpy())
        assert file["segments"].dtype == np.int32
        mean = file["dataset_mean"][:]
        table = pd.read_parquet(whole / "predictions.parquet")
        told = table.loc[table["selected"], "target"].tolist()
        assert file["targets"].asstr()[:].tolist() == told
    data = config.dataset.open(seed=42, cache=lab.folder, progress=QUIET)
    train = data.splits["train"]
    wanted = train.images(np.arange(len(train))).mean((0, 1, 2)) / 255
    assert mean == pytest.approx(wanted, abs=1e-6)


def test_a_metric_that_cannot_take_the_images_is_told_before_training(lab, monkeypatch):
    monkeypatch.setattr("xaibench.runs.fitting.fit", None)
    with pytest.raises(UserError, match=r"^metrics.mine: squares: 97 pixels are more than images"):
        lab.run("large", "metrics.mine={use: occlusion_probe, squares: [97]}")


def test_generated_data_are_called_so_everywhere(whole, said):
    name = "pcam_synthetic"
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["dataset"]["name"] == name
    assert manifest["dataset"]["generated"] is True
    assert set(pd.read_parquet(whole / "scores.parquet")["dataset"]) == {name}
    assert set(pd.read_csv(whole / "leaderboard.csv")["dataset"]) == {name}
    assert name in (whole / "leaderboard.md").read_text()
    assert name in (whole / "report.html").read_text()
    assert name in (whole / "leaderboard.tex").read_text().replace("\\_", "_")
    assert {figure for figure, texts in said.items() if name not in " ".join(texts)} == set()


def test_a_plugin_of_the_user_is_a_row_like_any_other(whole):
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["explainers"]["darkness"]["use"] == "darkness"
    assert manifest["model"]["use"] == "small_net"
    assert set(manifest["protocols"]) >= {"deletion", "pointing_game@evidence"}
    assert "darkness" in set(pd.read_csv(whole / "leaderboard.csv")["explainer"])


def test_the_written_config_gives_the_same_run(whole, lab):
    again = load_config(whole / "config.yaml").resolved()
    first = load_config(TINY, lab.settings()).resolved()
    for kept, own in zip(again.pop("plugins"), first.pop("plugins"), strict=True):
        assert Path(kept).parent == whole / "plugins"
        assert Path(kept).read_bytes() == Path(own).read_bytes()
    assert again == first


def test_a_finished_run_is_not_done_again(whole, lab, scored, monkeypatch, capsys):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    monkeypatch.setattr(module, "fitted_models", None)  # would raise if it were called
    assert lab.run("whole", progress=LineProgress()) == whole
    assert "is finished already; delete it to run it anew" in capsys.readouterr().err
    assert scored == []
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def untimed(run: Path) -> pd.DataFrame:
    """Return the leaderboard without what varies between equal runs: seconds, memory, and the
    share of each explainer in what scoring them together cost."""
    table = pd.read_csv(run / "leaderboard.csv")
    return table.drop(columns=["seconds", "peak_mib", *cost.SCORING])


def test_one_seed_gives_the_same_bytes_and_another_does_not(whole, lab, quick):
    again, other = lab.run("again"), lab.run("other", seed=7)
    assert (again.name, other.name == whole.name) == (whole.name, False)
    for name in (*TABLES, "config.yaml", "maps.h5"):
        assert (again / name).read_bytes() == (whole / name).read_bytes(), name
    assert untimed(again).equals(untimed(whole))
    values = [pd.read_parquet(run / "scores.parquet")["value"] for run in (whole, other)]
    assert not values[0].equals(values[1])


@pytest.mark.parametrize("done", [1, 4])
def test_an_interrupted_run_goes_on_where_it_stopped(
    whole, lab, quick, scored, stopped_after, done
):
    with stopped_after(done):
        lab.run(f"stopped_{done}")
    assert len(scored) == done
    resumed = lab.run(f"stopped_{done}")
    assert len(scored) == len(set(scored)) == 6
    assert not (resumed / "cells").exists()
    for name in (*TOLD, "maps.h5"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
    assert untimed(resumed).equals(untimed(whole))


def test_a_group_that_was_written_in_part_is_scored_whole(lab, quick, scored, monkeypatch):
    """Cells of one block, scored together: what is there already is not written again."""
    together = "batch_size=64"
    undisturbed = lab.run("together", together)
    assert len(scored) == 6
    write = RunFolder.write

    def stop(folder, cell, result):
        if cell == Cell("square_occlusion", 1):
            raise KeyboardInterrupt
        return write(folder, cell, result)

    monkeypatch.setattr(RunFolder, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        lab.run("in_part", together)
    monkeypatch.setattr(RunFolder, "write", write)
    scored.clear()
    resumed = lab.run("in_part", together)
    assert len(scored) == 3
    for name in (*TOLD, "maps.h5"):
        assert (resumed / name).read_bytes() == (undisturbed / name).read_bytes(), name


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(lab, quick, scored):
    many = ("images.count=12", "images_per_block=2")
    settings = [word for each in lab.settings(*many) for word in ("--set", each)]
    # As many threads as here: with more of them convolutions round the last bit another way.
    code = (
        f"import torch; torch.set_num_threads({torch.get_num_threads()});"
        "from xaibench import cli; from xaibench.runs import story;"
        "story.code_version = lambda: 'same'; cli.main()"
    )
    command = [sys.executable, "-c", code, "run", str(TINY), *settings]
    out = lab.folder / "killed"
    with subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and len(list(out.glob(f"tiny/*/{CELLS}"))) < 5:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    (stopped,) = out.glob("tiny/*")
    kept = {path.relative_to(stopped / "cells").as_posix() for path in stopped.glob(CELLS)}
    assert 5 <= len(kept) < 18
    resumed = lab.run("killed", *many)
    assert resumed == stopped
    assert len(scored) == 18 - len(kept)
    assert not kept & set(scored)
    undisturbed = lab.run("undisturbed", *many)
    for name in TOLD:
        assert (resumed / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_an_explainer_that_cannot_work_on_the_model_is_told_before_training(lab, monkeypatch):
    monkeypatch.setattr("xaibench.runs.fitting.fit", None)
    with pytest.raises(UserError) as caught:
        lab.run("cam", "explainers.mine={use: cam}", "model={use: small_net, pooled: false}")
    assert str(caught.value).startswith("explainers.mine: cam needs global average pooling")
    assert "use grad_cam" in str(caught.value)


def test_changed_data_are_not_mixed_with_what_was_done(lab, quick, stopped_after):
    data = lab.folder / "real"
    lab.settings()  # which generates it
    shutil.copytree(lab.folder / "data", data)
    of_files = f"dataset={{use: pcam, root: {data}}}"
    with stopped_after(1):
        lab.run("changed", of_files)
    with h5py.File(data / "camelyonpatch_level_2_split_test_x.h5", "r+") as file:
        file["x"][0, 0, 0] = 255 - file["x"][0, 0, 0]
    with pytest.raises(UserError, match=r"was begun with another dataset: .* delete the folder"):
        lab.run("changed", of_files)


def test_fewer_images_than_asked_for_are_said_to_be_so(lab, quick, capsys):
    lab.run("few", "images.count=99", "explainers={random: }", progress=LineProgress())
    said = capsys.readouterr().err
    assert "images: only 12 of the 99 asked for are there" in said
    assert "images: 1 of 1 groups" in said
    assert said.count("too few to test") == 1  # before the training, and not again


def test_too_few_groups_to_test_are_said_before_the_training(lab, monkeypatch, capsys):
    monkeypatch.setattr(module, "fitted_models", None)  # raises when it is called
    with pytest.raises(TypeError):
        lab.run("four", progress=LineProgress())
    assert "images: only 1 group: too few to test (6 are needed)" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(lab, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="device: 'cuda' is not available here; use 'auto' or"):
        lab.run("cuda", "device=cuda")


@pytest.mark.parametrize("wrong", ["images.split=tets", "target=tumor", "images.classes=[tumor]"])
def test_what_the_data_set_has_not_is_said_before_any_training(lab, quick, monkeypatch, wrong):
    monkeypatch.setattr("xaibench.runs.fitting.fit", None)
    with pytest.raises(UserError, match="did you mean"):
        lab.run("early", wrong)


def test_an_edited_plugin_makes_another_run(lab, quick):
    first = lab.run("edited")
    before = lab.plugins[1].read_text()
    lab.plugins[1].write_text(before + "\n# edited\n")
    try:
        assert lab.run("edited") != first
    finally:
        lab.plugins[1].write_text(before)


def test_a_run_without_a_metric_of_maps_is_refused(lab):
    with pytest.raises(UserError, match="name one that scores maps"):
        lab.run("none", "metrics={shuffled_labels: }")


def test_workers_and_blocks_made_ahead_change_no_byte(lab, quick, monkeypatch):
    """The way of a GPU, taken on the CPU: every table and map is that of the plain way."""
    blocks = ("images_per_block=3", "explainers={lime: {samples: 30}, superpixel_occlusion: }")
    plain = lab.run("plainly", *blocks)
    ahead = cells.made_ahead
    monkeypatch.setattr(module, "workers_beside", lambda device: 2)
    monkeypatch.setattr(cells, "made_ahead", lambda makers, _: ahead(makers, torch.device("cuda")))
    other = lab.run("ahead", *blocks)
    for name in (*TOLD, "maps.h5"):
        assert (other / name).read_bytes() == (plain / name).read_bytes(), name
    kept = {file.name: file.read_bytes() for file in (lab.folder / "plainly/cache").rglob("*.npz")}
    assert kept == {
        file.name: file.read_bytes() for file in (lab.folder / "ahead/cache").rglob("*.npz")
    }
    assert len(kept) == 2 * 4  # SLIC and quickshift of each image
