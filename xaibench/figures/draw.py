"""Every figure of a finished run, from the files in its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pandas as pd
from matplotlib.figure import Figure

from xaibench.figures import agreement, curves, panels, ranking, training
from xaibench.figures.base import save
from xaibench.finished import FinishedRun
from xaibench.leaderboard import of_explainers, summarise
from xaibench.progress import Progress

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
        "curves": run.curves,
        "panels": run.panels,
        "agreement": run.agreement,
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
            yield "ranking", ranking.draw(summarise(self.scores))

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

    def _explainers(self, file: h5py.File) -> list[str]:
        """Return the explainers with maps, in the order of the scores."""
        there = file["maps"].keys()
        return [n for n in self.order if n in there] + sorted(set(there) - set(self.order))


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
