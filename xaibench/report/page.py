"""One self-contained HTML page of a finished run: tables, figures, and what made them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from xaibench.atomic import replacing
from xaibench.errors import UserError
from xaibench.leaderboard import KEYS, merge, of_model_alone, summarise
from xaibench.tables import Table


def write_page(folder: Path) -> Path:
    """Write ``report.html`` from a run's files; everything in it is escaped, no file is linked.

    Raises:
        UserError: the folder is not that of a run.
    """
    manifest_file = folder / "manifest.json"
    if not manifest_file.is_file():
        raise UserError(f"{folder} holds no manifest.json; give the folder of a finished run")
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    manifest.pop("status", None)  # the page is made while the run is still about to finish
    scores = merge([folder])
    summary, alone = summarise(scores), of_model_alone(scores)
    tables = [Table(part, alone, "Leaderboard") for _, part in summary.groupby(KEYS, sort=False)]
    figures = {p.stem: _embedded(p) for p in sorted((folder / "figures").glob("*.png"))}
    pages = Environment(
        loader=PackageLoader("xaibench.report", "."), autoescape=True, undefined=StrictUndefined
    )
    text = pages.get_template("page.html").render(
        manifest=manifest,
        tables=tables,
        cell=_cell,
        figures=figures,
        config=(folder / "config.yaml").read_text(encoding="utf-8"),
        manifest_text=json.dumps(manifest, indent=2),
    )
    with replacing(folder / "report.html") as file:
        file.write_text(text, encoding="utf-8")
    return folder / "report.html"


def _cell(table: Table, explainer: str, metric: str) -> Markup:
    text = table.cell(explainer, metric, "**{}**", "°")
    bold = text.startswith("**")
    safe = escape(text.replace("**", ""))
    return Markup("<b>{}</b>").format(safe) if bold else Markup(safe)


def _embedded(image: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(image.read_bytes()).decode()
