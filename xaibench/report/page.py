"""One self-contained HTML page of a finished run: tables, figures, and what made them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from xaibench.figures import choice
from xaibench.leaderboards import by_target, thresholds
from xaibench.leaderboards.board import ScoredRun
from xaibench.leaderboards.cost_columns import HEADS, SCORING_TITLE
from xaibench.leaderboards.passing import HEADS as PASSES
from xaibench.leaderboards.tables import PASSING_TITLE, Table
from xaibench.store.schema import SEED

SHEETS = {
    "ROC and thresholds": "thresholds.csv",
    "Relevance at the border and on the lungs, by the score of the target": "bands.csv",
    "Occlusion probes": "probes.csv",
    "Superpixels": "superpixels.csv",
    "Leaderboard within strata": "leaderboard_strata.csv",
    "Agreement of rankings": "agreement.csv",
    "Friedman's test": "friedman.csv",
    "Forward passes asked for, computed and shared": "ledger.csv",
}
SHOWN = {
    "leaderboard_strata.csv": [
        *("strata", "stratum", "explainer", "metric", "mean", "low", "high", "n", "n_groups"),
        *("beats_random", "untested"),
    ],
    "ledger.csv": [SEED, "explainer", "metric", "asked", "computed", "shared", "backward"],
}
"""The columns of wide files that the page shows; it shows all of the others."""


def write_page(run: ScoredRun) -> Path:
    """Write ``report.html`` from a run's files; everything in it is escaped, no file is linked."""
    folder, manifest = run.folder, dict(run.manifest)
    manifest.pop("status", None)  # the page is made while the run is still about to finish
    rows, targets = run.csv("thresholds.csv"), run.csv("leaderboard_by_target.csv")
    figures = {p.stem: _embedded(p) for p in sorted((folder / "figures").glob("*.png"))}
    pages = Environment(
        loader=PackageLoader("xaibench.report", "."), autoescape=True, undefined=StrictUndefined
    )
    pages.filters["breakable"] = _breakable
    text = pages.get_template("page.html").render(
        manifest=manifest,
        tables=run.tables,
        by_target=[] if targets is None else by_target.tables(targets, rows, run.costs),
        sheets={name: _sheet(run, file) for name, file in SHEETS.items() if run.has(file)},
        notes=[] if rows is None else thresholds.notes(rows),
        no_failure=_no_failure(run),
        cell=_cell,
        heads=HEADS,
        scoring_title=SCORING_TITLE,
        passing_title=PASSING_TITLE,
        passing_heads=[head.replace("`", "") for head in PASSES.values()],
        figures=figures,
        training_seeds=run.training_seeds,
        config=(folder / "config.yaml").read_text(encoding="utf-8"),
        manifest_text=json.dumps(manifest, indent=2),
    )
    run.write("report.html", text)
    return folder / "report.html"


def _sheet(run: ScoredRun, file: str) -> dict[str, list]:
    """Return a table's head and its rows as text."""
    rows = run.csv(file)
    rows = rows[SHOWN.get(file, list(rows.columns))]
    return {"head": list(rows.columns), "rows": rows.map(_told).to_numpy().tolist()}


def _told(value: object) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _no_failure(run: ScoredRun) -> str:
    """Return what is said where a gallery of failures is missed."""
    items = choice.explained(run)
    return "" if items is None or len(choice.failures(items)) else choice.NO_FAILURE


def _cell(table: Table, explainer: str, metric: str) -> Markup:
    cell = table.cell(explainer, metric)
    # An interval stays on one line, so that a narrow column has it below the mean.
    value = Markup("<b>{}</b>" if cell.best else "{}").format(cell.value.replace(", ", ",\u00a0"))
    letters = Markup(" <span title='tie groups'>{}</span>").format(cell.letters)
    signs = "".join(f"\u2060{sign}" for sign in cell.signs)  # never in a line of their own
    text = value + (letters if cell.letters else "") + signs
    if cell.count:
        text += f" {cell.count}"
    if cell.untested:  # a line of its own, in small
        text += Markup('<small class="why">– {}</small>').format(cell.untested)
    return text


def _breakable(name: str) -> Markup:
    """Return a name that may go on in the next line behind ``_``, ``@`` and ``[``."""
    safe = str(escape(name))
    return Markup("".join(f"{c}<wbr>" if c in "_@[" else c for c in safe))


def _embedded(image: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()
