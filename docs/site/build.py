"""Build the documentation as a site that opens from disk: ``python docs/site/build.py OUT``.

Pages are the files of ``docs/``, the README and its like, and what is made here of the code: a page
a plugin from its docstring and fields, and the public names. So they can never say something else.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import main as sphinx

import xaibench
from xaibench.checks.description import describe
from xaibench.config.parameters import REQUIRED
from xaibench.registry import KINDS, Plugin, Registry

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
}
TITLES = {"explainer": "Explainers", "metric": "Metrics", "model": "Models", "dataset": "Data sets"}
CONTENTS = """

```{{toctree}}
:hidden:
:caption: {caption}

{pages}
```
"""


def build(out: Path) -> int:
    """Build the site; a warning of Sphinx is an error. Returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        for file, page in pages().items():
            copied(file, page, source)
        lists(Registry(), source / "plugins")
        api(source / "api.md")
        contents(source)
        options = ["-q", "-W", "--keep-going", "-c", str(Path(__file__).parent)]
        return sphinx([*options, str(source), str(out)])


def pages() -> dict[str, str]:
    """Return the files of the project that are pages: file -> page."""
    docs = sorted((ROOT / "docs").rglob("*.md"))
    return PAGES | {str(p.relative_to(ROOT)): str(p.relative_to(ROOT / "docs")) for p in docs}


def copied(file: str, page: str, source: Path) -> None:
    """Write a file of the project as a page, its links turned to pages, images, or plain text."""
    known, up = pages(), "../" * page.count("/")

    def link(found: re.Match) -> str:
        image, text, target = found.groups()
        if "://" in target or target.startswith("#"):
            return found[0]
        at = (ROOT / file).parent.joinpath(target).resolve().relative_to(ROOT)
        if image:
            (source / "images").mkdir(exist_ok=True)
            shutil.copy(ROOT / at, source / "images" / at.name)
            return f"![{text}]({up}images/{at.name})"
        return f"[{text}]({up}{known[str(at)]})" if str(at) in known else f"{text} (`{at}`)"

    said = (ROOT / file).read_text(encoding="utf-8")
    said = re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, said)
    (source / page).parent.mkdir(exist_ok=True)
    (source / page).write_text(said, encoding="utf-8")


def contents(source: Path) -> None:
    """Append the table of contents to the first page."""
    how_to = sorted(f"how-to/{p.stem}" for p in (source / "how-to").glob("*.md"))
    parts = {
        "How to": how_to,
        "Reference": ["metrics", "errors", *(f"plugins/{kind}s" for kind in KINDS), "api"],
        "The project": ["architecture", "benchmarks", "contributing", "changelog"],
    }
    with (source / "index.md").open("a", encoding="utf-8") as index:
        for caption, pages in parts.items():
            index.write(CONTENTS.format(caption=caption, pages="\n".join(pages)))


def lists(registry: Registry, folder: Path) -> None:
    """Write a page a kind that lists its plugins, and a page each."""
    for kind in KINDS:
        (folder / f"{kind}s").mkdir(parents=True)
        found = [p for p in registry.plugins() if p.kind == kind]
        rows = [f"| [{p.name}]({kind}s/{p.name}.md) | {_one_line(p.summary)} |" for p in found]
        pages = "\n".join(f"{kind}s/{p.name}" for p in found)
        said = [f"# {TITLES[kind]}", "", "| name | what |", "|---|---|", *rows]
        said += [CONTENTS.format(caption=TITLES[kind], pages=pages)]
        (folder / f"{kind}s.md").write_text("\n".join(said), encoding="utf-8")
        for plugin in found:
            page = folder / f"{kind}s" / f"{plugin.name}.md"
            page.write_text(plugin_page(plugin), encoding="utf-8")


def plugin_page(plugin: Plugin) -> str:
    """Return a plugin's page: what `xaibench show` tells."""
    told = describe(plugin)
    facts = {"Source": told.reference, "Cost": told.cost} | {
        "Passes for one image of 96 x 96 by a small CNN": told.passes,
        **{name.capitalize(): text for name, text in told.facts.items()},
        "Cannot be used here": told.missing,
    }
    said = [f"# {told.name}", "", told.definition.replace("``", "`"), ""]
    said += [f"- **{name}**: {text}" for name, text in facts.items() if text]
    if told.parameters:
        said += ["", "## Parameters", "", "| name | default | what it may be |", "|---|---|---|"]
        for name, parameter in told.parameters.items():
            default = "must be set" if parameter.default is REQUIRED else f"`{parameter.default}`"
            said.append(f"| `{name}` | {default} | {_one_line(parameter.allowed)} |")
    title = "Protocol ids" if told.kind == "metric" else "Its id in tables"
    said += ["", f"## {title}", "", *(f"- `{text}`" for text in told.ids.values())]
    return "\n".join(said if told.ids else said[:-3]) + "\n"


def _one_line(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


def api(page: Path) -> None:
    """Write the page of the public names."""
    said = ["# API", "", "The names of `xaibench`, for notebooks and plugins.", ""]
    for name in xaibench.__all__:
        thing = getattr(xaibench, name)
        kind, members = ("class", "   :members:") if isinstance(thing, type) else ("function", "")
        at = f"{thing.__module__}.{thing.__qualname__}"
        said += ["```{eval-rst}", f".. auto{kind}:: {at}", members, "```", ""]
    page.write_text("\n".join(said), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1])))
