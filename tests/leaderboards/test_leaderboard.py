"""The leaderboard's figures against slow, literal twins, and its tables as text."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xaibench.errors import UserError
from xaibench.leaderboards.board import make, write
from xaibench.leaderboards.latex import tex
from xaibench.leaderboards.robustness import FILES
from xaibench.leaderboards.summary import analyse, of_model_alone, summarise
from xaibench.leaderboards.tables import model_line
from xaibench.store.merging import merge

SHIFT = {"random": 0.0, "center_prior": 0.01, "grad_cam": 0.4, "lime": 0.2}
DIRECTION = {"deletion": False, "insertion": True, "iou_top@centre_weak": True}


def make_scores(images: int = 24, groups: int = 8, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "run": "r",
            "dataset": "pcam_synthetic",
            "split": "test",
            "model": "resnet18",
            "image": f"i{i:02d}",
            "group": f"g{i % groups}",
            "target": "tumour",
            "explainer": explainer,
            "control": explainer in ("random", "center_prior"),
            "metric": metric,
            "protocol": f"{metric}[fill=dataset_mean,steps=10]",
            "higher_is_better": higher,
            "value": 0.5 + (shift if higher else -shift) + rng.normal(0, 0.05),
            "status": "ok",
            "reason": None,
        }
        for metric, higher in DIRECTION.items()
        for explainer, shift in SHIFT.items()
        for i in range(images)
    ]
    return pd.DataFrame(rows)


def model_rows() -> pd.DataFrame:
    values = {
        "auroc": 0.9134,
        "shuffled_labels.mean": 0.5,
        "shuffled_labels.low": 0.4,
        "shuffled_labels.high": 0.6,
        "shuffled_labels.p_value": 0.001,
    }
    rows = pd.DataFrame({"metric": list(values), "value": list(values.values())})
    return rows.assign(
        dataset="pcam_synthetic", split="test", model="resnet18", target=None, reason=None
    )


def spoil(scores: pd.DataFrame, explainer: str, images: int, status: str, **more) -> pd.DataFrame:
    """Take the value of the first images of an explainer away, in every metric."""
    names = sorted(scores["image"].unique())[:images]
    hit = scores["explainer"].eq(explainer) & scores["image"].isin(names)
    changed = scores.copy()
    changed.loc[hit, "status"] = status
    changed.loc[hit, "value"] = more.pop("value", np.nan)
    changed.loc[hit, "reason"] = "the map holds NaN"
    return changed


def cell(summary: pd.DataFrame, explainer: str, metric: str = "deletion") -> pd.Series:
    return summary.set_index(["explainer", "metric"]).loc[(explainer, metric)]


def test_beats_random_needs_the_right_direction():
    scores = make_scores()
    summary = summarise(scores, flips=200)
    assert cell(summary, "grad_cam")["beats_random"]
    assert cell(summary, "grad_cam", "insertion")["beats_random"]
    assert not cell(summary, "center_prior")["beats_random"]
    assert pd.isna(cell(summary, "random")["beats_random"])
    worse = scores.assign(higher_is_better=~scores["higher_is_better"])
    assert not cell(summarise(worse, flips=200), "grad_cam")["beats_random"]
    none = summarise(scores.assign(higher_is_better=None), flips=200)
    assert none["beats_random"].isna().all()
    assert none["rank"].isna().all()


def test_without_random_nothing_is_tested():
    scores = make_scores()
    summary = summarise(scores[scores["explainer"] != "random"], flips=200)
    assert summary[["difference", "p"]].isna().all(axis=None)
    assert summary["beats_random"].isna().all()


def test_an_explainer_equal_to_random_has_p_of_one():
    scores = make_scores()
    twin = scores[scores["explainer"] == "random"].assign(explainer="twin", control=False)
    row = cell(summarise(pd.concat([scores, twin]), flips=200), "twin")
    assert (row["difference"], row["p"], row["beats_random"]) == (0, 1, False)


def test_ranks_share_ties():
    scores = make_scores()
    twin = scores[scores["explainer"] == "grad_cam"].assign(explainer="twin")
    summary = summarise(pd.concat([scores, twin]), flips=10)
    assert cell(summary, "grad_cam")["rank"] == cell(summary, "twin")["rank"] == 1.5
    assert cell(summary, "lime")["rank"] == 3


def test_missing_values_are_told_not_filled():
    scores = spoil(make_scores(), "lime", 3, "nan")
    row = cell(summarise(scores, flips=50), "lime")
    kept = scores.query("explainer == 'lime' and metric == 'deletion'")["value"].dropna()
    assert row["mean"] == pytest.approx(kept.mean())
    assert (row["n"], row["rows"], row["failed"]) == (21, 24, 3 / 24)
    assert row["difference_n"] == 21
    assert row["reason"] == "the map holds NaN"


def test_undefined_is_no_failure_and_constant_has_a_value():
    scores = spoil(make_scores(), "lime", 6, "undefined")
    scores = spoil(scores, "grad_cam", 6, "constant", value=0.5)
    summary = summarise(scores, flips=50)
    lime, grad_cam = cell(summary, "lime"), cell(summary, "grad_cam")
    assert (lime["n"], lime["undefined"], lime["failed"]) == (18, 6, 0)
    assert (grad_cam["n"], grad_cam["constant"], grad_cam["failed"]) == (24, 0.25, 0)


def test_a_failed_row_counts_even_if_a_number_stands_in_it():
    row = cell(summarise(spoil(make_scores(), "lime", 4, "failed", value=0.9), flips=200), "lime")
    assert (row["n"], row["failed"]) == (20, 4 / 24)


@pytest.mark.parametrize("groups", [1, 4, 5])
def test_too_few_groups_are_neither_tested_nor_marked(tmp_path, groups):
    analysis = analyse(make_scores(groups=groups), flips=20)
    summary = analysis.summary
    assert summary[["low", "high", "p", "rank_low", "rank_high"]].isna().all(axis=None)
    assert summary[["beats_random", "beats_edge"]].isna().all(axis=None)
    assert not summary["best"].any()
    assert (summary["letters"] == "").all()
    why = f"too few groups to test ({groups}; 6 are needed)"
    assert set(summary.loc[summary["explainer"] != "random", "untested"]) == {why}
    write(analysis, model_rows(), tmp_path)
    text = (tmp_path / "leaderboard.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `grad_cam`")]
    assert re.fullmatch(
        r"\| `grad_cam` (\| 0\.\d{3} \[–\] – " + re.escape(why) + r" ){3}\|", rows[0]
    )
    assert "**" not in text
    assert not {"°", "†", "‡"} & set(text)
    assert f"Nothing is marked: {why}" in text


def test_six_groups_are_tested():
    row = cell(summarise(make_scores(groups=6)), "grad_cam")
    assert row["p"] == pytest.approx(2 / 2**6)
    assert row["beats_random"]


def test_groups_may_be_missing():
    scores = make_scores().assign(group=None)
    assert cell(summarise(scores, flips=10), "lime")["groups"] == 24


def test_scores_without_explainers_are_refused():
    scores = make_scores().assign(explainer=None)
    with pytest.raises(UserError, match="no row with an explainer"):
        summarise(scores, flips=200)


# ------------------------------------------------------------------------------- merge


def folder_of(scores: pd.DataFrame, path: Path) -> Path:
    path.mkdir()
    scores.to_parquet(path / "scores.parquet")
    return path


def test_merge_keeps_shared_rows_once(tmp_path):
    scores = make_scores()
    most = scores[scores["explainer"] != "lime"]
    few = scores[scores["explainer"].isin(["lime", "random"])]
    merged = merge([folder_of(most, tmp_path / "a"), folder_of(few, tmp_path / "b")])
    assert len(merged) == len(scores)
    assert set(merged.columns) == {*scores.columns, "training_seed"}
    assert merged["training_seed"].isna().all()  # these runs do not tell it


def test_merge_refuses_two_protocols(tmp_path):
    scores = make_scores()
    other = scores.assign(protocol=scores["protocol"].str.replace("10", "20"), model="vit")
    folders = [folder_of(scores, tmp_path / "a"), folder_of(other, tmp_path / "b")]
    with pytest.raises(UserError) as error:
        merge(folders)
    for part in ("deletion[fill=dataset_mean,steps=10]", "steps=20]", *map(str, folders)):
        assert part in str(error.value)


def test_merge_refuses_two_splits(tmp_path):
    scores = make_scores()
    folders = [folder_of(scores, tmp_path / "a")]
    folders.append(folder_of(scores.assign(split="valid", model="vit"), tmp_path / "b"))
    with pytest.raises(UserError, match=r"split test in .*a and valid in .*b"):
        merge(folders)


@pytest.mark.parametrize("value", [0.1, np.nan])
def test_merge_refuses_two_values_for_one_cell(tmp_path, value):
    scores = make_scores()
    other = scores.copy()
    other.loc[3, "value"] = value
    folders = [folder_of(scores, tmp_path / "a"), folder_of(other, tmp_path / "b")]
    with pytest.raises(UserError, match=r"a and .*b give different values of 'deletion'.*i03"):
        merge(folders)


def test_merge_asks_for_a_finished_run(tmp_path):
    with pytest.raises(UserError, match=r"no scores\.parquet; give the folder of a finished run"):
        merge([tmp_path])


# ------------------------------------------------------------------------------- tables


@pytest.fixture
def written(tmp_path) -> Path:
    scores = spoil(make_scores(), "lime", 3, "nan")
    gone = scores["explainer"].eq("grad_cam") & scores["metric"].eq("insertion")
    scores.loc[gone, ["status", "value", "reason"]] = ["failed", np.nan, "50 % & a_b | {x}"]
    scores = spoil(scores, "random", 0, "ok")
    write(analyse(scores, flips=200), model_rows(), tmp_path, "Board")
    return tmp_path


def test_markdown_tells_everything(written):
    text = (written / "leaderboard.md").read_text()
    heading = text.splitlines()[0]
    assert (
        "pcam_synthetic (generated), model resnet18, split test, 24 images in 8 groups" in heading
    )
    assert "deletion ↓ | insertion ↑ | iou_top@centre_weak ↑ (weak mask)" in text
    scored, passed = text.split("What each row passes")
    rows = [line for line in scored.splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    names = [row.split("|")[1].strip() for row in rows[2:]]
    controls = ["`random` (control)", "`center_prior` (control)"]
    assert names == ["`grad_cam`", "`lime`", "—", *controls]
    assert re.search(r"`grad_cam` \| \*\*0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]\*\* a \|", text)
    assert r"– (50 % & a_b \| {x})" in text
    assert text.count("n=21/24") == 3
    assert re.search(r"`center_prior` \(control\) \| [^|]*\] c° \|", text)
    assert "- weak mask: a prior" in text
    assert "| `grad_cam` | 2/2 | – | – | – |  |" in passed
    words = "passes none: nothing here tells it from a control"
    assert f"| `center_prior` (control) | 0/3 | – | – | – | {words} |" in passed
    assert "controls that this table lacks: `edge`" in passed
    assert "largest |t| of all 15 comparisons of this table" in passed
    assert "`deletion`: `deletion[fill=dataset_mean,steps=10]`" in text
    assert "Model alone: auroc 0.913; shuffled_labels 0.500 [0.400, 0.600] p=0.001." in text


def test_undefined_images_are_in_a_note(tmp_path):
    scores = make_scores()
    for explainer in SHIFT:
        scores = spoil(scores, explainer, 4, "undefined")
    write(analyse(scores, flips=20), model_rows(), tmp_path)
    text = (tmp_path / "leaderboard.md").read_text()
    assert "`deletion`, `insertion`, `iou_top@centre_weak`: defined on 20 of 24 images" in text
    assert "n=20/" not in text


def test_latex_is_balanced_and_escaped(written):
    text = (written / "leaderboard.tex").read_text()
    begun = re.findall(r"\\begin\{(\w+)\}", text)
    assert sorted(begun) == sorted(re.findall(r"\\end\{(\w+)\}", text))
    assert begun.count("table") == 2  # what each row passes stands apart
    bare = text.replace(r"\{", "").replace(r"\}", "")
    depth = np.cumsum([(c == "{") - (c == "}") for c in bare])
    assert depth[-1] == 0
    assert depth.min() == 0
    assert not re.search(r"(?<!\\)[_#]", text)
    assert text.count("%") - text.count(r"\%") == 1  # the comment that names booktabs
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"$\downarrow$", r"$\uparrow$"):
        assert rule in text
    scored = text.split(r"\end{table}")[0]
    for row in (line for line in scored.splitlines() if line.endswith(r" \\")):
        assert len(re.findall(r"(?<!\\)&", row)) == 3
    assert r"50 \% \& a\_b \textbar{} \{x\}" in text
    assert r"\textbf{0." in text
    assert r"$^{\circ}$" in text
    assert text.isascii()


def test_tex_escapes():
    assert tex(r"a\b~c^<d>") == r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}" + (
        r"\textless{}d\textgreater{}"
    )
    assert tex("-0.123 [`x_y`]") == r"$-$0.123 [\texttt{x\_y}]"


def test_output_is_deterministic(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(analyse(make_scores(), flips=50), model_rows(), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert len(list((tmp_path / "a").iterdir())) == 4


def test_an_image_may_be_explained_for_several_targets(tmp_path):
    more = make_scores(seed=1).assign(target="normal")
    analysis = analyse(pd.concat([make_scores(), more]), flips=50)
    row = cell(analysis.summary, "lime")
    assert (row["n"], row["rows"], row["images"], row["n_groups"]) == (48, 48, 24, 8)
    assert (
        "48 maps of 24 images in 8 groups"
        in (write(analysis, model_rows(), tmp_path)["leaderboard.md"])
    )


def test_make_writes_beside_one_run_and_elsewhere_when_told(tmp_path):
    scores = make_scores()
    lime = scores["explainer"] == "lime"
    one = folder_of(scores[~lime], tmp_path / "a")
    two = folder_of(scores[lime], tmp_path / "b")
    assert make(one) == (one / "leaderboard.md").read_text()
    both = make(one, two)
    assert "`lime`" in both
    assert not (two / "leaderboard.md").exists()
    assert make(one, two, out=tmp_path / "new") == both
    assert len(list((tmp_path / "new").iterdir())) == 4 + len(FILES)


def test_two_models_are_two_tables(tmp_path):
    scores = pd.concat([make_scores(), make_scores(seed=1).assign(model="vit")])
    analysis = analyse(scores, flips=20)
    write(analysis, model_rows(), tmp_path)
    text = (tmp_path / "leaderboard.md").read_text()
    assert [line.split("model ")[1][:3] for line in text.splitlines() if "## " in line] == [
        "res",
        "vit",
    ]
    assert "Model alone: no metric." in text
    assert (tmp_path / "leaderboard.tex").read_text().count(r"\begin{table}") == 4
    assert len(pd.read_csv(tmp_path / "leaderboard.csv")) == len(analysis.summary) == 24


def test_model_line_gives_the_reason_of_a_missing_figure():
    rows = pd.DataFrame([{"metric": "auroc", "value": np.nan, "reason": "one class only"}])
    assert model_line(rows) == "auroc – (one class only)"
    scores = pd.concat([make_scores(), model_rows()])
    assert len(of_model_alone(scores)) == 5


def test_nothing_here_imports_torch():
    rooms = "xaibench.leaderboards.summary, xaibench.figures.draw"
    code = f"import sys, {rooms}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
