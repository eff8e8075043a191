"""Downloads against a local server that misbehaves in the ways real ones do."""

from __future__ import annotations

import gzip
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from xaibench.errors import UserError
from xaibench.imaging import download as module
from xaibench.imaging.download import download, file_md5, gunzip
from xaibench.progress import Advance, Progress, SilentProgress

BODY = bytes(i * i % 251 for i in range(1_000_003))
MD5 = hashlib.md5(BODY).hexdigest()
QUIET = SilentProgress()


class Recorder(Progress):
    """Remembers each stage as [title, total, done]."""

    def __init__(self) -> None:
        self.stages: list[list] = []
        self.begun: list[int] = []

    @contextmanager
    def stage(self, title: str, total: int, done: int = 0) -> Iterator[Advance]:
        stage = [title, total, done]
        self.stages.append(stage)
        self.begun.append(done)

        def advance(units: int) -> None:
            stage[2] += units

        yield advance

    def say(self, line: str) -> None:
        raise AssertionError(line)


class Server(ThreadingHTTPServer):
    """Serves ``body``; the fields say how it errs."""

    daemon_threads = True
    body = BODY
    ranges = True
    tells_length = True
    status = 200
    shift = 0  # added to where an answer to a Range request begins
    location = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks: list[int] = []  # bytes after which each of the first connections ends
        self.asked: list[str | None] = []
        self.sent: list[tuple[int, bytes]] = []
        self.release = threading.Event()
        self.hang = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.bin"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.hang:
            server.release.wait(10)
            return
        start = int(re.match(r"bytes=(\d+)-$", wanted)[1]) if wanted and server.ranges else 0
        if server.status >= 300 or 0 < len(server.body) <= start:
            return self.answer(server.status if server.status >= 300 else 416)
        start += server.shift if start else 0
        data, total = server.body[start:], len(server.body)
        span = {"Content-Range": f"bytes {start}-{total - 1}/{total}"} if start else {}
        length = {"Content-Length": str(len(data))} if server.tells_length else {}
        self.answer(206 if start else 200, {**length, **span})
        server.sent.append((start, data[: server.breaks.pop(0)] if server.breaks else data))
        self.wfile.write(server.sent[-1][1])

    def answer(self, code: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        location = {"Location": self.server.location} if self.server.location else {}
        for name, value in {**location, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "PAUSE", 0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "file.bin"


def part_of(target: Path) -> Path:
    return target.with_name("file.bin.part")


def put_part(target: Path, content: bytes) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(content)


def refused(
    url: str, target: Path, md5: str = MD5, timeout: float = 5.0, within: float = 2.0
) -> str:
    """The message with which the download ends, which has to come in ``within`` seconds."""
    begun = time.monotonic()
    with pytest.raises(UserError) as caught:
        download(url, target, md5, QUIET, timeout)
    assert time.monotonic() - begun < within
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_whole(server: Server, target: Path) -> None:
    progress = Recorder()
    assert download(server.url, target, MD5.upper(), progress) == target
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]
    assert progress.stages == [["Downloading file.bin", len(BODY), len(BODY)]]


def test_goes_on_where_the_connection_broke(server: Server, target: Path) -> None:
    server.breaks, progress = [300_000, 1, 200_000], Recorder()
    download(server.url, target, MD5, progress, attempts=1)
    assert target.read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-", "bytes=300001-", "bytes=500001-"]
    assert sum(len(data) for _, data in server.sent) == len(BODY)
    assert progress.stages == [["Downloading file.bin", len(BODY), len(BODY)]]


def test_goes_on_with_the_part_of_an_earlier_run(server: Server, target: Path) -> None:
    put_part(target, BODY[:400_000])
    progress = Recorder()
    download(server.url, target, MD5, progress)
    assert target.read_bytes() == BODY
    assert [(start, len(data)) for start, data in server.sent] == [(400_000, len(BODY) - 400_000)]
    assert progress.begun == [400_000]
    assert progress.stages == [["Downloading file.bin", len(BODY), len(BODY)]]


def test_whole_part_makes_no_request(server: Server, target: Path) -> None:
    put_part(target, BODY)
    assert download(server.url, target, MD5, QUIET).read_bytes() == BODY
    assert server.asked == []


def test_range_ignored_starts_over(server: Server, target: Path) -> None:
    server.ranges, server.breaks, progress = False, [300_000], Recorder()
    download(server.url, target, MD5, progress)
    assert target.read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-"]
    assert progress.stages == [["Downloading file.bin", len(BODY), len(BODY)]]


def test_wrong_range_starts_over(server: Server, target: Path) -> None:
    server.shift = 5
    put_part(target, BODY[:400_000])
    assert download(server.url, target, MD5, QUIET).read_bytes() == BODY
    assert server.asked == ["bytes=400000-", None]


def test_part_beyond_the_end_starts_over_on_416(server: Server, target: Path) -> None:
    put_part(target, BODY + b"more")
    assert download(server.url, target, MD5, QUIET).read_bytes() == BODY
    assert server.asked == [f"bytes={len(BODY) + 4}-", None]


@pytest.mark.parametrize("ranges", [True, False])
def test_ends_when_nothing_more_comes(server: Server, target: Path, ranges: bool) -> None:
    """Also where each attempt starts over and breaks off at the same byte."""
    server.ranges, server.breaks = ranges, [1000] + [0 if ranges else 1000] * 9
    message = refused(server.url, target)
    assert (
        f"the connection ended after 1000 of {len(BODY)} bytes; run again later, or put" in message
    )
    assert len(server.asked) == 4
    assert part_of(target).read_bytes() == BODY[:1000]
    assert not target.exists()


def test_wrong_bytes_leave_nothing(server: Server, target: Path) -> None:
    server.body = b"something else"
    message = refused(server.url, target)
    got = hashlib.md5(b"something else").hexdigest()
    assert message == (
        f"{server.url} gave a file with MD5 {got}, not {MD5}; "
        f"run again to fetch it anew, or put the right file at {target} by hand"
    )
    assert list(target.parent.iterdir()) == []


def test_part_of_another_file_is_not_kept(server: Server, target: Path) -> None:
    put_part(target, b"x" * 400_000)
    assert "run again to fetch it anew" in refused(server.url, target)
    assert download(server.url, target, MD5, QUIET).read_bytes() == BODY


@pytest.mark.parametrize("body", [b"", b"short"])
def test_short_file_over_an_empty_part(server: Server, target: Path, body: bytes) -> None:
    server.body = body
    put_part(target, b"")
    assert download(server.url, target, hashlib.md5(body).hexdigest(), QUIET).read_bytes() == body
    assert server.asked == [None]


def test_length_not_said(server: Server, target: Path) -> None:
    server.tells_length, progress = False, Recorder()
    assert download(server.url, target, MD5, progress).read_bytes() == BODY
    assert progress.stages == [["Downloading file.bin", 0, len(BODY)]]


def test_existing_file_makes_no_request(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(BODY)
    assert download(server.url, target, MD5, QUIET) == target
    assert server.asked == []


def test_existing_wrong_file_is_named_and_kept(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(BODY[:-1])
    message = refused(server.url, target)
    got = hashlib.md5(BODY[:-1]).hexdigest()
    assert message == f"{target} has MD5 {got}, not {MD5}; remove it to fetch it again"
    assert target.read_bytes() == BODY[:-1]
    assert server.asked == []


def test_closed_port(target: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file.bin"
        message = refused(url, target)
    mend = f"run again later, or put the file at {target} by hand"
    assert message == f"cannot fetch {url}: Connection refused; {mend}"


@pytest.mark.parametrize(
    ("status", "cause"), [(404, "HTTP 404 Not Found"), (503, "HTTP 503 Service Unavailable")]
)
def test_http_error_is_final(server: Server, target: Path, status: int, cause: str) -> None:
    server.status = status
    assert f"cannot fetch {server.url}: {cause}; " in refused(server.url, target)
    assert server.asked == [None]


def test_file_gone_in_between_is_final(server: Server, target: Path) -> None:
    server.breaks = [1000]

    def vanish(*_: object) -> None:
        server.status = 404

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", vanish)
        with pytest.raises(UserError, match="HTTP 404"):
            download(server.url, target, MD5, QUIET)
    assert server.asked == [None, "bytes=1000-"]


def test_silent_server(server: Server, target: Path) -> None:
    server.hang = True
    message = refused(server.url, target, timeout=0.3, within=1.0)
    assert f"cannot fetch {server.url}: " in message
    assert "timed out" in message or "no answer within 0.3 s" in message


def test_server_that_hangs_up_is_asked_again(server: Server, target: Path) -> None:
    server.hang = True
    server.release.set()
    assert "closed connection without response" in refused(server.url, target)
    assert len(server.asked) == 3


def test_silence_in_the_middle(target: Path) -> None:
    """Bytes that came stay for the next run."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients: list[socket.socket] = []

        def serve() -> None:
            client, _ = listener.accept()
            clients.append(client)
            client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/file.bin"
        with pytest.raises(UserError, match=r"timed out|no answer within"):
            download(url, target, MD5, QUIET, timeout=0.2, attempts=1)
        thread.join()
        for client in clients:
            client.close()
    assert part_of(target).read_bytes() == b"abc"


def test_hanging_name_resolution(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, ended = threading.Event(), threading.Event()

    def resolve(*_: object, **__: object) -> None:
        release.wait(10)
        ended.set()
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    message = refused("http://host.invalid/f", target, timeout=0.2, within=1.0)
    assert "http://host.invalid/f: no answer within 0.2 s; " in message
    release.set()
    assert ended.wait(5)


def test_unknown_name(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    message = refused("http://host.invalid/f", target)
    assert "cannot fetch http://host.invalid/f: Name or service not known; " in message


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://127.0.0.1/f", "file.bin"])
def test_other_schemes(target: Path, url: str) -> None:
    assert f"cannot fetch {url}: only http and https addresses" in refused(url, target)


@pytest.mark.parametrize(
    "url", ["http://", "http://[", "http://h:port/", "http://a..b/", "http://a b/"]
)
def test_malformed_address(target: Path, url: str) -> None:
    assert f"cannot fetch {url}: " in refused(url, target)


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/f", "file:///etc/hosts"])
def test_redirect_out_of_http(server: Server, target: Path, location: str) -> None:
    server.status, server.location = 302, location
    assert f"cannot fetch {server.url}: " in refused(server.url, target)


def test_proxy_of_the_environment(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    assert download("http://host.invalid/f", target, MD5, QUIET).read_bytes() == BODY


def test_disk_that_refuses(server: Server, target: Path) -> None:
    target.parent.write_text("a file where the folder should be")
    message = refused(server.url, target)
    assert message == f"cannot store {target}: File exists; mend it and run again"


def test_redirect_loop_in_one_line(server: Server, target: Path) -> None:
    server.status, server.location = 302, server.url
    assert "HTTP 302 The HTTP server returned a redirect error" in refused(server.url, target)


def pack(tmp_path: Path, change: Callable[[bytes], bytes] = bytes) -> Path:
    source = tmp_path / "file.bin.gz"
    source.write_bytes(change(gzip.compress(BODY)))
    return source


def test_gunzip(tmp_path: Path, target: Path) -> None:
    source, progress = pack(tmp_path), Recorder()
    assert gunzip(source, target, progress) == target
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]
    size = source.stat().st_size
    assert progress.stages == [["Unpacking file.bin.gz", size, size]]


@pytest.mark.parametrize(
    "change",
    [
        lambda packed: packed[:-4],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-8] + b"0000" + packed[-4:],
        lambda packed: packed[:100] + b"\xff" * 50 + packed[150:],
        lambda packed: packed + b"rest",
        lambda packed: b"no gzip",
        lambda packed: b"",
    ],
    ids=["end", "half", "crc", "middle", "tail", "other", "empty"],
)
def test_broken_gzip_leaves_no_target(
    tmp_path: Path, target: Path, change: Callable[[bytes], bytes]
) -> None:
    source = pack(tmp_path, change)
    with pytest.raises(UserError) as caught:
        gunzip(source, target, QUIET)
    assert str(caught.value).startswith(f"{source} is broken: ")
    assert str(caught.value).endswith("; remove and fetch it anew")
    assert list(target.parent.iterdir()) == []


def test_missing_gzip(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "none.gz"
    with pytest.raises(UserError) as caught:
        gunzip(source, target, QUIET)
    assert str(caught.value) == f"cannot unpack {source} into {target}: No such file or directory"


def test_unpacking_onto_a_disk_that_refuses(tmp_path: Path, target: Path) -> None:
    source = pack(tmp_path)
    target.parent.write_text("a file where the folder should be")
    with pytest.raises(UserError) as caught:
        gunzip(source, target, QUIET)
    assert str(caught.value) == f"cannot unpack {source} into {target}: File exists"


def test_broken_gzip_leaves_an_older_target(tmp_path: Path, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"older")
    with pytest.raises(UserError, match="is broken"):
        gunzip(pack(tmp_path, lambda packed: packed[:-4]), target, QUIET)
    assert target.read_bytes() == b"older"


def test_file_md5(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(BODY)
    assert file_md5(tmp_path / "x") == MD5
