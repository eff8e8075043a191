"""Many files are read at once and in order; what is bad is counted and named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from heard import Heard

from xaibench.errors import UserError
from xaibench.imaging.image_files import BadImage
from xaibench.imaging.many_files import check_bad, of_each, read_all
from xaibench.progress import Advance, Progress, SilentProgress


class Counted(SilentProgress):
    def __init__(self) -> None:
        self.done: dict[str, int] = {}

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Advance]:
        self.done[title] = done

        def advance(units: int) -> None:
            self.done[title] += units

        yield advance
        assert self.done[title] == total


def read_number(path: Path) -> int:
    if path.stem.startswith("bad"):
        raise BadImage(path, "is empty")
    return int(path.stem)


def read(names: list[str], allowed_bad: float, progress: Progress) -> list[int | BadImage]:
    files = [Path(name) for name in names]
    return read_all(files, read_number, allowed_bad=allowed_bad, progress=progress, title="Reading")


def test_all_are_read_in_order():
    progress = Heard()
    assert read([f"{i}.png" for i in range(50)], 0.0, progress) == list(range(50))
    assert progress.lines == []


def test_bad_files_are_counted_and_the_first_named():
    names = ["1.png", "bad1.png", "bad2.png", "2.png", "bad3.png", "bad4.png"]
    with pytest.raises(UserError) as caught:
        read(names, 0.5, SilentProgress())
    assert str(caught.value) == (
        "4 of 6 image files are bad: bad1.png: is empty; bad2.png: is empty; bad3.png: is empty "
        "and 1 more; mend or remove them, or raise allowed_bad (now 0.5) to leave them out"
    )


def test_allowed_bad_files_are_named_and_keep_their_place():
    progress = Heard()
    found = read(["1.png", "bad1.png", "2.png", "3.png"], 0.25, progress)
    assert [found[i] for i in (0, 2, 3)] == [1, 2, 3]
    assert isinstance(found[1], BadImage)
    assert progress.lines == []  # who asked may have read them before
    check_bad([found[1]], 4, 0.25, progress)
    assert progress.lines == ["1 of 4 image files are bad: bad1.png: is empty; left out"]


@pytest.mark.parametrize(("bad", "allowed", "passes"), [(1, 0.0, False), (1, 0.1, True)])
def test_the_share_allowed_is_inclusive(bad, allowed, passes):
    found = [BadImage(Path("a.png"), "is empty")] * bad
    if passes:
        check_bad(found, 10, allowed, SilentProgress())
    else:
        with pytest.raises(UserError):
            check_bad(found, 10, allowed, SilentProgress())


def test_an_error_that_is_no_bad_image_ends_the_reading():
    with pytest.raises(ValueError, match="invalid literal"):
        read(["1.png", "x.png", *(f"{i}.png" for i in range(20))], 0.5, SilentProgress())


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
def test_each_file_has_its_own_result_and_counts_as_progress(count):
    heard = Counted()
    files = [Path(f"{at}.png") for at in range(count)]
    stems = of_each(files, lambda file: int(file.stem), progress=heard, title="Looking")
    assert stems == list(range(count))
    assert heard.done == {"Looking": count}
