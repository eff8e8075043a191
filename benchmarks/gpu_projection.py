"""From measured seconds an image to a whole test set: all explainers and metrics."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from benchmarks import whole
from benchmarks.stage import Stage
from benchmarks.standard import explainers, metrics
from benchmarks.tables import markdown
from benchmarks.timing import timed
from xaibench.config.sections import SegmentOptions
from xaibench.engine.costs import peak_memory
from xaibench.segmentation.segmenter import Segmenter, workers_beside
from xaibench.segmentation.slic import Slic

IMAGES = 32_768  # the test split of PatchCamelyon


def projection(stage: Stage) -> dict[str, object]:
    """Return the section: seconds an image and peak memory of each, and the hours for all.

    Segments are timed apart, in as many workers as a run has; they are counted whole, though a
    run computes them while the device works.
    """
    count = stage.images
    samples, steps = (30, 8) if stage.tiny else (1000, 100)
    its = explainers(samples)
    whole.warm_up(stage.subject)
    workers = workers_beside(stage.device)
    with Segmenter(stage.scratch / "segments", workers) as segmenter:
        segments = _segments(stage, segmenter, its, count)
        found = [{"what": "segments", "precision": "–", "seconds_an_image": segments}]
        hours = {}
        for precision in ("fp32", "bf16"):
            model = stage.subject.half if precision == "bf16" else stage.subject.model
            batch = replace(stage.subject.fresh(count), segmenter=segmenter)
            total = segments
            for name, explainer in its.items():
                each = _timed(stage, partial(explainer, model, batch), count)
                total += each["seconds_an_image"]
                found.append({"what": name, "precision": precision, **each})
            maps = stage.subject.maps[:count]
            for name, metric in metrics(steps).items():
                each = _timed(stage, partial(metric.score, model, batch, maps), count)
                total += len(its) * each["seconds_an_image"]
                found.append({"what": f"{name}, of a map", "precision": precision, **each})
            hours[precision] = total * IMAGES / 3600
    rows = [
        [
            each["what"],
            each["precision"],
            f"{1000 * each['seconds_an_image']:.3g}",
            "–" if not each.get("peak_bytes") else f"{each['peak_bytes'] / 2**20:.0f}",
        ]
        for each in found
    ]
    said = ", ".join(f"{hour:.2f} h in {precision}" for precision, hour in hours.items())
    title = (
        f"**Projection**: {IMAGES:,} patches × {len(its)} explainers × {', '.join(metrics(steps))}:"
        f" {said}; from {count} images, {stage.size.name}, LIME of {samples} samples, curves of "
        f"{steps} steps, engine with {stage.backends[-1]} backend, batches of "
        f"{stage.subject.model.batch_size}, {workers} workers for segments"
    )
    columns = ["what", "precision", "ms/image", "peak MiB"]
    table = f"{title}\n\n{markdown(columns, rows)}"
    return {"found": found, "hours": hours, "images": IMAGES, "table": table}


def _segments(stage: Stage, segmenter: Segmenter, its: dict, count: int) -> float:
    """Return the seconds an image of all label maps, which the segmenter keeps from then on."""
    batch = stage.subject.fresh(count)
    slic = Slic(**SegmentOptions().model_dump())
    wanted = [slic, *filter(None, (e.own_segmentation() for e in its.values()))]

    def work() -> None:
        for segmentation in wanted:
            segmenter.begin(batch.images, batch.seeds, segmentation)
        for segmentation in wanted:
            segmenter.labels(batch.images, batch.seeds, segmentation)

    return timed(work, stage.device) / count


def _timed(stage: Stage, work, count: int) -> dict[str, float | int | None]:
    with peak_memory(stage.device) as peak:
        seconds = timed(work, stage.device)
    return {"seconds_an_image": seconds / count, "peak_bytes": peak.bytes}
