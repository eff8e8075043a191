"""Which cells are scored together."""

from __future__ import annotations

import pytest

from xaibench.runs.cells import scored_together
from xaibench.store.cells import Cell


@pytest.mark.parametrize(
    ("images", "batch_size", "groups"),
    [(16, 64, [1, 1, 1]), (16, 1024, [3]), (2, 32, [2, 1]), (1, 1, [1, 1, 1])],
)
def test_a_group_is_no_larger_than_full_batches_need(images, batch_size, groups):
    explaining = [Cell(name, 0) for name in ("a", "b", "c")]
    found = list(
        scored_together([explaining[0], Cell(None, 0), *explaining[1:]], images, batch_size)
    )
    assert found[0] == [Cell(None, 0)]
    assert [len(group) for group in found[1:]] == groups
    assert [cell for group in found[1:] for cell in group] == explaining
    assert list(scored_together([], images, batch_size)) == []
