"""Is a finished run still what it was, and do its models give its numbers again?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from xaibench.config.reading import load_config
from xaibench.config.run_config import RunConfig
from xaibench.engine.device import choose_device, device_name, reproducible
from xaibench.errors import UserError
from xaibench.progress import Progress
from xaibench.runs.cells import explain_and_score
from xaibench.runs.fitting import Workplace, fitted_models
from xaibench.runs.sameness import Check, of_cell, of_environment, of_files, of_predictions
from xaibench.runs.subject import subjects_of
from xaibench.segmentation.segmenter import Segmenter, workers_beside
from xaibench.store.cells import Cell
from xaibench.store.finished import FinishedRun
from xaibench.store.provenance import environment
from xaibench.store.run_folder import RunFolder
from xaibench.store.schema import SEED
from xaibench.store.seal import SEAL
from xaibench.store.training_seeds import UNTOLD, numbered, seeds_of, with_seeds
from xaibench.training.checkpoint import Checkpoint, MissingCheckpointError
from xaibench.types import Data

CELLS = 3
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Asked:
    """What is to be verified, and how closely.

    Attributes:
        cells: explainers x blocks to compute anew, drawn by the run's seed.
        tolerance: the largest difference of a score that is let pass.
        cache: where checkpoints are kept; None for the one beside the runs, ``OUT/cache``.
    """

    folder: Path
    cells: int = CELLS
    tolerance: float = TOLERANCE
    cache: Path | None = None

    @property
    def where(self) -> Path:
        return self.cache or self.folder.resolve().parents[1] / "cache"


def verify(asked: Asked, progress: Progress) -> Iterator[Check]:
    """Yield a check of the files, of data, weights and checkpoint, and of each recomputed cell.

    Nothing is trained and nothing in the folder is written. Ends early where what failed leaves
    no sense in what comes next.

    Raises:
        UserError: the folder is not that of a finished run.
    """
    run = FinishedRun(asked.folder)
    if run.manifest.get("status") != "finished":
        raise UserError(
            f"{asked.folder} is not finished; run its config again, which goes on with it"
        )
    files = list(of_files(asked.folder))
    yield from files
    broken = [check.what for check in files if not check.passed and check.what != SEAL]
    if broken:
        yield Check("cells", f"not computed anew: first restore {', '.join(broken)}", False)
        return
    config = load_config(asked.folder / "config.yaml")
    device = choose_device(config.device)
    with reproducible(config.seed):
        yield from of_environment(
            run.manifest["environment"], environment(device_name(device), torch.get_num_threads())
        )
        yield from _of_numbers(asked, run, config, Workplace(device, asked.where, progress))


def _of_numbers(
    asked: Asked, run: FinishedRun, config: RunConfig, place: Workplace
) -> Iterator[Check]:
    try:
        data = config.dataset.open(seed=config.seed, cache=place.cache, progress=place.progress)
    except UserError as error:
        yield Check("data set", str(error), False)
        return
    same = of_data(run.manifest, data)
    yield same
    if not same.passed:
        return
    try:
        same = of_weights(run.manifest, config, data)
        yield same
        if not same.passed:
            return
        kept = kept_recipe(run.manifest, asked)
        place = Workplace(place.device, place.cache, place.progress, kept)
        fitted = fitted_models(config, data, place)
    except MissingCheckpointError as error:
        yield Check("checkpoint", f"{error}; {_mend(asked)}", False)
        return
    except UserError as error:
        yield Check("weights", str(error), False)
        return
    keys = [each.trained.key for each in fitted]
    same = set(keys) == set(checkpoints(run.manifest["model"]))
    told = ", ".join(key[:16] for key in keys)
    yield Check("checkpoint", f"{told}" if same else f"{told} is not the run's", same)
    subjects = subjects_of(config, data, fitted, place.progress)
    for subject in subjects:
        every = run.every_prediction
        own = every[numbered(every)[SEED].isin([subject.seed, UNTOLD])]
        whose = f", training seed {subject.seed}" * (len(subjects) > 1)
        yield of_predictions(own, subject.predictions, asked.tolerance, whose)
    with (
        tempfile.TemporaryDirectory() as temporary,
        Segmenter(place.cache / "segments", workers_beside(place.device)) as segmenter,
    ):
        folder = RunFolder(Path(temporary), {})
        chosen, others, size = sampled(run.parquet("timings.parquet"), asked.cells, config.seed)
        folder.pass_over(others)
        # As many images a block as on the run's own device, whose `auto` may be another.
        config = config.model_copy(update={"images_per_block": size})
        explain_and_score(config, subjects, folder, segmenter, place.progress)
        for cell in chosen:
            yield of_cell(cell, run.scores, folder.scores(cell), asked.tolerance)


def of_data(manifest: Mapping[str, object], data: Data) -> Check:
    """Return whether the data set is the one that the run read."""
    then = manifest["dataset"]["checksum"]
    same = then == data.checksum
    said = f"{data.name}, checksum {data.checksum[:12]}"
    return Check("data set", said if same else f"{said}, was {then[:12]}", same)


def of_weights(manifest: Mapping[str, object], config: RunConfig, data: Data) -> Check:
    """Return whether the model starts from the weights that the run's started from."""
    model = config.model.build(
        task=data.task, classes=data.classes, channels=data.channels, size=data.size
    )
    then = manifest["model"]["weights_used"]
    same = then == model.weights
    return Check("weights", model.weights if same else f"{model.weights}, were {then}", same)


def checkpoints(model: Mapping[str, object]) -> Iterator[str]:
    """Yield the keys of the checkpoints that a manifest's part about the model names."""
    for name, value in model.items():
        if name == "checkpoint":
            yield value
        elif isinstance(value, Mapping):
            yield from checkpoints(value)


def kept_recipe(manifest: Mapping[str, object], asked: Asked) -> dict[str, object]:
    """Return by which code, and for which kind of device, the run's checkpoints were trained."""
    found = {}
    for key in checkpoints(manifest["model"]):
        kept = Checkpoint.kept(asked.where, key)
        if kept is None:
            raise MissingCheckpointError(f"{key[:16]} is not in {asked.where / 'checkpoints'}")
        found = {name: kept.facts["recipe"][name] for name in ("code", "device")}
    return found


def _mend(asked: Asked) -> str:
    config = asked.folder / "config.yaml"
    return (
        f"nothing is trained here: `xaibench train {config} --out {asked.where.parent}` trains it "
        "anew, if the code is that of the run; or name the folder that holds it with --cache"
    )


def sampled(timings: pd.DataFrame, count: int, seed: int) -> tuple[list[Cell], list[Cell], int]:
    """Return a seeded draw of a run's cells with an explainer, all others, and images a block."""
    several = len(seeds_of(timings)) > 1
    rows = with_seeds(timings)[["explainer", "block", SEED]].astype(object)
    rows = rows.where(rows.notna(), None).to_numpy()
    cells = [Cell(name, int(block), int(its) if several else None) for name, block, its in rows]
    able = [cell for cell in cells if cell.explainer is not None]
    places = np.random.default_rng(seed).permutation(len(able))[:count]
    chosen = [able[place] for place in sorted(places)]
    return chosen, [c for c in cells if c not in chosen], int(timings["images"].max())
