"""What the tests of training share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from toy_training import fit_toy

from xaibench.training.loop import Trained


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads only wait for each other on nets this small, tenfold so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(
    one_thread: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, torch.Tensor], Trained]:
    """A training that nothing interrupted."""
    return fit_toy(tmp_path_factory.mktemp("whole"))
