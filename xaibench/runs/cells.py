"""All cells of a run: what is left of them, in which order, and what is scored together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from xaibench.config.run_config import RunConfig
from xaibench.engine import Batch
from xaibench.engine.known import KnownScores
from xaibench.explainers.base import Explainer
from xaibench.models.base import Classifier
from xaibench.progress import Progress
from xaibench.runs.blocks import BlockMaker, block_size, blocks_of, made_ahead
from xaibench.runs.fitting import Fitted, by_target
from xaibench.runs.limits import Watch
from xaibench.runs.rows import Block
from xaibench.runs.scoring import Scorer
from xaibench.runs.subject import Subject
from xaibench.segmentation.segmenter import Segmenter
from xaibench.store.cells import Cell, CellResult
from xaibench.store.run_folder import RunFolder


@dataclass(frozen=True)
class _Work:
    """A block, and those of its cells that are not done yet.

    Attributes:
        images: of the block.
        cells: of the block, with those that are done.
        its: the model that answers for the block's targets.
        groups: cells that are scored together, each after the last cell of the group before it;
            of each group at least one is missing.
        last: cell of the block.
        make: makes the block.
    """

    images: int
    cells: int
    its: Fitted
    groups: list[tuple[Cell | None, list[Cell]]]
    last: Cell
    make: Callable[[], Block]

    @property
    def left(self) -> int:
        """Images to explain, each as often as there are cells to do."""
        return self.images * sum(len(group) for _, group in self.groups)


def explain_and_score(
    config: RunConfig,
    subjects: Sequence[Subject],
    folder: RunFolder,
    segmenter: Segmenter,
    progress: Progress,
) -> list[int]:
    """Do every cell (explainer, or none, x block x training seed) that is not done yet.

    Returns:
        The number of blocks of each subject.
    """
    whole = [_work_of(config, subject, folder, segmenter) for subject in subjects]
    every = [each for its in whole for each in its]
    total = sum(each.images * each.cells for each in every)
    work = [each for each in every if each.groups]
    making = made_ahead([each.make for each in work], subjects[0].fitted[0].model.device)
    stage = progress.stage("Explaining and scoring", total, total - sum(e.left for e in work))
    watching = Watch(config.limits, folder.notes)
    with closing(making), watching as watch, stage as advance:
        scorer = None
        for each, block in zip(work, making, strict=True):
            # One for all blocks of a model: it keeps the models that metrics compare with.
            if scorer is None or scorer.model is not each.its.model:
                scorer = _scorer(config, each.its, watch)
            done = None
            for before, group in each.groups:
                if before != done:
                    _recall(scorer.model, block.batch, folder.known(before))
                results = _results(scorer, config.explainers, group, block)
                done = group[-1]
                if done != each.last:
                    results[done] = _with_known(results[done], scorer.model, block.batch)
                for cell, result in results.items():
                    if not folder.has(cell):
                        folder.write(cell, result)
                    advance(len(block.batch))
                if before is not None:
                    folder.drop_known(before)
    return [len(its) for its in whole]


def _work_of(
    config: RunConfig, subject: Subject, folder: RunFolder, segmenter: Segmenter
) -> list[_Work]:
    """Return the blocks of one training seed."""
    size = block_size(config.images_per_block, subject.fitted[0].model)
    blocks = blocks_of(subject.items, size, config.model_per_label)
    models = by_target(subject.fitted, subject.data.classes)
    work = []
    for number, rows in enumerate(blocks):
        its = models[rows["target"].iloc[0]]
        cells = [
            Cell(e, number, seed_of_cells(config, subject)) for e in (None, *config.explainers)
        ]
        groups = list(scored_together(cells, len(rows), its.model.batch_size))
        before = [None, *(group[-1] for group in groups)]
        # Whole groups: of a part of one, batches are others, and round the last bit another way.
        left = [(b, g) for b, g in zip(before, groups, strict=False) if not all(map(folder.has, g))]
        explainers = [config.explainers[c.explainer] for _, g in left for c in g if c.explainer]
        maker = _maker(config, subject, its, folder.run, segmenter)
        make = partial(maker, rows, explainers)
        work.append(_Work(len(rows), len(cells), its, left, groups[-1][-1], make))
    return work


def seed_of_cells(config: RunConfig, subject: Subject) -> int | None:
    """Return the training seed in the names of a subject's cells; None where it is the only one."""
    return subject.seed if len(config.training_seeds) > 1 else None


def _maker(
    config: RunConfig, subject: Subject, its: Fitted, run: str, segmenter: Segmenter
) -> BlockMaker:
    return BlockMaker(
        its.data,
        subject.split,
        about=subject.about(config, run),
        dataset_mean=subject.dataset_mean,
        references=subject.references,
        segments=config.segments,
        shares=config.share_passes,
        seed=config.seed,
        device=its.model.device,
        segmenter=segmenter,
    )


def _scorer(config: RunConfig, its: Fitted, watch: Watch) -> Scorer:
    twin, seed = its.twin, config.seed
    return Scorer(its.model, config.metrics, config.segments.id, twin, seed, watch)


def scored_together(cells: Sequence[Cell], images: int, batch_size: int) -> Iterator[list[Cell]]:
    """Yield the cells of a block in groups whose maps are scored at once.

    A map costs about a hundred passes, so that a twelfth of a batch's size in maps fills some
    eight batches, and what the last one lacks weighs little. More in a group would only lose
    more where a run is stopped. A cell without an explainer stands alone.
    """
    at_once = math.ceil(batch_size / (12 * images))
    explaining = [cell for cell in cells if cell.explainer is not None]
    yield from ([cell] for cell in cells if cell.explainer is None)
    yield from (explaining[k : k + at_once] for k in range(0, len(explaining), at_once))


def _recall(model: Classifier, batch: Batch, known: Mapping[str, np.ndarray]) -> None:
    """Give a block the scores that were known before a run was stopped.

    So that it goes on by the very passes, in the very batches, that it would have made.
    """
    batch.shared[model] = KnownScores.read(known, batch.images.device)


def _with_known(result: CellResult, model: Classifier, batch: Batch) -> CellResult:
    return replace(result, known=KnownScores.of(model, batch).arrays())


def _results(
    scorer: Scorer, explainers: Mapping[str, Explainer], group: Sequence[Cell], block: Block
) -> dict[Cell, CellResult]:
    """Return what a group of cells gives."""
    if group[0].explainer is None:
        return {group[0]: scorer.score_images(group[0], block)}
    chosen = {cell: explainers[cell.explainer] for cell in group}
    return dict(zip(group, scorer.score_cells(chosen, block), strict=True))
