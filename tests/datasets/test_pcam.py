"""PatchCamelyon's six files: found, unpacked, fetched or generated, and read as they are."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

from xaibench.datasets.pcam import Pcam
from xaibench.errors import UserError
from xaibench.imaging import download
from xaibench.imaging.layouts import pcam
from xaibench.imaging.layouts.pcam import file_name
from xaibench.phantoms.pcam import PcamPhantoms
from xaibench.progress import SilentProgress

COUNTS = {"train": 40, "valid": 10, "test": 12}
TUMOUR = np.ones(12, int)


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("generated") / "set"
    PcamPhantoms(root, seed=0, shortcut_rate=0.9, **COUNTS).write(SilentProgress(), workers=1)
    return root


@pytest.fixture
def root(generated, tmp_path) -> Path:
    """The six files alone, as the original has them."""
    root = tmp_path / "pcam"
    root.mkdir()
    for part in pcam.MD5:
        shutil.copy(generated / file_name(part), root)
    return root


@pytest.fixture
def opened(tmp_path):
    def open_it(root: Path, seed: int = 0, **options):
        dataset = Pcam(root=root, **options)
        return dataset.open(seed=seed, cache=tmp_path / "cache", progress=SilentProgress())

    return open_it


def raw(root: Path, part: str) -> np.ndarray:
    with h5py.File(root / file_name(part)) as file:
        return file[part[-1]][:]


def pack(root: Path) -> None:
    for path in root.glob("*.h5"):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()


def rewrite(root: Path, part: str, **datasets: np.ndarray) -> None:
    with h5py.File(root / file_name(part), "w") as file:
        for name, values in datasets.items():
            file[name] = values


def test_the_six_files_are_opened(root, opened):
    data = opened(root)
    assert (data.name, data.task, data.classes) == ("pcam_subset", "binary", ("normal", "tumour"))
    assert (data.channels, data.size) == (3, (96, 96))
    assert {name: len(split) for name, split in data.splits.items()} == COUNTS
    for name, split in data.splits.items():
        assert split.labels.tolist() == raw(root, f"{name}_y").ravel().tolist()
        assert split.labels.dtype == np.int64
        assert split.ids[-1] == f"{name}_{COUNTS[name] - 1:06d}"
    assert data.facts["images"] == COUNTS
    assert data.facts["positives"]["test"] == {"normal": 6, "tumour": 6}


def test_only_the_whole_original_is_called_pcam(root, opened, monkeypatch):
    monkeypatch.setattr(pcam, "SIZES", COUNTS)
    assert opened(root).name == "pcam"


def test_images_are_read_in_any_order_and_more_than_once(root, opened):
    split, patches = opened(root).splits["test"], raw(root, "test_x")
    for at in ([0, 1, 2], [11, 3, 7], [5, 5, 0, 5], []):
        images = split.images(np.array(at, int))
        assert images.dtype == np.uint8
        assert np.array_equal(images, patches[at])


def test_packed_files_are_unpacked_beside_themselves(root, opened):
    checksum = opened(root).checksum
    pack(root)
    assert opened(root).checksum == checksum
    assert len(list(root.glob("*.h5"))) == 6


def test_in_a_folder_that_is_read_only_files_are_unpacked_in_the_cache(
    root, opened, monkeypatch, tmp_path
):
    checksum = opened(root).checksum
    pack(root)
    monkeypatch.setattr(pcam.os, "access", lambda path, mode: path != root)
    assert opened(root).checksum == checksum
    assert not list(root.glob("*.h5"))
    unpacked = sorted((tmp_path / "cache" / "unpacked").rglob("*.h5"))
    assert len(unpacked) == 6
    before = [path.stat().st_mtime_ns for path in unpacked]
    opened(root)
    assert [path.stat().st_mtime_ns for path in unpacked] == before


def test_a_fraction_of_the_training_set_is_drawn_by_label_and_seed(root, opened):
    draws = [opened(root, seed, train_fraction=0.5) for seed in (0, 0, 1)]
    train = [data.splits["train"] for data in draws]
    assert [len(split) for split in train] == [20] * 3
    assert [split.labels.sum() for split in train] == [10] * 3
    assert train[0].ids.tolist() == train[1].ids.tolist() != train[2].ids.tolist()
    assert len(draws[0].splits["test"]) == 12
    rows = [int(name[-6:]) for name in train[0].ids]
    assert np.array_equal(train[0].images(np.arange(20)), raw(root, "train_x")[rows])


def test_real_positives_know_only_their_centre(root, opened):
    split = opened(root).splits["test"]
    masks = split.masks(np.arange(12), TUMOUR)
    assert list(masks) == ["centre_weak"]
    wanted = np.zeros((96, 96), bool)
    wanted[32:64, 32:64] = True
    for mask, label in zip(masks["centre_weak"], split.labels, strict=True):
        assert np.array_equal(mask, wanted & bool(label))


def test_generated_patches_know_their_evidence_and_the_shortcut(generated, opened):
    options = PcamPhantoms(generated, seed=0, shortcut_rate=0.9, **COUNTS)
    data = opened(Path("nowhere"), when_missing="synthesize", synthetic=options)
    assert data.name == "pcam_shortcut_synthetic"
    assert data.facts["generated"] is True
    split = data.splits["test"]
    masks = split.masks(np.arange(12), TUMOUR)
    assert list(masks) == ["evidence", "tag"]
    assert masks["evidence"].any((1, 2)).tolist() == (split.labels == 1).tolist()
    assert masks["tag"].any()


def test_no_mask_speaks_for_the_absence_of_tumour(root, generated, opened):
    options = PcamPhantoms(generated, seed=0, shortcut_rate=0.9, **COUNTS)
    synthetic = opened(Path("nowhere"), when_missing="synthesize", synthetic=options)
    for data in (opened(root), synthetic):
        for mask in data.splits["test"].masks(np.arange(12), 1 - TUMOUR).values():
            assert mask.shape == (12, 96, 96)
            assert not mask.any()


def test_missing_files_are_generated_once(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(pcam.os, "cpu_count", lambda: 1)
    options = PcamPhantoms(tmp_path / "made", train=6, valid=2, test=4)
    data = opened(tmp_path / "none", when_missing="synthesize", synthetic=options)
    assert data.name == "pcam_synthetic"
    assert list(data.splits["test"].masks(np.arange(4), TUMOUR[:4])) == ["evidence"]
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()}
    again = opened(tmp_path / "none", when_missing="synthesize", synthetic=options)
    assert again.checksum == data.checksum
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "made").iterdir()} == made


def test_real_files_are_preferred_to_generated_ones(root, opened, tmp_path):
    options = PcamPhantoms(tmp_path / "made", train=6, valid=2, test=4)
    assert opened(root, when_missing="synthesize", synthetic=options).name == "pcam_subset"
    assert not (tmp_path / "made").exists()


def test_groups_are_slides_where_a_table_names_them(root, generated, opened):
    split = opened(root).splits["train"]
    assert split.groups.tolist() == split.ids.tolist()
    shutil.copy(generated / file_name("train_meta", "csv"), root)
    groups = opened(root).splits["train"].groups
    assert set(groups) == {"train_slide_000"}
    assert len(groups) == 40


def test_missing_files_are_an_error_by_default(root, opened, tmp_path):
    (root / file_name("valid_y")).unlink()
    with pytest.raises(UserError) as caught:
        opened(root)
    assert str(caught.value).startswith(f"root: {root} lacks 1 of 6 files ({file_name('valid_y')} ")
    assert "set when_missing to download or synthesize" in str(caught.value)
    with pytest.raises(UserError, match="lacks 6 of 6 files"):
        Pcam(root=tmp_path / "none").validate()


@pytest.mark.parametrize(
    ("part", "datasets", "message"),
    [
        ("test_x", {"x": np.zeros((11, 96, 96, 3), "u1")}, "test_y.h5 has 12 rows for 11 images"),
        (
            "test_x",
            {"x": np.zeros((12, 64, 64, 3), "u1")},
            r"test_x.h5 are \(64, 64, 3\); all must",
        ),
        ("test_x", {"z": np.zeros(3)}, r"has images of train, valid but none of test .*test_x/x"),
        (
            "test_y",
            {"y": np.full((12, 1, 1, 1), 2, "u1")},
            "test_y.h5 row 0 is 2, .* classes are only 2",
        ),
        ("test_y", {"y": np.zeros((12, 1, 1, 3), "u1")}, r"test_y.h5 is uint8 of shape \(12, 1, 1"),
        ("test_y", {"z": np.zeros(3)}, "has images of test but no '.*test_y/y'"),
    ],
)
def test_a_file_of_another_shape_is_named(root, opened, part, datasets, message):
    rewrite(root, part, **datasets)
    with pytest.raises(UserError, match=message) as caught:
        opened(root)
    assert str(root) in str(caught.value)


def test_patches_of_another_size_are_refused(root, opened):
    for name, count in COUNTS.items():
        rewrite(root, f"{name}_x", x=np.zeros((count, 32, 32, 3), "u1"))
    with pytest.raises(UserError, match=r"are \(32, 32, 3\); PatchCamelyon's are 96 x 96 x 3"):
        opened(root)


@pytest.mark.parametrize("part", ["train_x", "train_y"])
def test_a_truncated_file_is_named(root, opened, part):
    path = root / file_name(part)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match=rf"{path.name}: no readable HDF5 file .*fetch it anew"):
        opened(root)


def test_a_truncated_packed_file_is_named_and_nothing_is_kept(root, opened):
    pack(root)
    packed = root / file_name("train_x", "h5.gz")
    packed.write_bytes(packed.read_bytes()[:-1000])
    with pytest.raises(UserError, match=rf"{packed.name} is broken"):
        opened(root)
    assert not (root / file_name("train_x")).exists()


@pytest.fixture
def server(generated, tmp_path, monkeypatch):
    """Zenodo, as far as it is needed; yields the names that were asked for."""
    folder, asked = tmp_path / "zenodo", []
    folder.mkdir()
    for part in pcam.MD5:
        shutil.copy(generated / file_name(part), folder)
    pack(folder)

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "PAUSE", 0.01)
    sums = {
        part: hashlib.md5((folder / file_name(part, "h5.gz")).read_bytes()).hexdigest()
        for part in pcam.MD5
    }
    monkeypatch.setattr(pcam, "MD5", sums)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as httpd:
        monkeypatch.setattr(pcam, "ZENODO", f"http://127.0.0.1:{httpd.server_port}")
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        yield asked
        httpd.shutdown()
        thread.join()


def test_missing_files_are_downloaded_once(server, generated, opened, tmp_path):
    root = tmp_path / "fetched"
    data = opened(root, when_missing="download")
    assert data.name == "pcam_subset"
    assert sorted(server) == sorted(f"/{file_name(p, 'h5.gz')}?download=1" for p in pcam.MD5)
    for part in pcam.MD5:
        name = file_name(part)
        assert (root / name).read_bytes() == (generated / name).read_bytes()
    assert len(list(root.iterdir())) == 6
    opened(root, when_missing="download")
    assert len(server) == 6


def test_wrong_bytes_are_refused_and_not_kept(server, opened, tmp_path, monkeypatch):
    monkeypatch.setitem(pcam.MD5, "train_x", "0" * 32)
    with pytest.raises(UserError, match=rf"{file_name('train_x')}.*gave a file with MD5"):
        opened(tmp_path / "fetched", when_missing="download")
    assert list((tmp_path / "fetched").iterdir()) == []


def test_a_server_that_cannot_be_reached_is_told_at_once(opened, tmp_path, server, monkeypatch):
    monkeypatch.setattr(pcam, "ZENODO", "http://127.0.0.1:9")  # the discard port: none listens
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"cannot fetch http://127\.0\.0\.1:9/.*by hand"):
        opened(tmp_path / "fetched", when_missing="download")
    assert time.monotonic() - begun < 5


def test_a_generated_set_given_as_root_is_called_so(generated, opened):
    data = opened(generated)
    assert data.name == "pcam_shortcut_synthetic"
    assert data.facts["generated"]
    assert set(data.splits["test"].masks(np.arange(12), TUMOUR)) == {"evidence", "tag"}


@pytest.mark.real
def test_the_subset_of_real_patches(real_data, opened):
    data = opened(real_data / "pcam_subset")
    assert data.name == "pcam_subset"
    assert data.facts["images"] == {"train": 2000, "valid": 300, "test": 300}
    positives = sum(counted["tumour"] for counted in data.facts["positives"].values())
    assert positives / 2600 == pytest.approx(0.38, abs=0.01)
    images = data.splits["test"].images(np.array([299, 0]))
    assert images.shape == (2, 96, 96, 3)
    assert 0 < images.std() < 128
    assert data.splits["test"].masks(np.arange(1), TUMOUR[:1])["centre_weak"].sum() in (0, 1024)
