"""The leaderboard as text to read (Markdown) and to paste into a paper (LaTeX)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

import pandas as pd

from xaibench.leaderboards.cost_columns import HEADS, SCORING_TITLE, CostColumns
from xaibench.leaderboards.markdown import pipes
from xaibench.leaderboards.names import RANDOM, WEAK, arrow, as_control, how_many, is_weak, weakly
from xaibench.store.finished import true_name

TEX_METRICS = 3  # columns side by side that fit a text width of 345 pt in \footnotesize
TEX_COSTS = 2  # the room that the four columns of costs take, in columns of metrics
NOT_BETTER = "not better than `random` (paired clustered bootstrap, Holm-corrected)"


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
        self.metrics = list(summary["metric"].unique())
        explainers = summary.drop_duplicates("explainer").sort_values("control", kind="stable")
        self.controls = dict(zip(explainers["explainer"], explainers["control"], strict=True))
        self.rows = summary.set_index(["explainer", "metric"])
        self.best = summary[~summary["control"]].groupby("metric")["rank"].min()
        self.alone = model_line(model_rows)

    def heading(self) -> str:
        row = self.first
        return (
            f"data set {true_name(row['dataset'])}, model {row['model']}, split {row['split']}, "
            f"{how_many(row)}"
        )

    def cell(self, explainer: str, metric: str, bold: str, mark: str, dash: str = "–") -> str:
        """Return ``mean [low, high]``; ``bold`` is a template, ``mark`` follows a mean that does
        not beat chance."""
        if (explainer, metric) not in self.rows.index:
            return f"{dash} (not run)"
        row = self.rows.loc[(explainer, metric)]
        if not row["n"]:
            reason = row["reason"] if pd.notna(row["reason"]) else "no value"
            return f"{dash} ({textwrap.shorten(reason, 60)})"
        spread = f"{row['low']:.3f}, {row['high']:.3f}" if pd.notna(row["low"]) else dash
        text = f"{row['mean']:.3f} [{spread}]"
        if not row["control"] and row["rank"] == self.best.get(metric):
            text = bold.format(text)
        if pd.notna(row["beats_random"]) and not row["beats_random"]:
            text += mark
        defined = row["rows"] - row["undefined"]
        return text if row["n"] == defined else f"{text} n={row['n']}/{defined}"

    def header(self, metric: str) -> tuple[list[str], str]:
        """Return the lines of a column's header and its direction's arrow."""
        higher = self.rows.xs(metric, level="metric")["higher_is_better"].iloc[0]
        return re.split("(?=@)", metric, maxsplit=1), arrow(higher)

    def notes(self) -> list[str]:
        percent = f"{self.first['confidence']:.0%}"
        notes = [
            f"mean [{percent} interval: bootstrap clustered by group]; bold: the best explainer "
            "that is no control; n=a/b: a value on only a of the b images that have one by "
            "definition; [–]: fewer than two groups"
        ]
        beats = self.rows["beats_random"]
        if (beats == False).any():  # noqa: E712  (NA is neither)
            notes.append(f"°: {NOT_BETTER}")
        if RANDOM not in self.controls:
            notes.append("no `random` control in this table: nothing was tested against chance")
        constant = self.rows.groupby("explainer", sort=False)["constant"].max()
        notes += [f"constant maps of `{e}`: {r:.1%}" for e, r in constant.items() if r > 0]
        for metric, rows in self.rows.groupby("metric", sort=False):
            defined = sorted({*(rows["rows"] - rows["undefined"])})
            if rows["undefined"].any():
                span = "–".join(str(n) for n in {defined[0]: 0, defined[-1]: 0})
                notes.append(f"`{metric}`: defined on {span} of {rows['rows'].max()} images")
        if any(is_weak(metric) for metric in self.metrics):
            notes.append(WEAK)
        firsts = self.rows.reset_index().drop_duplicates("metric")
        for protocol, rows in firsts.groupby("protocol", sort=False):
            notes.append(f"{', '.join(f'`{m}`' for m in rows['metric'])}: `{protocol}`")
        return notes + self.costs.notes()

    def markdown(self) -> str:
        costs = self.costs
        heads = [*map(self._plain_head, self.metrics), *(HEADS[c] for c in costs.explaining)]
        cells = lambda explainer: [
            *(self.cell(explainer, m, "**{}**", "°") for m in self.metrics),
            *(costs.cell(explainer, c) for c in costs.explaining),
        ]
        lines = [f"## {self.title}: {self.heading()}", "", *self._grid(heads, cells)]
        lines += ["", f"Model alone: {self.alone}.", ""]
        if costs.scoring:
            cells = lambda explainer: [costs.cell(explainer, c) for c in costs.scoring]
            heads = [HEADS[c] for c in costs.scoring]
            lines += [f"{SCORING_TITLE}:", "", *self._grid(heads, cells), ""]
        return "\n".join([*lines, *(f"- {n}" for n in self.notes())])

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
        tabulars = [self._tabular(block, []) for block in (blocks[:-1] if room else blocks)]
        if costs:
            tabulars.append(self._tabular(blocks[-1] if room else [], costs))
        notes = [f"Model alone: {self.alone}.", *(f"{note}." for note in self.notes())]
        floats = [self._float(self.title, "tab", tabulars, notes)]
        if self.costs.scoring:
            tabulars = [self._tabular([], self.costs.scoring)]
            notes = [f"{note}." for note in self.costs.notes()]
            floats.append(self._float(SCORING_TITLE, "tab:scoring", tabulars, notes))
        return "% needs \\usepackage{booktabs}\n" + "\n\n".join(floats)

    def _float(self, title: str, label: str, tabulars: Sequence[str], notes: Sequence[str]) -> str:
        about = re.sub(r"[^A-Za-z0-9]+", "-", f"{self.first['dataset']}-{self.first['model']}")
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
                rf"\caption{{{tex(f'{title}: {self.heading()}.')}}}",
                rf"\label{{{label}:{about}}}",
                "\n\n\\medskip\n".join(tabulars),
                "",
                r"\medskip",
                r"\begin{minipage}{\linewidth}\scriptsize\raggedright",
                "\\par\n".join(tex(note).replace(",", r",\allowbreak{}") for note in notes),
                r"\end{minipage}",
                r"\end{table}",
            ]
        )

    def _tabular(self, metrics: Sequence[str], costs: Sequence[str]) -> str:
        """Return a grid of columns of scores and behind them of costs."""
        heads = [*map(self._tex_head, metrics), *(_stacked(HEADS[c].split()) for c in costs)]
        lines = [rf"\begin{{tabular}}{{l{'c' * len(metrics)}{'r' * len(costs)}}}", r"\toprule"]
        lines += [" & ".join(["explainer", *heads]) + r" \\", r"\midrule"]
        for explainer, ruled in self._ordered():
            name = as_control(explainer, self.controls[explainer])
            cells = [self.cell(explainer, m, "<b>{}</b>", "°") for m in metrics]
            cells += [self.costs.cell(explainer, c) for c in costs]
            lines += [r"\midrule"] * ruled + [" & ".join(map(tex, [name, *cells])) + r" \\"]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])

    def _plain_head(self, metric: str) -> str:
        names, arrow = self.header(metric)
        return "".join(names) + arrow + weakly(metric)

    def _tex_head(self, metric: str) -> str:
        names, arrow = self.header(metric)
        return _stacked([names[0] + arrow, *names[1:], *["(weak mask)"] * is_weak(metric)])

    def _ordered(self) -> Iterator[tuple[str, bool]]:
        """Yield each explainer and whether a rule goes above it: the first control."""
        ruled = False
        for place, (explainer, control) in enumerate(self.controls.items()):
            yield explainer, control and not ruled and place > 0
            ruled = ruled or control


def _stacked(lines: Iterable[str]) -> str:
    return r"\shortstack{" + r"\\".join(map(tex, lines)) + "}"


TEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{
        "↓": r"$\downarrow$",
        "↑": r"$\uparrow$",
        "°": r"$^{\circ}$",
        "–": "--",
        "×": r"$\times$",
        "|": r"\textbar{}",
    },
    **{"<b>": r"\textbf{", "</b>": "}", "<": r"\textless{}", ">": r"\textgreater{}", "\n": " "},
}


def tex(text: str) -> str:
    """Return text that LaTeX prints as it stands; ``<b>`` makes bold, `` `x` `` a typewriter."""
    pattern = "|".join(map(re.escape, sorted(TEX, key=len, reverse=True)))
    text = re.sub(pattern, lambda found: TEX[found[0]], text)
    text = re.sub(r"`([^`]*)`", r"\\texttt{\1}", text)
    return re.sub(r"-(?=\d+\.\d{3})", "$-$", text)


def model_line(rows: pd.DataFrame) -> str:
    """Return the metrics of the model alone: ``auroc 0.913; shuffled_labels 0.500 [...], p=...``.

    ``x.mean``, ``x.low``, ``x.high`` and ``x.p_value`` are told together.
    """
    found: dict[str, dict[str, pd.Series]] = {}
    for _, row in rows.iterrows():
        stem, _, part = row["metric"].partition(".")
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
