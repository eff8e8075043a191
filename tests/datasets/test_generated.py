"""A generated folder appears whole or not at all; drawings come in order whoever draws them."""

import json
from itertools import count, islice

import pytest

from xaibench.datasets import generated
from xaibench.datasets.generated import drawn_in_order, generated_folder
from xaibench.errors import UserError

RECIPE = {"generator": "toy", "version": 1, "sizes": (3, 2), "rate": None}


def fill(root, recipe=RECIPE):
    with generated_folder(root, recipe) as folder:
        if folder is not None:
            (folder / "deep").mkdir()
            (folder / "deep" / "picture.txt").write_text("drawn")
    return folder


def square(number):
    if number < 0:
        raise ValueError(f"no square of {number} here")
    return number * number


def test_a_folder_holds_what_was_written_and_the_recipe(tmp_path):
    root = tmp_path / "new" / "toy_synthetic"
    with generated_folder(root, RECIPE) as folder:
        assert folder.parent == root.parent
        assert folder.name.startswith(".")
        assert not root.exists()
        (folder / "picture.txt").write_text("drawn")
    assert {path.name for path in root.iterdir()} == {"picture.txt", "recipe.json"}
    assert json.loads((root / "recipe.json").read_text()) == RECIPE | {"sizes": [3, 2]}
    assert list(root.parent.iterdir()) == [root]


def test_the_same_recipe_leaves_nothing_to_do(tmp_path):
    root = tmp_path / "set"
    fill(root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert fill(root) is None
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_another_recipe_is_refused_and_kept(tmp_path):
    root = tmp_path / "set"
    fill(root)
    with pytest.raises(
        UserError, match=r'another recipe.*"version": 1.*"version": 2.*delete'
    ) as error:
        fill(root, RECIPE | {"version": 2})
    assert str(root) in str(error.value)
    assert (root / "deep" / "picture.txt").read_text() == "drawn"


@pytest.mark.parametrize("recipe", [None, "no json"])
def test_a_folder_of_something_else_is_refused_and_kept(tmp_path, recipe):
    (tmp_path / "mine.txt").write_text("keep")
    if recipe is not None:
        (tmp_path / "recipe.json").write_text(recipe)
    with pytest.raises(UserError, match=r"no generated set.*choose another folder or delete"):
        fill(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_nothing(tmp_path, error):
    def interrupted():
        with generated_folder(tmp_path / "set", RECIPE) as folder:
            (folder / "picture.txt").write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_not_taken_over(tmp_path):
    with generated_folder(tmp_path / "probe", RECIPE) as folder:
        name = folder.name.replace("probe", "set")
    (tmp_path / name).mkdir()
    (tmp_path / name / "stale.txt").write_text("stale")
    fill(tmp_path / "set")
    assert not (tmp_path / "set" / "stale.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"probe", "set"}


def fill_slowly(root, quicker):
    """Fill ``root``; before that is done, another process makes it by the recipe ``quicker``."""
    with generated_folder(root, RECIPE) as folder:
        (folder / "slow.txt").write_text("slow")
        folder.rename(root.with_name("aside"))  # the other process has a folder of its own
        fill(root, quicker)
        root.with_name("aside").rename(folder)


def test_of_two_processes_the_quicker_one_wins(tmp_path):
    root = tmp_path / "set"
    fill_slowly(root, RECIPE)
    assert list(tmp_path.iterdir()) == [root]
    assert {path.name for path in root.iterdir()} == {"deep", "recipe.json"}


def test_a_quicker_process_with_another_recipe_is_an_error(tmp_path):
    root = tmp_path / "set"
    with pytest.raises(UserError, match="another recipe"):
        fill_slowly(root, RECIPE | {"version": 2})
    assert list(tmp_path.iterdir()) == [root]


@pytest.mark.parametrize("workers", [1, 2])
def test_drawings_come_in_order(workers):
    with drawn_in_order(square, range(50), workers) as drawn:
        assert list(drawn) == [number * number for number in range(50)]


@pytest.mark.parametrize("workers", [1, 2])
def test_only_a_short_queue_is_drawn_ahead(workers):
    taken = []
    items = (taken.append(number) or number for number in count())
    with drawn_in_order(square, items, workers) as drawn:
        assert list(islice(drawn, 3)) == [0, 1, 4]
    ahead = 0 if workers == 1 else generated._QUEUE
    assert 3 <= len(taken) <= 3 + ahead


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_drawing_reaches_the_caller(workers):
    with drawn_in_order(square, [2, -1, 3], workers) as drawn:
        assert next(drawn) == 4
        with pytest.raises(ValueError, match="no square of -1 here"):
            next(drawn)


def test_less_than_one_worker_is_refused():
    with pytest.raises(UserError, match=r"workers is 0.*at least 1"), drawn_in_order(square, [], 0):
        pass
