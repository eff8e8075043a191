"""A generated set has the original's layout, follows from its recipe, and appears whole or not."""

import csv
import json
from contextlib import contextmanager

import h5py
import numpy as np
import pytest

from xaibench.config.reading import load_dataset
from xaibench.errors import UserError
from xaibench.phantoms.pcam import PATCHES_PER_SLIDE, PcamPhantoms
from xaibench.progress import SilentProgress

SIZES = {"train": 50, "valid": 41, "test": 7}


def write(root, sizes=SIZES, seed=3, rate=0.9, workers=1, progress=None):
    phantoms = PcamPhantoms(root, seed=seed, shortcut_rate=rate, **SIZES | sizes)
    phantoms.write(progress or SilentProgress(), workers)


def contents(root):
    """Every array and text of a set, by file and name."""
    found = {}
    for path in sorted(root.iterdir()):
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                found |= {(path.name, name): file[name][:] for name in file}
        else:
            found[path.name, ""] = np.array(path.read_text())
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "pcam_synthetic"
    write(root)
    return root


def test_files_are_laid_out_as_in_the_original(root):
    for split, size in SIZES.items():
        stem = f"camelyonpatch_level_2_split_{split}"
        with h5py.File(root / f"{stem}_x.h5") as file:
            assert (file["x"].shape, file["x"].dtype) == ((size, 96, 96, 3), np.uint8)
            assert (file["x"].chunks, file["x"].compression) == ((1, 96, 96, 3), "gzip")
        with h5py.File(root / f"{stem}_y.h5") as file:
            assert (file["y"].shape, file["y"].dtype) == ((size, 1, 1, 1), np.uint8)
            labels = file["y"][:].ravel()
            assert labels.sum() == size // 2
        with h5py.File(root / f"{stem}_mask.h5") as file:
            for name in ("evidence", "tag"):
                assert (file[name].shape, file[name].dtype) == ((size, 96, 96), np.uint8)
                assert (file[name].chunks, file[name].compression) == ((1, 96, 96), "gzip")
            assert np.array_equal(file["evidence"][:].any((1, 2)), labels)
        with open(root / f"{stem}_meta.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["wsi", "tumor_patch"]
        assert len(rows) == size
        assert all(row["tumor_patch"] == "True" for row, y in zip(rows, labels, strict=True) if y)


def test_labels_are_shuffled(root):
    with h5py.File(root / "camelyonpatch_level_2_split_train_y.h5") as file:
        labels = file["y"][:].ravel()
    assert 12 < np.count_nonzero(np.diff(labels.astype(int))) < 38


def test_no_slide_is_in_two_splits(root):
    slides = {}
    for split in SIZES:
        with open(root / f"camelyonpatch_level_2_split_{split}_meta.csv", newline="") as file:
            names = [row["wsi"] for row in csv.DictReader(file)]
        slides[split] = set(names)
        assert max(names.count(name) for name in slides[split]) <= PATCHES_PER_SLIDE
    assert len(set().union(*slides.values())) == sum(map(len, slides.values())) == 2 + 2 + 1


def test_the_set_follows_from_the_seed_whatever_the_workers(root, tmp_path):
    write(tmp_path / "two", workers=2)
    one, two = contents(root), contents(tmp_path / "two")
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[key], two[key]) for key in one)


def test_another_seed_and_another_split_draw_other_patches(root, tmp_path):
    write(tmp_path / "other", {"train": 7, "valid": 1, "test": 1}, seed=4)
    x = "camelyonpatch_level_2_split_{}_x.h5"
    sets = [(root, "train"), (root, "valid"), (root, "test"), (tmp_path / "other", "train")]
    first = set()
    for folder, split in sets:
        with h5py.File(folder / x.format(split)) as file:
            first.add(file["x"][0].tobytes())
    assert len(first) == 4


def test_a_matching_set_is_left_as_it_is(root, monkeypatch):
    monkeypatch.setattr(PcamPhantoms, "draw", lambda *_: pytest.fail("drew again"))
    before = {path: path.stat().st_mtime_ns for path in root.iterdir()}
    write(root)
    assert before == {path: path.stat().st_mtime_ns for path in root.iterdir()}
    recipe = json.loads((root / "recipe.json").read_text())
    assert recipe["version"] == PcamPhantoms.version
    assert (recipe["seed"], recipe["sizes"], recipe["shortcut_rate"]) == (3, SIZES, 0.9)


@pytest.mark.parametrize("change", [{"seed": 5}, {"rate": None}, {"sizes": {"train": 51}}])
def test_a_set_of_another_recipe_is_refused(root, change):
    with pytest.raises(
        UserError, match=r"another recipe.*choose another folder or delete"
    ) as error:
        write(root, **change)
    assert str(root) in str(error.value)


def test_a_folder_that_is_no_generated_set_is_refused_and_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match=r"no generated set.*choose another folder or delete"):
        write(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": {"valid": 0}}, "at least 1"),
        ({"rate": 0.3}, "between 0.5"),
        ({"workers": 0}, "workers is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path / "new", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("vaild: 8", "synthetic.vaild: unknown key 'vaild'.*did you mean 'valid'"),
        ("valid: 0", "synthetic.valid: must be greater than 0, got 0"),
        ("shortcut_rate: 0.4", "must be greater than or equal to 0.5, got 0.4"),
        ("seed: -1", "must be greater than or equal to 0, got -1"),
    ],
)
def test_a_config_is_told_what_is_wrong_with_its_keys(key, said):
    with pytest.raises(UserError, match=said):
        load_dataset("pcam", overrides=[f"synthetic={{{key}}}"], with_files=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interruption_leaves_nothing(tmp_path, workers):
    class Interrupting(SilentProgress):
        @contextmanager
        def stage(self, title, total, done=0):
            def advance(units):
                raise KeyboardInterrupt

            yield advance

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "set", {"train": 50}, workers=workers, progress=Interrupting())
    assert not list(tmp_path.iterdir())
