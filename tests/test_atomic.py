"""Files appear whole or not at all, and a file system that refuses them is told in one sentence."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from xaibench import atomic
from xaibench.atomic import check_writable, refusal, replacing, telling, write_text
from xaibench.errors import UserError

REFUSALS = {
    errno.ENOSPC: "No space left on device; make room, and the same command goes on",
    errno.EDQUOT: "Disk quota exceeded; make room, and the same command goes on",
    errno.EROFS: "Read-only file system; name another place, or change its rights",
    errno.EACCES: "Permission denied; name another place, or change its rights",
}


@pytest.mark.parametrize("code", REFUSALS)
def test_what_is_refused_midway_leaves_the_old_file_and_no_draft(tmp_path, code):
    file = tmp_path / "table.csv"
    write_text(file, "old")

    def write() -> None:
        with replacing(file) as partial:
            partial.write_text("half")
            raise OSError(code, os.strerror(code))

    with pytest.raises(UserError) as caught:
        write()
    assert str(caught.value) == f"{file}: cannot be written: {REFUSALS[code]}"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert file.read_text() == "old"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Can't decrement id ref count (No space left on device)"),
        OSError("unable to write: [Errno 28] no space left on device"),
    ],
)
def test_libraries_that_wrap_the_systems_words_are_understood(tmp_path, error):
    with (
        pytest.raises(UserError, match="cannot be written: No space left"),
        telling(tmp_path / "a"),
    ):
        raise error


def test_an_error_without_words_on_a_full_disk_is_told_as_such(tmp_path, monkeypatch):
    full = type("Usage", (), {"free": 0})
    monkeypatch.setattr(atomic.shutil, "disk_usage", lambda path: full)
    with pytest.raises(UserError, match="No space left"), telling(tmp_path / "new" / "a"):
        raise RuntimeError("file write failed")


def test_any_other_error_stays_what_it_is(tmp_path):
    for error in (
        ValueError("no"),
        RuntimeError("no"),
        OSError(errno.EIO, "broken"),
        UserError("x"),
    ):
        with pytest.raises(type(error)) as caught, telling(tmp_path / "a"):
            raise error
        assert caught.value is error


def test_a_file_that_is_read_meanwhile_is_not_the_one_that_is_written(tmp_path):
    other = str(tmp_path / "elsewhere" / "image.png")
    assert refusal(PermissionError(errno.EACCES, "no", other), tmp_path / "set" / "out") is None
    said = str(refusal(PermissionError(errno.EACCES, "no", other)))
    assert said == f"{other}: cannot be opened: {REFUSALS[errno.EACCES]}"


def test_a_file_in_the_path_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a part of its path is a file; name another place"):
        write_text(tmp_path / "file" / "deep" / "a.txt", "x")


def test_a_writable_folder_is_let_be(tmp_path):
    check_writable(tmp_path / "a" / "b", "--out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("deep", ["", "a/b"])
def test_a_file_is_no_folder_to_write_to(tmp_path, deep):
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(UserError, match=r"^--out \S+: \S+file is a file; name another folder$"):
        check_writable(file / deep, "--out")
    assert file.read_text() == "kept"


def test_a_link_to_nowhere_is_no_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="link is no folder; name another"):
        check_writable(tmp_path / "link" / "a", "--out")


@pytest.mark.parametrize("code", REFUSALS)
def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path, monkeypatch, code):
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic.tempfile, "TemporaryFile", refused)
    with pytest.raises(UserError) as caught:
        check_writable(tmp_path / "a", "--out")
    why = os.strerror(code)
    mend = "name another folder, or make this one writable"
    assert str(caught.value) == f"--out {tmp_path / 'a'}: cannot be written ({why}); {mend}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_device_says_what_we_expect():
    with (
        pytest.raises(OSError, match="No space left") as caught,
        open("/dev/full", "wb", 0) as file,
    ):
        file.write(b"x")
    assert "No space left on device; make room" in str(refusal(caught.value))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux' own")
def test_a_folder_of_the_system_cannot_be_written():
    with pytest.raises(UserError, match=r"^--out /proc/none/a: cannot be written"):
        check_writable(Path("/proc/none/a"), "--out")
