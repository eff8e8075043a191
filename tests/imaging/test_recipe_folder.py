"""A generated folder appears whole or not at all, and is known again by its recipe."""

import json

import pytest

from xaibench.errors import UserError
from xaibench.imaging.recipe_folder import generated_folder, generated_set, set_name

RECIPE = {"generator": "toy", "version": 1, "sizes": (3, 2), "rate": None}


def fill(root, recipe=RECIPE):
    with generated_folder(root, recipe) as folder:
        if folder is not None:
            (folder / "deep").mkdir()
            (folder / "deep" / "picture.txt").write_text("drawn")
    return folder


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


def test_a_set_is_known_by_its_generator_and_its_marker(tmp_path):
    fill(tmp_path / "toy", RECIPE | {"shortcut_rate": 0.9})
    made = generated_set(tmp_path / "toy", "toy")
    assert (made.root, made.recipe["version"], made.tagged) == (tmp_path / "toy", 1, True)
    assert generated_set(tmp_path / "toy", "another") is None
    assert generated_set(tmp_path, "toy") is None
    (tmp_path / "toy" / "recipe.json").write_text("{")
    with pytest.raises(UserError, match=r"recipe.json: cannot be read .*; generate the set anew"):
        generated_set(tmp_path / "toy", "toy")


@pytest.mark.parametrize(
    ("rate", "whole", "name"),
    [
        ("real", True, "scans"),
        ("real", False, "scans_subset"),
        (None, True, "scans_synthetic"),
        (0.5, False, "scans_shortcut_synthetic"),
    ],
)
def test_neither_a_part_nor_a_generated_set_has_the_originals_name(tmp_path, rate, whole, name):
    made = None
    if rate != "real":
        fill(tmp_path / "toy", RECIPE | {"shortcut_rate": rate})
        made = generated_set(tmp_path / "toy", "toy")
    assert set_name("scans", made, whole) == name
