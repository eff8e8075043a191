"""Every figure of a finished run, from the files in its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xaibench import galleries
from xaibench.figures import (
    agreement,
    bands,
    cost,
    curves,
    gallery,
    panels,
    probes,
    ranking,
    roc,
    superpixels,
    training,
)
from xaibench.figures.base import save
from xaibench.finished import FinishedRun
from xaibench.leaderboard import of_explainers, summarise
from xaibench.progress import Progress
from xaibench.roc import labels_of

MOST_FAILURES = 45  # three pages
AGREEMENT_IMAGES = 128  # enough for a mean; whole maps of all images may not fit in memory


def draw_all(folder: Path, progress: Progress) -> list[Path]:
    """Draw what the folder's files allow into ``figures/``; return the paths written.

    Raises:
        UserError: the folder is not that of a run.
    """
    run = _Run(folder)
    written: list[Path] = []
    makers: dict[str, Callable[[], Iterator[tuple[str, Figure | None]]]] = {
        "training": run.training,
        "ranking": run.rankings,
        "cost": run.faithfulness_by_cost,
        "curves": run.curves,
        "panels": run.panels,
        "agreement": run.agreement,
        "roc": run.roc,
        "bands": run.bands,
        "true_positives": run.true_positives,
        "failures": run.failures,
        "probes": lambda: probes.of_run(run, run.shown()),
        "superpixels": lambda: superpixels.of_run(run, run.shown()),
    }
    with progress.stage("figures", len(makers)) as advance:
        for make in makers.values():
            for name, figure in make():
                if figure is not None:
                    written += save(figure, folder / "figures", name)
            advance(1)
    return written


class _Run(FinishedRun):
    """A run's folder; each method yields the figures of one kind, none if their file is missing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        roles = of_explainers(self.scores).drop_duplicates("explainer")
        self.controls = list(roles.loc[roles["control"].eq(True), "explainer"])
        self.order = list(roles["explainer"])

    def training(self) -> Iterator[tuple[str, Figure | None]]:
        log = self.csv("training_log.csv")
        if log is not None:
            monitor = self.manifest.get("training", {}).get("monitor", "accuracy")
            yield "training", training.draw(log, self.dataset, monitor)

    def rankings(self) -> Iterator[tuple[str, Figure | None]]:
        if self.order:
            yield "ranking", ranking.draw(ranking.telling(summarise(self.scores)))

    def faithfulness_by_cost(self) -> Iterator[tuple[str, Figure | None]]:
        if self.order:
            yield "cost", cost.draw(summarise(self.scores), self.costs)

    def curves(self) -> Iterator[tuple[str, Figure | None]]:
        table = self.parquet("curves.parquet")
        if table is not None:
            rows = self.scores.dropna(subset="image").drop_duplicates("image")
            groups = rows["group"].fillna(rows["image"])
            of_image = dict(zip(rows["image"], groups, strict=True))
            yield "curves", curves.draw(table, self.dataset, of_image, self.controls)

    def panels(self) -> Iterator[tuple[str, Figure | None]]:
        with self.maps() as file:
            if file is None or self.predictions is None:
                return
            rows = self.items(file)
            at = representative(rows)
            images, masks = file["images"][at], {n: m[at] for n, m in file.get("masks", {}).items()}
            names = self._explainers(file)
            for start in range(0, len(names), panels.ABREAST):
                maps = {n: file["maps"][n][at] for n in names[start : start + panels.ABREAST]}
                figure = panels.draw(
                    list(rows["image"].iloc[at]),
                    images,
                    maps,
                    masks,
                    rows.iloc[at],
                    self.dataset,
                    self.controls,
                )
                yield f"panels_{start // panels.ABREAST + 1}" if start else "panels", figure

    def agreement(self) -> Iterator[tuple[str, Figure | None]]:
        with self.maps() as file:
            if file is None:
                return
            first = slice(AGREEMENT_IMAGES)
            table = agreement.agreement({n: file["maps"][n][first] for n in self._explainers(file)})
            yield "agreement", agreement.draw(table, self.dataset, self.controls)

    def roc(self) -> Iterator[tuple[str, Figure | None]]:
        rows = self.csv("thresholds.csv")
        if rows is not None and self.predictions is not None:
            yield "roc", roc.draw(labels_of(self.predictions), rows, self._heading())

    def bands(self) -> Iterator[tuple[str, Figure | None]]:
        rows = self.csv("bands.csv")
        if rows is not None:
            yield "bands", bands.draw(rows, self._heading())

    def true_positives(self) -> Iterator[tuple[str, Figure | None]]:
        with self.maps() as file:
            if file is None or self.predictions is None:
                return
            cuts = galleries.thresholds(self.predictions)
            rows = galleries.true_positives(self.items(file), cuts, gallery.ACROSS)
            explainer = gallery.shown(self._explainers(file), self.controls)
            if rows.empty or explainer is None:
                return
            images, maps = (_at(file[k], rows.index) for k in ("images", f"maps/{explainer}"))
            found = {n: m for n, m in file.get("masks", {}).items() if not n.startswith("lungs")}
            masks = {name: _at(mask, rows.index) for name, mask in found.items()}
            heading = f"{self._heading()}, {explainer}"
            yield from _pages(
                "true_positives", gallery.true_positives(rows, images, maps, masks, heading)
            )

    def failures(self) -> Iterator[tuple[str, Figure | None]]:
        with self.maps() as file:
            if file is None or self.predictions is None:
                return
            every = galleries.failures(self.items(file))
            rows = every.head(MOST_FAILURES)
            explainer = gallery.shown(self._explainers(file), self.controls)
            if rows.empty or explainer is None:
                return
            images, maps = (_at(file[k], rows.index) for k in ("images", f"maps/{explainer}"))
            heading = f"{self._heading()}, {explainer}"
            yield from _pages("failures", gallery.failures(rows, images, maps, heading, len(every)))

    def _heading(self) -> str:
        return f"{self.dataset}, {self.about['model']}, split {self.about['split']}"

    def shown(self) -> pd.DataFrame | None:
        """Return the rows of ``representative`` images, with ``truth`` as text; the index is their
        place in ``maps.h5``. None without maps.
        """
        with self.maps() as file:
            if file is None or self.predictions is None:
                return None
            rows = self.items(file)
        classes = panels.class_names(rows)
        rows["truth"] = [panels.truth(row, classes) for _, row in rows.iterrows()]
        return rows.iloc[representative(rows)]

    def _explainers(self, file: h5py.File) -> list[str]:
        """Return the explainers with maps, in the order of the scores."""
        there = file["maps"].keys()
        return [n for n in self.order if n in there] + sorted(set(there) - set(self.order))


def _at(values: h5py.Dataset, places: Iterable[int]) -> np.ndarray:
    """Return the rows at ``places``, in that order: a file gives them in rising order only."""
    wanted, back = np.unique(np.asarray(list(places), dtype=int), return_inverse=True)
    return values[wanted][back]


def _pages(name: str, figures: Iterable[Figure]) -> Iterator[tuple[str, Figure]]:
    for number, figure in enumerate(figures, 1):
        yield f"{name}_{number}" if number > 1 else name, figure


def representative(rows: pd.DataFrame, most: int = panels.MOST) -> list[int]:
    """Return places of up to ``most`` rows: the first two of each pair of truth and prediction,
    then the first of the rest. Nothing is chosen by how its maps look.
    """
    classes = panels.class_names(rows)
    truths = [panels.truth(row, classes) for _, row in rows.iterrows()]
    pair = pd.Series(truths) + "/" + rows["predicted"].astype(str)
    turn = pair.groupby(pair, sort=False).cumcount().to_numpy()
    wanted = sorted(range(len(rows)), key=lambda at: (turn[at] > 1, at))
    return sorted(wanted[:most])
