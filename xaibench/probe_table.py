"""Mean drop of each occlusion probe, over all images and for each label: ``probes.csv``, ``.md``.

Any metric that needs no map is told here; rows are those of one run. Imports no torch.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from xaibench.atomic import replacing
from xaibench.finished import FinishedRun
from xaibench.leaderboard import KEYS, interval, of_images, resampled_means
from xaibench.tables import true_name

ALL = "all"
COLUMNS = [
    *(*KEYS, "metric", "label", "mean", "low", "high", "confidence", "n", "n_groups", "rows"),
    *("reason", "protocol"),
]


def probe_table(
    scores: pd.DataFrame, *, resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> pd.DataFrame:
    """Return one row for each metric and label, the label ``all`` first; none where none is there.

    Args:
        scores: of one run, whole.

    The label is the image's, or of several labels the target's. Columns: ``mean`` with ``low`` and
    ``high``, a percentile interval of a bootstrap that resamples whole groups (NaN with fewer than
    two groups); ``n`` values in ``n_groups`` groups, of ``rows``; ``reason``, why one is missing.
    """
    rows = of_images(scores)
    label = rows["label"].where(rows["label"].notna(), rows["target"])
    every = pd.concat([rows.assign(label=ALL), rows.assign(label=label)])
    found = [
        {"metric": metric, "label": label} | _estimate(part, resamples, seed, confidence)
        for (metric, label), part in every.groupby(["metric", "label"], sort=False)
    ]
    about = {key: rows[key].iloc[0] for key in KEYS} if found else {}
    return pd.DataFrame(found, columns=COLUMNS).assign(**about, confidence=confidence)


def _estimate(part: pd.DataFrame, resamples: int, seed: int, confidence: float) -> dict:
    values = part["value"].astype(float).to_numpy()
    groups = part["group"].fillna(part["image"]).to_numpy()
    known = np.isfinite(values)
    spread = (np.nan, np.nan)
    if len(set(groups[known])) > 1:
        low, high = interval(resampled_means(values[:, None], groups, resamples, seed), confidence)
        spread = (float(low[0]), float(high[0]))
    return {
        "mean": float(values[known].mean()) if known.any() else np.nan,
        "low": spread[0],
        "high": spread[1],
        "n": int(known.sum()),
        "n_groups": len(set(groups[known])),
        "rows": len(part),
        "reason": next(iter(part.loc[~known, "reason"].dropna()), None),
        "protocol": part["protocol"].iloc[0],
    }


def markdown(table: pd.DataFrame) -> str:
    """Return the table as Markdown: a line a metric, a column a label."""
    first = table.iloc[0]
    labels = list(table["label"].unique())
    counts = table.groupby("label", sort=False)["rows"].max()
    cells = table.set_index(["metric", "label"])
    head = ["metric", *(f"{label} ({counts[label]})" for label in labels)]
    lines = [
        f"## Metrics of images: data set {true_name(first['dataset'])}, model {first['model']}, "
        f"split {first['split']}",
        "",
        _pipes(head),
        _pipes([":--", *["--:"] * len(labels)]),
    ]
    for metric in table["metric"].unique():
        told = [
            _told(cells.loc[(metric, label)]) if (metric, label) in cells.index else "–"
            for label in labels
        ]
        lines.append(_pipes([f"`{metric}`", *told]))
    percent = f"{first['confidence']:.0%}"
    notes = [
        f"mean [{percent} interval: bootstrap clustered by group]; in brackets behind a label: "
        "images, or pairs of image and target; n=a/b: a value on only a of b; [–]: fewer than two "
        "groups",
        *(f"`{p}`" for p in table["protocol"].str.replace(r"@[^\[]*", "", regex=True).unique()),
    ]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def _told(row: pd.Series) -> str:
    if not row["n"]:
        return f"– ({row['reason'] or 'no value'})"
    spread = f"{row['low']:+.3f}, {row['high']:+.3f}" if pd.notna(row["low"]) else "–"
    text = f"{row['mean']:+.3f} [{spread}]"
    return text if row["n"] == row["rows"] else f"{text} n={row['n']}/{row['rows']}"


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def make(run: FinishedRun) -> None:
    """Write ``probes.csv`` and ``probes.md``; nothing where every metric needs a map."""
    table = probe_table(run.scores)
    if table.empty:
        return
    texts = {"csv": table.to_csv(index=False, lineterminator="\n"), "md": markdown(table)}
    for ending, text in texts.items():
        with replacing(run.folder / f"probes.{ending}") as file:
            file.write_text(text, encoding="utf-8")
