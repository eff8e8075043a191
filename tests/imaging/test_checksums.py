"""Sums are computed once as long as a file stays as it is."""

from __future__ import annotations

import hashlib
import os

import pytest

from xaibench.imaging import checksums as module
from xaibench.imaging.checksums import checksums
from xaibench.progress import SilentProgress

QUIET = SilentProgress()


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / name for name in ("a.bin", "b.bin")]
    for path in paths:
        path.write_bytes(path.name.encode() * 1000)
    return paths


@pytest.fixture
def read(monkeypatch):
    """The files whose bytes were read, in order."""
    seen = []
    whole = module.file_md5
    monkeypatch.setattr(module, "file_md5", lambda path: (seen.append(path.name), whole(path))[1])
    return seen


def test_sums_are_md5_of_the_bytes(files, tmp_path):
    assert checksums(files, tmp_path / "cache", QUIET) == {
        path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in files
    }


def test_a_file_is_read_once(files, read, tmp_path):
    first = checksums(files, tmp_path / "cache", QUIET)
    assert checksums(files, tmp_path / "cache", QUIET) == first
    assert read == ["a.bin", "b.bin"]


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_file_that_changed_is_read_again(files, read, tmp_path, change):
    before = checksums(files, tmp_path / "cache", QUIET)
    stat = files[0].stat()
    if change == "size":
        files[0].write_bytes(b"other")
        os.utime(files[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        files[0].write_bytes(bytes(stat.st_size))
        os.utime(files[0], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000))
    after = checksums(files, tmp_path / "cache", QUIET)
    assert read == ["a.bin", "b.bin", "a.bin"]
    assert after["a.bin"] == hashlib.md5(files[0].read_bytes()).hexdigest() != before["a.bin"]
    assert after["b.bin"] == before["b.bin"]


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path):
    paths = [tmp_path / folder / "x.bin" for folder in ("one", "two")]
    sums = []
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(path.parent.name.encode())
        sums.append(checksums([path], tmp_path / "cache", QUIET)["x.bin"])
    assert sums[0] != sums[1]


def test_no_files_need_no_cache(tmp_path):
    assert checksums([], tmp_path / "cache", QUIET) == {}
    assert not (tmp_path / "cache").exists()
