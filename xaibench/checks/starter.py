"""A plugin to begin with: files that work as they are, for their author to edit."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from xaibench.atomic import check_writable, write_text
from xaibench.errors import UserError, did_you_mean
from xaibench.registry import KINDS, Registry

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Starter:
    """What is written for a new plugin.

    Attributes:
        package: an installable package of its own, instead of a file with its test.
    """

    kind: str
    name: str
    package: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"unknown kind of plugin {self.kind!r}{did_you_mean(self.kind, KINDS)}")
        said = f"{self.name!r} cannot be the name of a plugin"
        if not _NAME.fullmatch(self.name) or keyword.iskeyword(self.name):
            raise UserError(
                f"{said}: use small letters, digits and _, a letter first, and no word of Python's "
                "own, such as my_method"
            )
        if self.name in Registry().names(self.kind):
            raise UserError(f"{said}: there is {_a(self.kind)} of that name; see `xaibench list`")
        if importlib.util.find_spec(self.name) is not None:
            raise UserError(f"{said}: Python has a module of that name, which it would hide")

    @property
    def class_name(self) -> str:
        return "".join(part[:1].upper() + part[1:] for part in self.name.split("_"))

    def files(self) -> Mapping[str, str]:
        """Return the files to write: name -> text."""
        name = self.name
        module = f"{name}.{name}" if self.package else name
        words = {"kind": self.kind, "name": name, "cls": self.class_name, "module": module}
        words["package"] = self.package
        plugin, config = f"{self.kind}.py", f"{name}.yaml"
        if not self.package:
            templates = {f"{name}.py": plugin, f"test_{name}.py": "test.py", config: "config.yaml"}
        else:
            templates = {
                f"src/{name}/__init__.py": "__init__.py",
                f"src/{name}/{name}.py": plugin,
                f"tests/test_{name}.py": "test.py",
                config: "config.yaml",
                "pyproject.toml": "pyproject.toml",
                "README.md": "README.md",
            }
        loader = jinja2.FileSystemLoader(Path(__file__).parent / "starters")
        environment = jinja2.Environment(
            loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        return {
            file: environment.get_template(f"{template}.jinja").render(words)
            for file, template in templates.items()
        }

    def write(self, folder: Path) -> list[Path]:
        """Write all files into a folder and return them; none where one is there already.

        Raises:
            UserError: one is there already; nothing is written.
        """
        texts = {folder / name: text for name, text in self.files().items()}
        there = [str(path) for path in texts if path.exists()]
        if there:
            raise UserError(
                f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already, and "
                "nothing is overwritten; choose another name or --dir"
            )
        check_writable(folder, "--dir")
        for path, text in texts.items():
            write_text(path, text)
        return list(texts)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
