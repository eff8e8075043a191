"""TensorBoard's event files, read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_training import OPTIONS, STEPS, Stop, fit_toy

from xaibench.errors import UserError
from xaibench.training import events

OPTION = OPTIONS.model_copy(update={"tensorboard": True})
pytestmark = pytest.mark.usefixtures("one_thread")


def _scalars(checkpoint: Path) -> dict[str, list[tuple[int, float]]]:
    read = EventAccumulator(str(checkpoint / "tensorboard"))
    read.Reload()
    return {t: [(e.step, e.value) for e in read.Scalars(t)] for t in read.Tags()["scalars"]}


def _expected(log) -> dict[str, list[tuple[int, float]]]:
    parts = [(f, p) for f in ("loss", "accuracy", "auroc") for p in ("train", "valid")]
    tags = {f"{figure}/{part}": f"{part}_{figure}" for figure, part in parts}
    tags["learning_rate"] = "learning_rate"
    of = lambda column: zip(log.step, log[column], strict=True)
    return {tag: [(s, pytest.approx(v)) for s, v in of(column)] for tag, column in tags.items()}


def test_the_log_is_read_back_also_when_training_was_resumed(tmp_path: Path) -> None:
    for at in (STEPS + 1, 1):  # the second epoch's figures come after both
        with pytest.raises(KeyboardInterrupt):
            fit_toy(tmp_path, options=OPTION, progress=Stop(at, KeyboardInterrupt))
    _, trained = fit_toy(tmp_path, options=OPTION)
    assert _scalars(trained.folder) == _expected(trained.log)
    assert trained.log.step.tolist() == [STEPS, 2 * STEPS, 3 * STEPS]


def test_it_is_no_part_of_the_key_and_is_made_when_asked_for_later(tmp_path: Path) -> None:
    _, first = fit_toy(tmp_path)
    assert not (first.folder / "tensorboard").exists()
    _, second = fit_toy(tmp_path, options=OPTION)
    assert second.trained_steps == 0
    assert second.key == first.key
    assert _scalars(second.folder) == _expected(first.log)


def test_without_the_package_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"tensorboard is missing.*pip install 'xaibench\[tens"):
        fit_toy(tmp_path, options=OPTION)
    assert not list(tmp_path.iterdir())
