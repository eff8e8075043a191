"""The story: config -> data -> model -> explain -> score -> record -> leaderboard -> figures."""

from __future__ import annotations

import math
from pathlib import Path

from xaibench.atomic import check_writable
from xaibench.config.contradictions import check_task
from xaibench.config.run_config import RunConfig, dump, identity_of
from xaibench.engine.device import choose_device, reproducible
from xaibench.errors import UserError
from xaibench.figures.draw import drawn_formats
from xaibench.metrics.base import ComparisonMetric, MapMetric
from xaibench.progress import Progress, for_terminal
from xaibench.runs.cells import explain_and_score
from xaibench.runs.fitting import Workplace, fitted_models, training_log
from xaibench.runs.manifest import describe
from xaibench.runs.own_code import kept_code
from xaibench.runs.present import present
from xaibench.runs.recording import record
from xaibench.runs.selection import check_images, too_few_at_most
from xaibench.runs.subject import subjects_of
from xaibench.runs.submission import check_submission
from xaibench.segmentation.segmenter import Segmenter, workers_beside
from xaibench.store.provenance import code_version, plugin_version
from xaibench.store.run_folder import RunFolder
from xaibench.store.seal import seal
from xaibench.types import Data


def run(
    config: RunConfig, out: Path | str = Path("results"), progress: Progress | None = None
) -> Path:
    """Run a config from its data to its figures, and return the run's folder.

    Whatever of it is done already is not done again: the same config, code and kind of device
    give the same folder, which is gone on with.

    Args:
        out: the run's folder is ``out / NAME / RUN-ID``; ``out / "cache"`` keeps what other runs
            may use.
        progress: on the terminal, or as lines of text where none is, if None.
    """
    if progress is None:
        with for_terminal() as shown:
            return run(config, out, shown)
    if not any(isinstance(m, MapMetric | ComparisonMetric) for m in config.metrics.values()):
        raise UserError("metrics: name one that scores maps, such as deletion")
    check_writable(Path(out) / config.name, "--out")
    place = Workplace(choose_device(config.device), Path(out) / "cache", progress)
    with reproducible(config.seed):
        own = identity(config, place.device.type)
        folder = RunFolder(Path(out) / config.name, own)
        if folder.finished:
            progress.say(f"{folder.path} is finished already; delete it to run it anew")
            for lacking in sorted(set(config.figures) - set(drawn_formats(folder.path))):
                progress.say(f"for its figures: xaibench figures {folder.path} --format {lacking}")
            return folder.path
        kept = {"plugins": folder.keep(config.plugins, "plugins")}
        kept["model"] = kept_code(config.model, folder)
        folder.write_text("config.yaml", dump(config.model_copy(update=kept)))
        data = config.dataset.open(seed=config.seed, cache=place.cache, progress=progress)
        check_against(config, data)
        if few := too_few_at_most(config.images, data):
            progress.say(few)
        fitted = fitted_models(config, data, place)
        subjects = subjects_of(config, data, fitted, progress)
        manifest = describe(config, subjects, folder.run, place.device)
        folder.write_manifest(manifest | {"status": "running"})
        folder.write_table("training_log.csv", training_log(fitted))
        with Segmenter(place.cache / "segments", workers_beside(place.device)) as segmenter:
            blocks = explain_and_score(config, subjects, folder, segmenter, progress)
        record(config, subjects, folder, blocks)
    present(folder.path, progress, config.figures)
    seal(folder.path)
    folder.write_manifest(manifest | {"status": "finished"})
    folder.drop_cells()
    return folder.path


def identity(config: RunConfig, device: str) -> dict[str, object]:
    """Return what defines a run: a folder of results belongs to one of them."""
    plugins = [config.dataset, config.model, *config.explainers.values(), *config.metrics.values()]
    said = config.resolved() | {"model": identity_of(config.model)}
    del said["plugins"]  # where their files lie; what they are is part of the code
    del said["figures"]  # another format of the same
    return {
        "config": said,
        "code": [code_version(), plugin_version(*plugins)],
        "device": device,
    }


def check_against(config: RunConfig, data: Data) -> None:
    """Raise UserError for what the data set has not: a task, a split, a target, a size."""
    check_task(config, data.task, len(data.classes))
    check_images(config.images, config.target, data)
    check_submission(config.submission, data.classes)
    pixels = math.prod(data.size)
    if config.segments.n_segments > pixels:
        raise UserError(
            f"segments.n_segments: {config.segments.n_segments} are more than the {pixels} pixels "
            f"of images of {data.size[0]} x {data.size[1]}; some dozens are usual"
        )
    for name, metric in config.metrics.items():
        try:
            metric.check(data.size)
        except UserError as error:
            raise UserError(f"metrics.{name}: {error}") from None
