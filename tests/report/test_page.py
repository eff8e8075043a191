"""The report: whole in one file, escaped, honest about generated data."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xaibench.errors import UserError
from xaibench.leaderboards.board import ScoredRun
from xaibench.report.page import write_page
from xaibench.store.schema import TIMINGS

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "run": "r", "dataset": "toy_synthetic", "split": "test", "model": "net",
            "image": f"i{i}", "group": f"g{i // 2}", "label": "a", "target": "a", "p_target": 0.9,
            "explainer": explainer, "params": "{}", "control": explainer == "random",
            "metric": "deletion", "protocol": "deletion[steps=1]", "higher_is_better": False,
            "value": rng.random() - (explainer == "good"), "status": "ok", "reason": None,
            "forward_passes": 1.0, "backward_passes": 0.0,
        }
        for explainer in ("good", "random") for i in range(8)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "scores.parquet")
    manifest = {
        "name": EVIL, "run": "r", "seed": 1,
        "dataset": {"name": "toy_synthetic", "generated": True},
        "model": {"use": "net", "architecture": "net", "weights_used": "none"},
        "environment": {"device": "cpu"},
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "config.yaml").write_text(f"name: '{EVIL}'\n")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "ranking.png").write_bytes(b"\x89PNG")
    return tmp_path


class _Balanced(HTMLParser):
    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_is_one_balanced_file_that_links_nothing(folder):
    text = write_page(ScoredRun(folder)).read_text()
    parser = _Balanced()
    parser.feed(text)
    assert parser.open == []
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    assert "data:image/png;base64,iVBORw==" in text


def test_escapes_what_it_is_given(folder):
    text = write_page(ScoredRun(folder)).read_text()
    assert EVIL not in text
    assert "&lt;script&gt;" in text


def test_says_that_images_are_generated_and_shows_every_explainer(folder):
    text = write_page(ScoredRun(folder)).read_text()
    assert "are generated" in text
    assert "toy_synthetic (generated)" in text
    assert "<td>good</td><td><b>" in text
    assert "random (control)" in text
    assert "deletion[steps=1]" in text


def test_a_folder_without_a_run_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="manifest"):
        write_page(ScoredRun(tmp_path))


def test_has_the_costs_of_every_explainer_or_dashes(folder):
    text = write_page(ScoredRun(folder)).read_text()
    heads = "<th>forward passes</th><th>backward passes</th><th>seconds</th><th>peak MiB</th>"
    assert text.count(heads) == 2
    assert "<td>1</td><td>0</td><td>–</td><td>–</td></tr>" in text
    row = {
        "run": "r", "explainer": "good", "block": 0, "images": 8, "device": "GPU <A>",
        "explain_seconds": 4.0, "explain_peak_bytes": 2**30, "score_seconds": 8.0,
        "score_forward": 80, "score_backward": 0, "score_peak_bytes": 2**20,
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row], schema=TIMINGS), folder / "timings.parquet")
    text = write_page(ScoredRun(folder)).read_text()
    assert "<td>1</td><td>0</td><td>0.500</td><td>1024</td></tr>" in text
    assert "<td>good</td><td>10</td><td>0</td><td>1.00</td><td>1.0</td></tr>" in text
    assert "<li>seconds and memory on GPU &lt;A&gt;</li>" in text
