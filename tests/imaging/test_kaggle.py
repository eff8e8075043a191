"""Fetching from Kaggle: what is fetched is found again, what fails is one line at once."""

from __future__ import annotations

import os
import sys
import types

import pytest

from xaibench.errors import UserError
from xaibench.imaging import kaggle
from xaibench.progress import SilentProgress


@pytest.fixture
def hub(monkeypatch) -> types.ModuleType:
    """A kagglehub that fetches nothing, and a site that answers."""
    module = types.ModuleType("kagglehub")
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    monkeypatch.setattr(kaggle, "_check_reachable", lambda by_hand: None)
    return module


def fetch(root):
    return kaggle.fetch("owner/name", root, SilentProgress())


def test_the_root_becomes_a_link_to_what_was_fetched(hub, tmp_path):
    (tmp_path / "kept").mkdir()
    hub.dataset_download = lambda handle: str(tmp_path / "kept")
    assert fetch(tmp_path / "data" / "set") == tmp_path / "kept"
    assert (tmp_path / "data" / "set").resolve() == tmp_path / "kept"


def test_a_folder_that_is_there_stays(hub, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "set").mkdir()
    hub.dataset_download = lambda handle: str(tmp_path / "kept")
    assert fetch(tmp_path / "set") == tmp_path / "kept"
    assert not (tmp_path / "set").is_symlink()


def test_a_failing_fetch_is_one_line(hub, tmp_path):
    def refused(handle: str) -> str:
        raise RuntimeError("403")

    hub.dataset_download = refused
    with pytest.raises(
        UserError, match=r"owner/name cannot be fetched from Kaggle \(403\); try again, or unpack"
    ):
        fetch(tmp_path / "new")
    assert not (tmp_path / "new").is_symlink()


def test_a_missing_kagglehub_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install 'xaibench\[kaggle\]', or unpack"):
        fetch(tmp_path / "new")


def test_an_unreachable_site_is_said_at_once(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "kagglehub", types.ModuleType("kagglehub"))
    monkeypatch.setattr(kaggle, "SITE", "http://127.0.0.1:9")
    for variable in [v for v in os.environ if v.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable)
    with pytest.raises(UserError, match=r"127.0.0.1:9 cannot be reached .* synthesize"):
        fetch(tmp_path / "new")
