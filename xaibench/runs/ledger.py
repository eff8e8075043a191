"""The ledger: passes that each explainer and metric asked for, and those that were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate, pairwise

from xaibench.engine.costs import passes_of
from xaibench.models.base import Classifier
from xaibench.runs.rows import Block, Row
from xaibench.store.cells import Cell
from xaibench.store.schema import LEDGER


class Ledger:
    """Rows of ``LEDGER`` of cells that are done together.

    Args:
        models: whose passes are counted, where they are there.
        block: of the cells.
    """

    def __init__(self, models: tuple[Classifier | None, ...], block: Block) -> None:
        self._models, self._block = models, block
        self._rows: dict[Cell, list[Row]] = {}
        self._own = 0

    @contextmanager
    def noting(self, metric: str | None, maps: Mapping[Cell, int]) -> Iterator[None]:
        """Write down the passes of what is done inside.

        Args:
            metric: None where maps are made.
            maps: of each cell; what was done for several is divided among them by their maps.
        """
        before = passes_of(*self._models)
        yield
        passes = passes_of(*self._models).since(before)
        self._own += passes.block
        made = _divided(passes.forward - passes.shared, list(maps.values()))
        shared = _divided(passes.shared, list(maps.values()))
        backward = _divided(passes.backward, list(maps.values()))
        for cell, *counts in zip(maps, made, shared, backward, strict=True):
            self._note(cell, cell.explainer, metric, *counts)

    def rows(self, cell: Cell) -> list[Row]:
        """Return a cell's rows; those of the block's own scores with the first that is asked."""
        if self._own:
            self._note(cell, None, None, self._own)
            self._own = 0
        return self._rows.get(cell, [])

    def _note(
        self,
        cell: Cell,
        explainer: str | None,
        metric: str | None,
        made: int,
        shared: int = 0,
        backward: int = 0,
    ) -> None:
        about = self._block.rows[0]
        said = {name: about[name] for name in LEDGER.names if name in about}
        said |= {"explainer": explainer, "metric": metric, "asked": made + shared}
        said |= {"computed": made, "shared": shared, "backward": backward}
        self._rows.setdefault(cell, []).append(said)


def _divided(passes: int, maps: list[int]) -> list[int]:
    """Return whole numbers in proportion to numbers of maps, which sum to the passes.

    >>> _divided(10, [1, 1, 1])
    [3, 3, 4]
    """
    maps = maps if sum(maps) else [1] * len(maps)
    ends = [passes * end // sum(maps) for end in accumulate(maps, initial=0)]
    return [end - start for start, end in pairwise(ends)]
