"""A hub that answers and then gives nothing; networks built for one size."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
import torch

from xaibench.errors import UserError
from xaibench.models.timm import Timm


class _Broken(BaseHTTPRequestHandler):
    def _answer(self):
        self.send_response(200 if self.path == "/" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = _answer  # noqa: N815 - names that http.server asks for

    def log_message(self, *_):
        pass


@pytest.fixture
def broken_hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Broken)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    monkeypatch.setattr("xaibench.models.timm._cached", lambda _: False)
    yield url
    server.shutdown()
    server.server_close()


def _build(fallback):
    plugin = Timm("resnet18", weights="imagenet", weights_fallback=fallback)
    return plugin.build(task="binary", classes=("a", "b"), channels=3, size=(32, 32))


def test_a_hub_that_gives_no_files_is_as_good_as_none(broken_hub):
    begun = time.monotonic()
    model = _build("none")
    assert time.monotonic() - begun < 10
    assert model.weights.startswith(
        "none (imagenet was asked for, but timm's hub cannot be reached"
    )
    with pytest.raises(UserError, match=r"Service Unavailable.*weights_fallback"):
        _build("error")


def test_a_network_of_one_size_is_built_for_the_images():
    model = Timm("vit_tiny_patch16_224", weights="none").build(
        task="binary", classes=("a", "b"), channels=3, size=(96, 96)
    )
    assert model(torch.rand(2, 3, 96, 96)).shape == (2, 2)
