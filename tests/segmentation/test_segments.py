"""Label maps of batches: the same inline, from workers, from the cache, and after a kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_segmentations import Deadly, Levels, Picky, Slow

from xaibench.checks.stage import toy_batch
from xaibench.segmentation import segmenter as module
from xaibench.segmentation.quickshift import Quickshift
from xaibench.segmentation.segmenter import Segmenter, workers_beside
from xaibench.segmentation.slic import Slic

SLIC = Slic(n_segments=12, compactness=10.0, sigma=1.0, lab=False)


@pytest.fixture
def batch():
    return toy_batch()


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"
    path.touch()
    return path


def by_hand(batch, segmentation):
    pixels, seeds = batch.images.numpy(), batch.seeds.tolist()
    labels = [segmentation(image, seed) for image, seed in zip(pixels, seeds, strict=True)]
    return torch.from_numpy(np.stack(labels))


def pids(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()]


def test_inline_is_image_by_image(batch):
    labels = Segmenter().labels(batch.images, batch.seeds, SLIC)
    assert labels.dtype == torch.int64
    assert torch.equal(labels, by_hand(batch, SLIC))
    assert torch.equal(Segmenter().labels(batch.images[3:4], batch.seeds[3:4], SLIC), labels[3:4])


def test_a_random_segmentation_gets_each_image_s_seed(batch, log):
    labels = Segmenter().labels(batch.images, batch.seeds, Levels(str(log)))
    assert torch.equal(labels, by_hand(batch, Levels(str(log))))
    moved = Segmenter().labels(batch.images, batch.seeds + 1, Levels(str(log)))
    assert not torch.equal(labels, moved)


def test_no_images_have_no_labels(batch):
    labels = Segmenter().labels(batch.images[:0], batch.seeds[:0], SLIC)
    assert labels.shape == (0, 32, 32)


def test_how_images_lie_in_memory_does_not_matter(batch, tmp_path, log):
    levels = Levels(str(log))
    first = Segmenter(tmp_path).labels(batch.images, batch.seeds, levels)
    last = batch.images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(Segmenter(tmp_path).labels(last, batch.seeds, levels), first)
    assert len(pids(log)) == len(batch)


def test_each_image_is_computed_once(batch, tmp_path, log):
    levels = Levels(str(log))
    twice = torch.cat([batch.images, batch.images[:2]])
    seeds = torch.cat([batch.seeds, batch.seeds[:2]])
    with Segmenter(tmp_path / "cache") as segmenter:
        first = segmenter.labels(twice, seeds, levels)
        assert torch.equal(segmenter.labels(twice.flip(0), seeds.flip(0), levels), first.flip(0))
    again = Segmenter(tmp_path / "cache").labels(batch.images, batch.seeds, levels)
    assert torch.equal(again, first[:5])
    assert len(pids(log)) == len(batch)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == len(batch)


def test_a_broken_file_is_made_anew(batch, tmp_path):
    first = Segmenter(tmp_path).labels(batch.images, batch.seeds, SLIC)
    files = sorted(tmp_path.rglob("*.npz"))
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:-30])
    whole = {file: file.read_bytes() for file in files[2:]}
    assert torch.equal(Segmenter(tmp_path).labels(batch.images, batch.seeds, SLIC), first)
    assert all(file.read_bytes() == bytes_ for file, bytes_ in whole.items())
    assert all(np.load(file, allow_pickle=False)["labels"].size for file in files)


@pytest.mark.parametrize("cached", [False, True])
def test_workers_give_the_same(batch, tmp_path, log, cached):
    levels = Levels(str(log))
    wanted = {each: by_hand(batch, each) for each in (SLIC, Quickshift(), levels)}
    log.write_text("")
    cache = tmp_path / "cache" if cached else None
    with Segmenter(cache, workers=2) as segmenter:
        for each in wanted:
            segmenter.begin(batch.images, batch.seeds, each)
        for each, labels in wanted.items():
            assert torch.equal(segmenter.labels(batch.images, batch.seeds, each), labels)
        assert os.getpid() not in pids(log)
        assert len(pids(log)) == len(batch)
        again = segmenter.labels(batch.images, batch.seeds, levels)
        assert torch.equal(again, wanted[levels])
        assert len(pids(log)) == len(batch) * (1 if cached else 2)
    for each, labels in wanted.items():  # closed, or from the cache
        assert torch.equal(segmenter.labels(batch.images, batch.seeds, each), labels)
        assert torch.equal(Segmenter(cache).labels(batch.images, batch.seeds, each), labels)


def test_without_workers_nothing_is_begun(batch, tmp_path, log):
    with Segmenter(tmp_path / "cache") as segmenter:
        segmenter.begin(batch.images, batch.seeds, Levels(str(log)))
    assert pids(log) == []


def test_no_process_starts_before_there_is_work(batch, tmp_path):
    Segmenter(tmp_path).labels(batch.images, batch.seeds, SLIC)
    with Segmenter(tmp_path, workers=2) as segmenter:
        segmenter.labels(batch.images, batch.seeds, SLIC)
        assert multiprocessing.active_children() == []


def test_what_a_segmentation_raises_comes_through_and_spoils_no_other(batch, tmp_path, log):
    picky = Picky(str(log))
    batch.images[1, 0, 0, 0] = 0
    good = [0, 2, 3, 4]
    with Segmenter(tmp_path / "cache", workers=2) as segmenter:
        with pytest.raises(ValueError, match="dark corner"):
            segmenter.labels(batch.images, batch.seeds, picky)
        labels = segmenter.labels(batch.images[good], batch.seeds[good], picky)
    assert torch.equal(labels, by_hand(batch.take(good), picky))


def test_when_the_workers_die_this_process_goes_on(batch, tmp_path, log):
    deadly = Deadly(str(log))
    with Segmenter(tmp_path / "cache", workers=2) as segmenter:
        with pytest.warns(RuntimeWarning, match="died"):
            labels = segmenter.labels(batch.images, batch.seeds, deadly)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # said once
            segmenter.begin(batch.images, batch.seeds + 1, deadly)
            segmenter.labels(batch.images, batch.seeds + 1, deadly)
    assert set(pids(log)) == {os.getpid()}
    assert torch.equal(labels, by_hand(batch, deadly))


def test_a_class_that_workers_cannot_import_is_computed_here(batch, log, monkeypatch):
    monkeypatch.setattr(Levels, "__module__", "xaibench_plugin.levels")
    with Segmenter(workers=2) as segmenter:
        labels = segmenter.labels(batch.images, batch.seeds, Levels(str(log)))
    assert set(pids(log)) == {os.getpid()}
    assert torch.equal(labels, by_hand(batch, Levels(str(log))))


def test_workers_need_no_torch():
    code = (
        "import sys; from xaibench.segmentation import label_maps, workers, quickshift; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_processes_beside_a_gpu_only(monkeypatch):
    monkeypatch.setattr(module, "spare_cores", lambda: 40)
    assert workers_beside(torch.device("cpu")) == 0
    assert workers_beside(torch.device("cuda:1")) == 16
    monkeypatch.setattr(module, "spare_cores", lambda: 0)
    assert workers_beside(torch.device("cuda")) == 0


def run_slowly(cache: Path, log: Path) -> None:
    """What the killed process of the test below does."""
    batch = toy_batch(images=40)
    Segmenter(cache, workers=2).labels(batch.images, batch.seeds, Slow(str(log)))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def until(what, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not (done := what()) and time.monotonic() < end:
        time.sleep(0.05)
    return done


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_a_kill_leaves_whole_files_and_no_worker(tmp_path, log):
    cache = tmp_path / "cache"
    here = str(Path(__file__).parent)
    code = (
        f"import sys; sys.path.insert(0, {here!r}); from pathlib import Path; import test_segments;"
        f"test_segments.run_slowly(Path({str(cache)!r}), Path({str(log)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert until(lambda: len(pids(log)) > 5)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    workers = set(pids(log))
    assert until(lambda: not any(map(alive, workers)))
    done = len(list(cache.rglob("[!.]*.npz")))
    assert 0 < done < 40
    log.write_text("")
    batch, slow = toy_batch(images=40), Slow(str(log))
    labels = Segmenter(cache).labels(batch.images, batch.seeds, slow)
    assert len(pids(log)) == 40 - done
    assert torch.equal(labels, by_hand(batch, slow))
