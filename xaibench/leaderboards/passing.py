"""What each explainer passes: where it beats a control, and what of the model it depends on."""

from __future__ import annotations

import pandas as pd

from xaibench.leaderboards.names import EDGE, RANDOM

_LIKENESSES = {"weight_randomisation": "weights", "label_randomisation": "labels"}
HEADS = {
    "beats_random": f"beats `{RANDOM}`",
    "beats_edge": f"beats `{EDGE}`",
    "weights": "depends on the weights",
    "labels": "depends on the labels",
}
NEVER = {
    "beats_random": f"nowhere better than `{RANDOM}`",
    "beats_edge": f"nowhere better than `{EDGE}`",
    "weights": "not shown to depend on the weights",
    "labels": "not shown to depend on the labels",
}
NONE = "passes none: nothing here tells it from a control"


def passing(summary: pd.DataFrame) -> pd.DataFrame:
    """Return one row an explainer: ``passed/tested`` for each of ``HEADS``, and ``words``.

    Beating counts metrics, depending counts likenesses (rank correlation, SSIM). ``–`` where
    nothing was tested. ``words`` says which kinds it passes nowhere, or why it was not tested.

    Args:
        summary: of one data set, split and model.
    """
    what = summary["protocol"].str.extract(r"^([^@\[]*)")[0].map(_LIKENESSES)
    marks = {name: summary[name] for name in ("beats_random", "beats_edge")}
    for name in _LIKENESSES.values():
        marks[name] = summary["depends"].where(what == name)
    table = pd.DataFrame(marks).assign(
        explainer=summary["explainer"], control=summary["control"], untested=summary["untested"]
    )
    rows = []
    for explainer, part in table.groupby("explainer", sort=False):
        counts = {name: part[name].dropna().astype(bool) for name in HEADS}
        told = {n: f"{c.sum()}/{len(c)}" if len(c) else "–" for n, c in counts.items()}
        rows.append(
            {"explainer": explainer, "control": bool(part["control"].iloc[0])}
            | told
            | {"words": _words(counts, part["untested"].dropna())}
        )
    return pd.DataFrame(rows)


def _words(counts: dict[str, pd.Series], reasons: pd.Series) -> str:
    tested = pd.concat(counts.values())
    if not len(tested):
        return reasons.iloc[0] if len(reasons) else "not tested: nothing here to compare it with"
    if not tested.any():
        return NONE
    nowhere = [name for name, marks in counts.items() if len(marks) and not marks.any()]
    return ", ".join(NEVER[name] for name in nowhere)
