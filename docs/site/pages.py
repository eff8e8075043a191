"""Pages that are made while the site is built: from the README and its like, plugins, public names.

A page a plugin comes from its docstring and fields, so that it can never say something else.
"""

from __future__ import annotations

import re
from pathlib import Path

import mkdocs_gen_files

import xaibench
from xaibench.registry import KINDS, Plugin, Registry

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
}
TITLES = {"explainer": "Explainers", "metric": "Metrics", "model": "Models", "dataset": "Data sets"}


def copied(file: str, page: str) -> None:
    """Write a file of the project as a page, its links turned to pages or to plain text."""
    folder = Path(file).parent

    def link(found: re.Match) -> str:
        image, text, target = found.groups()
        if "://" in target or target.startswith("#"):
            return found[0]
        at = (ROOT / folder / target).resolve().relative_to(ROOT)
        if image:
            with mkdocs_gen_files.open(f"images/{at.name}", "wb") as copy:
                copy.write((ROOT / at).read_bytes())
            return f"![{text}](images/{at.name})"
        if str(at) in PAGES:
            return f"[{text}]({PAGES[str(at)]})"
        inside = at.parts[0] == "docs" and (ROOT / at).is_file()
        return f"[{text}]({at.relative_to('docs')})" if inside else f"{text} (`{at}`)"

    said = (ROOT / file).read_text(encoding="utf-8")
    with mkdocs_gen_files.open(page, "w") as out:
        out.write(re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, said))


def plugin_page(plugin: Plugin) -> None:
    with mkdocs_gen_files.open(f"plugins/{plugin.kind}s/{plugin.name}.md", "w") as out:
        out.write(f"# {plugin.name}\n\n")


def lists(registry: Registry) -> None:
    """Write a page a kind that lists its plugins, and a page each."""
    for kind in KINDS:
        with mkdocs_gen_files.open(f"plugins/{kind}s.md", "w") as out:
            out.write(f"# {TITLES[kind]}\n\n| name | what |\n|---|---|\n")
            for plugin in registry.plugins():
                if plugin.kind == kind:
                    out.write(f"| [{plugin.name}]({kind}s/{plugin.name}.md) | {plugin.summary} |\n")
                    plugin_page(plugin)


def api() -> None:
    """Write the page of the public names."""
    with mkdocs_gen_files.open("api.md", "w") as out:
        out.write("# API\n\nThe names of `xaibench`, for notebooks and plugins.\n\n")
        for name in xaibench.__all__:
            out.write(f"::: xaibench.{xaibench._HOMES[name]}.{name}\n\n")


for file, page in PAGES.items():
    copied(file, page)
lists(Registry())
api()
