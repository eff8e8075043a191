"""The leaderboard as text to read (Markdown) and to paste into a paper (LaTeX)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from xaibench.leaderboards import captions
from xaibench.leaderboards.cells import Cell
from xaibench.leaderboards.cost_columns import HEADS, SCORING_TITLE, CostColumns
from xaibench.leaderboards.latex import stacked, tex
from xaibench.leaderboards.markdown import pipes
from xaibench.leaderboards.names import arrow, as_control, control_of, is_weak, weakly
from xaibench.leaderboards.passing import HEADS as PASSES
from xaibench.leaderboards.passing import passing
from xaibench.store.schema import SEED
from xaibench.store.training_seeds import seeds_of

TEX_METRICS = 3  # columns side by side that fit a text width of 345 pt in \scriptsize
TEX_LINES = 48  # of blocks above each other on a page
TEX_COSTS = 2  # the room that the four columns of costs take, in columns of metrics
PASSING_TITLE = "What each row passes (passed/tested)"


class Table:
    """One data set and model, as Markdown and as LaTeX, from the same cells and notes.

    Args:
        costs: what ``cost.of_runs`` returns, of this data set and model; None leaves costs out.
    """

    def __init__(
        self,
        summary: pd.DataFrame,
        model_rows: pd.DataFrame,
        title: str,
        costs: pd.DataFrame | None = None,
    ) -> None:
        self.title = title
        self.costs = CostColumns(costs)
        self.first = summary.iloc[0]
        self._summary = summary
        metrics = list(summary["metric"].unique())
        chances = {control_of(metric) for metric in metrics}
        self.metrics = [metric for metric in metrics if metric not in chances]
        explainers = summary.drop_duplicates("explainer").sort_values("control", kind="stable")
        self.controls = dict(zip(explainers["explainer"], explainers["control"], strict=True))
        rows = summary.to_dict("records")
        self._rows = {(row["explainer"], row["metric"]): row for row in rows}
        self._firsts = {row["metric"]: row for row in reversed(rows)}
        self._without_letters = set(captions.lettered_out(summary))
        self.passing = passing(summary).set_index("explainer")
        self.alone = model_line(model_rows)

    def heading(self) -> str:
        return captions.about(self.first)

    def caption(self) -> str:
        """Return the caption for a paper: data, n, intervals, tests, correction, signs."""
        said = [f"{self.title}: {self.heading()}", *captions.sentences(self._summary)]
        return " ".join(f"{sentence}." for sentence in said)

    def cell(self, explainer: str, metric: str) -> Cell:
        """Return what the table says of an explainer under a metric."""
        cell = Cell.of(self._rows.get((explainer, metric)))
        return replace(cell, letters="") if metric in self._without_letters else cell

    def header(self, metric: str) -> tuple[list[str], str]:
        """Return the lines of a column's header and its direction's arrow."""
        row = self._firsts[metric]
        turns = f" {captions.TURNS}" * bool(row["top_turns"])
        return re.split("(?=@)", metric, maxsplit=1), arrow(row["higher_is_better"]) + turns

    def notes(self) -> list[str]:
        """Return what stands below the table beside its caption."""
        return captions.notes(self._summary) + self.costs.notes()

    def markdown(self) -> str:
        costs = self.costs
        heads = [*map(self._plain_head, self.metrics), *(HEADS[c] for c in costs.explaining)]
        cells = lambda explainer: [
            *(self.cell(explainer, m).text() for m in self.metrics),
            *(costs.cell(explainer, c) for c in costs.explaining),
        ]
        lines = [f"## {self.title}: {self.heading()}", "", *self._grid(heads, cells)]
        lines += ["", f"Model alone: {self.alone}.", ""]
        lines += [f"{PASSING_TITLE}:", ""]
        lines += [*self._grid([*PASSES.values(), "in words"], self.passed), ""]
        if costs.scoring:
            cells = lambda explainer: [costs.cell(explainer, c) for c in costs.scoring]
            heads = [HEADS[c] for c in costs.scoring]
            lines += [f"{SCORING_TITLE}:", "", *self._grid(heads, cells), ""]
        said = [*captions.sentences(self._summary), *self.notes()]
        return "\n".join([*lines, *(f"- {n}" for n in said)])

    def passed(self, explainer: str) -> list[str]:
        """Return what an explainer passes, a cell for each kind of test, and in words."""
        return list(self.passing.loc[explainer, [*PASSES, "words"]])

    def _grid(self, heads: Sequence[str], cells: Callable[[str], Sequence[str]]) -> list[str]:
        """Return the lines of a Markdown table: one row an explainer, ``cells`` behind its name."""
        safe = lambda text: text.replace("|", "\\|").replace("\n", " ")
        lines = [pipes(map(safe, ["explainer", *heads])), pipes([":--", *["--:"] * len(heads)])]
        for explainer, ruled in self._ordered():
            if ruled:
                lines.append(pipes(["—"] * (1 + len(heads))))
            name = as_control(f"`{explainer}`", self.controls[explainer])
            lines.append(pipes(map(safe, [name, *cells(explainer)])))
        return lines

    def latex(self) -> str:
        """Return a float of the scores with the costs of the maps, and one of what scoring cost."""
        blocks = [
            self.metrics[at : at + TEX_METRICS] for at in range(0, len(self.metrics), TEX_METRICS)
        ]
        costs = self.costs.explaining
        room = costs and not self.costs.several and len(blocks[-1]) <= TEX_METRICS - TEX_COSTS
        columns = [(block, []) for block in (blocks[:-1] if room else blocks)]
        if costs:
            columns.append((blocks[-1] if room else [], costs))
        parts = [[]]
        for block in columns:
            # As many above each other as a page holds; an untested cell takes three lines.
            if parts[-1] and sum(self._lines(b[0]) for b in [*parts[-1], block]) > TEX_LINES:
                parts.append([])
            parts[-1].append(block)
        parts = [[self._tabular(*block) for block in part] for part in parts]
        notes = [f"Model alone: {self.alone}.", *(f"{note}." for note in self.notes())]
        floats = [self._float(self.caption(), "tab", parts[0], notes if len(parts) == 1 else [])]
        for number, part in enumerate(parts[1:], 2):
            floats.append(self._float(self._of_model("Continued"), f"tab:{number}", part, []))
        if len(parts) > 1:
            floats.append(self._float(self._of_model("Definitions"), "tab:notes", [], notes))
        passes = [self._passes()]
        floats.append(self._float(self._of_model(PASSING_TITLE), "tab:passes", passes, []))
        if self.costs.scoring:
            tabulars = [self._tabular([], self.costs.scoring)]
            notes = [f"{note}." for note in self.costs.notes()]
            title = self._of_model(SCORING_TITLE)
            floats.append(self._float(title, "tab:scoring", tabulars, notes))
        return "% needs \\usepackage{booktabs,graphicx}\n" + "\n\n".join(floats)

    def _of_model(self, title: str) -> str:
        return f"{title}: {self.heading()}."

    def _float(
        self, caption: str, label: str, tabulars: Sequence[str], notes: Sequence[str]
    ) -> str:
        about = re.sub(r"[^A-Za-z0-9]+", "-", f"{self.first['dataset']}-{self.first['model']}")
        below = [
            "",
            r"\medskip",
            r"\begin{minipage}{\linewidth}\scriptsize\raggedright",
            "\\par\n".join(tex(note).replace(",", r",\allowbreak{}") for note in notes),
            r"\end{minipage}",
        ]
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
                rf"\caption{{{tex(caption)}}}",
                rf"\label{{{label}:{about}}}\medskip",
                "",
                "\n\n\\medskip\n".join(tabulars),
                *(below if notes else []),
                r"\end{table}",
            ]
        )

    def _tabular(self, metrics: Sequence[str], costs: Sequence[str]) -> str:
        """Return a grid of columns of scores and behind them of costs."""
        heads = [*map(self._tex_head, metrics), *(stacked(HEADS[c].split()) for c in costs)]
        cells = lambda explainer: [
            *(self.cell(explainer, m).latex() for m in metrics),
            *(tex(self.costs.cell(explainer, c)) for c in costs),
        ]
        return self._rules(f"l{'c' * len(metrics)}{'r' * len(costs)}", heads, cells)

    def _lines(self, metrics: Sequence[str]) -> int:
        """Return how many lines a grid takes, with its head and its rules."""
        rows = [[self.cell(name, metric).lines for metric in metrics] for name in self.controls]
        return 5 + sum(max(lines, default=1) for lines in rows)

    def _passes(self) -> str:
        heads = [stacked(head.replace("`", "").split(" ", 1)) for head in PASSES.values()]
        cells = lambda explainer: list(map(tex, self.passed(explainer)))
        return self._rules(r"lccccp{0.28\linewidth}", [*heads, "in words"], cells)

    def _rules(
        self, columns: str, heads: Sequence[str], cells: Callable[[str], Sequence[str]]
    ) -> str:
        # Shrunk to the text's width where names or marks are long, never enlarged.
        fitted = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"
        lines = [rf"{fitted}\begin{{tabular}}{{{columns}}}", r"\toprule"]
        lines += [" & ".join(["explainer", *heads]) + r" \\", r"\midrule"]
        for explainer, ruled in self._ordered():
            name = as_control(explainer, self.controls[explainer])
            lines += [r"\midrule"] * ruled
            lines.append(" & ".join([tex(name), *cells(explainer)]) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}"])

    def _plain_head(self, metric: str) -> str:
        names, arrow = self.header(metric)
        return "".join(names) + arrow + weakly(metric)

    def _tex_head(self, metric: str) -> str:
        names, arrow = self.header(metric)
        return stacked([names[0] + arrow, *names[1:], *["(weak mask)"] * is_weak(metric)])

    def _ordered(self) -> Iterator[tuple[str, bool]]:
        """Yield each explainer and whether a rule goes above it: the first control."""
        ruled = False
        for place, (explainer, control) in enumerate(self.controls.items()):
            yield explainer, control and not ruled and place > 0
            ruled = ruled or control


def model_line(rows: pd.DataFrame) -> str:
    """Return the metrics of the model alone: ``auroc 0.913; shuffled_labels 0.500 [...], p=...``.

    ``x.mean``, ``x.low``, ``x.high`` and ``x.p_value`` are told together; with several training
    seeds those of each model.
    """
    found: dict[str, dict[str, pd.Series]] = {}
    several = len(seeds_of(rows)) > 1
    for _, row in rows.iterrows():
        stem, _, part = row["metric"].partition(".")
        stem += f" (training seed {row[SEED]})" if several else ""
        found.setdefault(stem, {})[part] = row
    return "; ".join(_told(stem, parts) for stem, parts in found.items()) or "no metric"


def _told(stem: str, parts: dict[str, pd.Series]) -> str:
    shown = {p: f"{r['value']:.3f}" if pd.notna(r["value"]) else "–" for p, r in parts.items()}
    told = [shown[p] for p in ("", "mean") if p in shown]
    if {"low", "high"} <= shown.keys():
        told.append(f"[{shown['low']}, {shown['high']}]")
    if "p_value" in shown:
        told.append(f"p={shown['p_value']}")
    told += [
        f"{p} {v}" for p, v in shown.items() if p not in ("", "mean", "low", "high", "p_value")
    ]
    reasons = sorted({str(r["reason"]) for r in parts.values() if pd.isna(r["value"])})
    return " ".join([stem, *told, *(f"({reason})" for reason in reasons)])
