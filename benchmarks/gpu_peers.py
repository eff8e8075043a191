"""The peers, with fewer repetitions."""

from __future__ import annotations

from benchmarks.methods import METHODS
from benchmarks.peers import measure
from benchmarks.stage import Stage


def peers(stage: Stage) -> dict[str, object]:
    """Measure ours and the peers; their rows stand in the record's own table.

    Raises:
        RuntimeError: one of ours or of the installed peers could not be run.
    """
    rows = measure(
        [stage.size],
        METHODS,
        stage.device,
        stage.record,
        repeats=1 if stage.tiny else 3,
        backend=stage.backends[-1],
        out_of_time=lambda: stage.deadline.left() < 30,
    )
    failed = [f"{r['implementation']}: {r['note']}" for r in rows if r["note"].startswith("failed")]
    if failed:
        raise RuntimeError("; ".join(failed))
    return {"rows": len(rows)}
