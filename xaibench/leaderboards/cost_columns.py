"""Costs as text: the columns that stand beside an explainer's scores in every table."""

from __future__ import annotations

import string
from decimal import Decimal

import pandas as pd

from xaibench.leaderboards.cost import EXPLAINING, MEASURED, PASSES, SCORING

HEADS = dict(
    zip(EXPLAINING, ["forward passes", "backward passes", "seconds", "peak MiB"], strict=True)
)
HEADS |= {f"score_{name}": head for name, head in HEADS.items()}
WHAT = (
    "passes and seconds: of one map; passes as it asks for them, seconds as measured: what another "
    "explainer or metric of its block had passed already took none (ledger.csv); peak MiB: the "
    "most memory in use while a block of maps was made, of the whole process on a CPU, of the "
    "tensors on a GPU"
)
SCORING_TITLE = "Cost of scoring one map by all metrics of its run"
NAMELESS = "hardware that the run does not name"


class CostColumns:
    """The costs of one table's explainers.

    Args:
        costs: what ``cost.of_runs`` returns, of one data set, split and model; None for a table
            without costs. Without the columns about scoring, those are left out.

    Attributes:
        several: whether the costs were taken on several kinds of hardware, which are then told
            apart by letters.
    """

    def __init__(self, costs: pd.DataFrame | None) -> None:
        self.explaining = [] if costs is None else EXPLAINING
        self.scoring = [] if costs is None else [c for c in SCORING if c in costs]
        self._rows: dict[str, list[dict[str, object]]] = {}
        rows = pd.DataFrame(columns=["explainer", "device"]) if costs is None else costs
        measured = rows.reindex(columns=[*MEASURED, *(f"score_{m}" for m in MEASURED)])
        rows = rows.assign(device=rows["device"].fillna(NAMELESS))
        for row in rows.to_dict("records"):
            self._rows.setdefault(row["explainer"], []).append(row)
        devices = list(dict.fromkeys(rows.loc[measured.notna().any(axis=1), "device"]))
        self.several = len(devices) > 1
        letters = string.ascii_letters if self.several else [""]
        self._letters = dict(zip(devices, letters, strict=False))

    def cell(self, explainer: str, column: str, dash: str = "–") -> str:
        """Return a cost; of seconds and memory one value for each hardware, with its letter."""
        rows = [row for row in self._rows.get(explainer, ()) if pd.notna(row[column])]
        if column.removeprefix("score_") in PASSES:
            return passes_text(rows[0][column]) if rows else dash
        write = mib_text if column.endswith("mib") else seconds_text
        marks = [self._letters.get(row["device"], "") for row in rows]
        cells = [
            write(row[column]) + f" ({at})" * bool(at) for row, at in zip(rows, marks, strict=True)
        ]
        return " / ".join(cells) or dash

    def notes(self) -> list[str]:
        """Return what the columns mean, and what hardware the figures were taken on."""
        if not self.explaining:
            return []
        told = [f"({at}) {name}" if at else name for name, at in self._letters.items()]
        return [WHAT, *([f"seconds and memory on {'; '.join(told)}"] if told else [])]


def passes_text(passes: float) -> str:
    """Return a whole number without decimals, a mean with one.

    >>> passes_text(1000.0), passes_text(49.25)
    ('1000', '49.2')
    """
    return f"{passes:.0f}" if float(passes).is_integer() else f"{passes:.1f}"


def seconds_text(seconds: float) -> str:
    """Return three digits without an exponent.

    >>> seconds_text(0.000178351), seconds_text(0.86), seconds_text(2171.0)
    ('0.000178', '0.860', '2170')
    """
    return f"{Decimal(f'{seconds:.2e}'):f}"


def mib_text(mib: float) -> str:
    return f"{mib:.0f}" if mib >= 10 else f"{mib:.1f}"
