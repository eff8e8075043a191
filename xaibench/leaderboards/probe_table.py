"""Mean drop of each occlusion probe, over all images and for each label: ``probes.csv``, ``.md``.

Any metric that needs no map is told here; rows are those of one run. Imports no torch.
"""

from __future__ import annotations

import pandas as pd

from xaibench.leaderboards.markdown import page
from xaibench.leaderboards.statistics.means import of_rows
from xaibench.leaderboards.summary import of_images
from xaibench.store.finished import FinishedRun, true_name
from xaibench.store.schema import KEYS

ALL = "all"
COLUMNS = [
    *(*KEYS, "metric", "label", "mean", "low", "high", "confidence", "n", "n_groups", "rows"),
    *("reason", "protocol"),
]


def probe_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each metric and label, the label ``all`` first; none where none is there.

    Args:
        scores: of one run, whole.

    The label is the image's, or of several labels the target's. Columns: ``mean`` with ``low`` and
    ``high``, an interval clustered by group (NaN with too few groups); ``n`` values in ``n_groups``
    groups, of ``rows``; ``reason``, why one is missing. With several training seeds an image has a
    row for each model.
    """
    rows = of_images(scores)
    label = rows["label"].where(rows["label"].notna(), rows["target"])
    every = pd.concat([rows.assign(label=ALL), rows.assign(label=label)])
    found = [
        {"metric": metric, "label": label, "reason": next(iter(part["reason"].dropna()), None)}
        | of_rows(part)
        for (metric, label), part in every.groupby(["metric", "label"], sort=False)
    ]
    about = {key: rows[key].iloc[0] for key in KEYS} if found else {}
    return pd.DataFrame(found, columns=COLUMNS).assign(**about)


def markdown(table: pd.DataFrame) -> str:
    """Return the table as Markdown: a line a metric, a column a label."""
    first = table.iloc[0]
    labels = list(table["label"].unique())
    counts = table.groupby("label", sort=False)["rows"].max()
    cells = table.set_index(["metric", "label"])
    head = ["metric", *(f"{label} ({counts[label]})" for label in labels)]
    heading = (
        f"Metrics of images: data set {true_name(first['dataset'])}, model {first['model']}, "
        f"split {first['split']}"
    )
    lines = []
    for metric in table["metric"].unique():
        told = [
            _told(cells.loc[(metric, label)]) if (metric, label) in cells.index else "–"
            for label in labels
        ]
        lines.append([f"`{metric}`", *told])
    percent = f"{first['confidence']:.0%}"
    notes = [
        f"mean [{percent} interval clustered by group]; in brackets behind a label: images, or "
        "pairs of image and target, of each training seed; n=a/b: a value on only a of b; [–]: too "
        "few groups",
        *(f"`{p}`" for p in table["protocol"].str.replace(r"@[^\[]*", "", regex=True).unique()),
    ]
    return page(heading, head, lines, notes)


def _told(row: pd.Series) -> str:
    if not row["n"]:
        return f"– ({row['reason'] or 'no value'})"
    spread = f"{row['low']:+.3f}, {row['high']:+.3f}" if pd.notna(row["low"]) else "–"
    text = f"{row['mean']:+.3f} [{spread}]"
    return text if row["n"] == row["rows"] else f"{text} n={row['n']}/{row['rows']}"


def make(run: FinishedRun) -> None:
    """Write ``probes.csv`` and ``probes.md``; nothing where every metric needs a map."""
    table = probe_table(run.scores)
    if table.empty:
        return
    run.write_csv("probes.csv", table)
    run.write("probes.md", markdown(table))
