"""Do two commits give the same numbers? Runs configs at both, compares their tables cell by cell.

    python -m benchmarks.same_numbers BEFORE AFTER --out /tmp/same

Each commit is checked out into a folder of its own, draws its own generated data, trains, explains
and scores with the same number of threads. Runs that are finished are not run again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
RUNS = {
    "tiny": [],
    "pcam_synthetic": ["images.count=8", "training.epochs=2"],
    "cxr_pneumonia_subset": ["images.count=6", "training.epochs=2", "training.warmup_steps=10"],
    "nih_small": ["images.count=12", "training.epochs=2"],
    "chexpert_regression_resnet50": [],
}
"""Config -> what is set on its command line, so that all of them take half an hour on one core."""

MEASURED = ("seconds", "peak_mib", "score_seconds", "score_peak_mib")
OWN = dict.fromkeys(MEASURED, "is measured") | {
    "run": "the run's id is a hash of the code",
    "device": "names the machine",
    "training_seed": "older commits do not tell it",
}
"""Columns that two equal runs do not share, and why."""


def main() -> None:
    arguments = _arguments()
    found = {}
    for name in arguments.configs:
        for commit in (arguments.before, arguments.after):
            found[name, commit] = _run(name, commit, arguments.out.resolve(), arguments.threads)
    different = 0
    for name in arguments.configs:
        before, after = found[name, arguments.before], found[name, arguments.after]
        for said, same in compare(before, after):
            print(f"{'same     ' if same else 'DIFFERENT'}  {name}: {said}")
            different += not same
    print(f"Left out: {'; '.join(f'{column} ({why})' for column, why in OWN.items())}")
    sys.exit(1 if different else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", help="a commit")
    parser.add_argument("after", help="a commit")
    parser.add_argument("--out", type=Path, required=True, help="where checkouts and results go")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--configs", nargs="+", choices=RUNS, default=list(RUNS))
    return parser.parse_args()


def _run(name: str, commit: str, out: Path, threads: int) -> Path:
    """Run a config at a commit; return the folder of its results."""
    ask = lambda *words: subprocess.run(
        ["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True
    ).stdout.strip()
    checkout = out / ask("rev-parse", "--short=12", commit)
    if not checkout.is_dir():
        out.mkdir(parents=True, exist_ok=True)
        ask("worktree", "add", "--detach", str(checkout), commit)
    shared = out / "shared"  # the configs on real images look beside the checkout
    if not shared.exists():
        shared.mkdir()
        data = Path(os.environ.get("XAIBENCH_DATA", ROOT.parent / "shared" / "data"))
        (shared / "data").symlink_to(data.resolve())
    words = [word for setting in RUNS[name] for word in ("--set", setting)]
    subprocess.run(
        [
            *(sys.executable, "-c", "from xaibench.cli import main; main()"),
            *("run", f"configs/{name}.yaml", "--device", "cpu", *words),
        ],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(threads)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (folder,) = (checkout / "results" / name).iterdir()
    return folder


def compare(before: Path, after: Path) -> Iterator[tuple[str, bool]]:
    """Yield what was compared of two runs' folders, and whether it is the same.

    Every table that either has (``*.parquet`` but timings, ``*.csv``) and every array in
    ``maps.h5``. Numbers are equal to the last bit, a missing value only to a missing value.
    """
    names = {
        path.name
        for folder in (before, after)
        for path in folder.iterdir()
        if path.suffix in (".parquet", ".csv") and path.name != "timings.parquet"
    }
    for name in sorted(names):
        if not ((before / name).is_file() and (after / name).is_file()):
            yield f"{name} is there only once", False
            continue
        one, other = (_table(folder / name) for folder in (before, after))
        yield f"{name}, {len(one)} x {one.shape[1]} cells", one.equals(other)
    with h5py.File(before / "maps.h5") as one, h5py.File(after / "maps.h5") as other:
        arrays = [_arrays(file) for file in (one, other)]
        same = arrays[0].keys() == arrays[1].keys() and all(
            np.array_equal(array, arrays[1][name], equal_nan=array.dtype.kind == "f")
            for name, array in arrays[0].items()
        )
        yield f"maps.h5, {len(arrays[0])} arrays", same


def _table(file: Path) -> pd.DataFrame:
    if file.suffix == ".csv":
        table = pd.read_csv(file, dtype=str)  # as written: no digit is lost in reading
    else:
        table = pd.read_parquet(file)
        for column in table:  # lists of numbers, of which pandas compares only scalars
            if len(table) and isinstance(table[column].iloc[0], np.ndarray):
                table[column] = table[column].map(lambda values: values.tobytes())
    return table.drop(columns=[column for column in OWN if column in table])


def _arrays(file: h5py.File) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    file.visititems(
        lambda name, item: (
            found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    )
    return found


if __name__ == "__main__":
    main()
