"""The report: whole in one file, escaped, honest about generated data."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

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
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# Told by the page itself, from inside a frame, which can be narrower than any window.
MEASURE = """<script>
  document.querySelectorAll("details").forEach(each => each.open = true);
  const scrolls = [...document.querySelectorAll(".scroll")];
  const cut = scrolls.filter(each => {
    each.scrollLeft = each.scrollWidth;
    const cells = [...each.querySelectorAll("tr:first-child > *")];
    const box = each.getBoundingClientRect();
    return box.right > innerWidth || cells.at(-1).getBoundingClientRect().right > box.right + 1
      || Math.abs(cells[0].getBoundingClientRect().left - box.left) > 1;
  });
  setTimeout(() => parent.postMessage({
    inner: innerWidth, page: document.documentElement.scrollWidth, tables: scrolls.length,
    cut: cut.length, wide: scrolls.filter(each => each.scrollWidth > each.clientWidth).length,
    hints: [...document.querySelectorAll(".hint")].filter(each => each.offsetHeight).length,
  }, "*"), 100);
</script>"""


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


def test_says_what_passes_ran_through(folder):
    assert "Passes ran" not in write_page(ScoredRun(folder)).read_text()
    file = folder / "manifest.json"
    told = {"backend": "openvino", "version": "openvino 9.9", "speedup": 2.31,
            "largest_difference_of_probability": 1.2e-6}  # fmt: skip
    file.write_text(json.dumps(json.loads(file.read_text()) | {"engine": told}))
    text = write_page(ScoredRun(folder)).read_text()
    assert "Passes ran through openvino 9.9, 2.31 × as fast as eager PyTorch" in text
    assert "difference of a probability is 1e-06" in text


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


# ------------------------------------------------------------------------------- width


def wide(folder: Path, metrics: int = 14) -> Path:
    """Give a run many metrics with long names, several targets, and a table of long reasons."""
    rows = pd.read_parquet(folder / "scores.parquet")
    rows["group"] = rows["image"]  # enough of them for intervals and letters
    names = [f"a_metric_of_a_long_name_{i}@some_evidence" for i in range(metrics)]
    parts = [rows.assign(metric=name, protocol=f"{name}[x={'y' * 80}]") for name in names]
    pd.concat(parts).to_parquet(folder / "scores.parquet")
    table = {f"column_number_{i}": [0.123, 0.456] for i in range(18)}
    table["threshold_reason"] = "on split valid, all of the known labels are negative" * 2
    pd.DataFrame(table).to_csv(folder / "probes.csv", index=False)
    return write_page(ScoredRun(folder))


class _Parents(HTMLParser):
    """Notes what stands around every table."""

    def __init__(self) -> None:
        super().__init__()
        self.before: tuple[str, dict[str, str | None]] = ("", {})
        self.around: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.around.append(self.before)
        self.before = (tag, dict(attrs))


def test_every_table_scrolls_by_itself_and_can_be_focused(folder):
    text = wide(folder).read_text()
    parser = _Parents()
    parser.feed(text)
    assert len(parser.around) == text.count("<table>") == 4
    for tag, attributes in parser.around:
        assert (tag, attributes["class"]) == ("div", "scroll")
        assert (attributes["tabindex"], attributes["role"]) == ("0", "region")
        assert attributes["aria-label"]
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", style)
    assert re.search(r"td:first-child \{[^}]*position: sticky; left: 0; background", style)
    assert text.count('<p class="hint">Scroll sideways') == 4


def test_why_nothing_was_tested_is_a_line_of_its_own_and_escaped(folder):
    text = write_page(ScoredRun(folder)).read_text()
    why = '<small class="why">– too few groups to test (4; 6 are needed)</small></td>'
    assert re.search(r"\d\.\d{3} \[–\](?:</b>)?[^<]*" + re.escape(why), text)
    rows = pd.read_parquet(folder / "scores.parquet")
    good = rows["explainer"] == "good"
    rows.loc[good, ["value", "status", "reason"]] = [np.nan, "failed", f"a – {EVIL}"]
    rows.to_parquet(folder / "scores.parquet")
    assert EVIL not in write_page(ScoredRun(folder)).read_text()


def test_a_name_breaks_where_its_parts_do_and_an_interval_nowhere(folder):
    text = wide(folder).read_text()
    assert "<th>a_<wbr>metric_<wbr>of_<wbr>a_<wbr>long_<wbr>name_<wbr>0@<wbr>some_" in text
    assert re.search(r"<td>(?:<b>)?-?\d\.\d{3} \[-?\d\.\d{3},\u00a0-?\d\.\d{3}\]", text)


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine: the page is not measured")
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_off_or_wider_than_the_page(folder, width):
    page = wide(folder)
    page.write_text(page.read_text().replace("</body>", f"{MEASURE}</body>"))
    frame = folder / "frame.html"
    frame.write_text(
        f'<iframe src="{page.name}" style="border:0;width:{width}px;height:900px"></iframe>'
        "<script>onmessage = told => document.title = JSON.stringify(told.data)</script>"
    )
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/user"]
    command = [BROWSER, *options, "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(re.search(r"<title>(.*?)</title>", done.stdout)[1])
    assert found["inner"] == width
    assert found["page"] <= width
    assert (found["tables"], found["cut"]) == (4, 0)
    assert found["wide"] >= 1
    assert found["hints"] == found["wide"]
