"""The documentation as a site: it builds without a warning, holds every plugin, and asks nobody."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xaibench
from xaibench.registry import Registry

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(ROOT / "docs" / "site" / "build.py"), str(out)]
    made = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert made.returncode == 0, made.stderr
    return out


def test_every_plugin_and_public_name_has_its_place(site):
    for plugin in Registry().plugins():
        page = site / "plugins" / f"{plugin.kind}s" / f"{plugin.name}.html"
        assert f"<title>{plugin.name} - xaibench</title>" in page.read_text()
    api = (site / "api.html").read_text()
    assert [name for name in xaibench.__all__ if f".{name}" not in api] == []


def test_the_site_asks_no_other_machine(site):
    asked = re.compile(
        r"""(?:<script[^>]*src|<link[^>]*href|<img[^>]*src)="(?:https?:)?//[^"]*"|@import|url\(['"]?https?:"""
    )
    for page in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert asked.findall(page.read_text(encoding="utf-8")) == []


def test_links_between_pages_lead_somewhere(site):
    for page in site.rglob("*.html"):
        for target in re.findall(r'href="([^"#]+\.html)', page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).resolve().exists(), f"{page.name}: {target}"
