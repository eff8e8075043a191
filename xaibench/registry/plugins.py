"""Finds plugins by name: our folders, entry points, files named in a config, dotted paths.

In our folders the file's stem is the name, ``FAMILY.stem`` in the folder of a family that another
library gives. Listing reads source as text and never imports a plugin, so it needs no torch. A
plugin is imported when it is asked for by name.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.metadata
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from xaibench.errors import UserError, did_you_mean
from xaibench.registry.module_files import module_of

KINDS = ("dataset", "model", "explainer", "metric")
LIST = "xaibench list"  # the command that shows them all
T = TypeVar("T", bound=type)
_REQUIRED = re.compile(r"[\w.-]+")
_EXTRA = re.compile(r"""extra == ['"]([\w.-]+)""")


def register(kind: str) -> Callable[[T], T]:
    """Mark a class as the plugin of its file; the file's stem is its name, see above."""

    def mark(cls: T) -> T:
        if getattr(cls, "kind", None) != kind:
            raise UserError(f"{cls.__module__}: @register({kind!r}) on a class that is no {kind}")
        module, ours = cls.__module__, f"xaibench.{kind}s."
        own = module.startswith(ours)
        cls.name = _name(*module.removeprefix(ours).split(".")) if own else module.split(".")[-1]
        return cls

    return mark


@dataclass(frozen=True)
class Plugin:
    """Where a plugin is found; ``load`` imports it."""

    kind: str
    name: str
    summary: str
    source: str
    load: Callable[[], type]


class Registry:
    """Every plugin that a run can name.

    Args:
        files: plugin files named in a config.
    """

    def __init__(self, files: Iterable[Path] = ()) -> None:
        self._plugins: dict[tuple[str, str], Plugin] = {}
        for kind in KINDS:
            for plugin in _ours(kind):
                self._add(plugin)
            for point in importlib.metadata.entry_points(group=f"xaibench.{kind}s"):
                self._add(_from_entry_point(kind, point))
        for path in files:
            if not path.is_file():
                raise UserError(f"plugin file {path} does not exist")
            if "." in path.stem:
                raise UserError(
                    f"{path}: its stem is the plugin's name, which has no dot; rename it"
                )
            plugin = _read(path, path.stem, None, str(path))
            if plugin is None:
                raise UserError(f"{path}: no plugin; put @register({KINDS[2]!r}) on its class")
            self._add(plugin)

    def _add(self, plugin: Plugin) -> None:
        known = self._plugins.setdefault((plugin.kind, plugin.name), plugin)
        if known is not plugin:
            raise UserError(
                f"{plugin.kind} {plugin.name!r} is registered twice: by {known.source} and by "
                f"{plugin.source}; rename one"
            )

    def plugins(self) -> list[Plugin]:
        return sorted(self._plugins.values(), key=lambda p: (KINDS.index(p.kind), p.name))

    def names(self, kind: str) -> list[str]:
        return [p.name for p in self.plugins() if p.kind == kind]

    def find(self, kind: str, name: str) -> Plugin:
        """Return a plugin by name or dotted path (``package.module:Class``).

        Raises:
            UserError: no such plugin; lists the names that exist.
        """
        if ":" in name:
            return _from_path(kind, name)
        if (kind, name) not in self._plugins:
            raise UserError(f"unknown {kind} {name!r}{did_you_mean(name, self.names(kind), LIST)}")
        return self._plugins[kind, name]

    def load(self, kind: str, name: str) -> type:
        """Return the class of a plugin; see ``find``."""
        return self.find(kind, name).load()


@functools.cache  # our own files do not change while we run
def _ours(kind: str) -> tuple[Plugin, ...]:
    """Return the plugins of one of our folders."""
    folder = Path(__file__).parents[1] / f"{kind}s"
    found = []
    for path in sorted([*folder.glob("*.py"), *folder.glob("*/*.py")]):
        parts = path.relative_to(folder).with_suffix("").parts
        module = ".".join(("xaibench", folder.name, *parts))
        found.append(_read(path, _name(*parts), module, "xaibench"))
    return tuple(plugin for plugin in found if plugin)


def find_named(named: str, kind: str | None = None, files: Iterable[Path] = ()) -> Plugin:
    """Return the plugin that a person means: a file, a NAME, KIND:NAME or package.module:Class.

    Args:
        kind: where plugins of two kinds share the name.
        files: further plugin files that may hold it.

    Raises:
        UserError: there is none of that name, or several.
    """
    if kind is not None and kind not in KINDS:
        raise UserError(f"--kind: unknown kind {kind!r}{did_you_mean(kind, KINDS)}")
    if Path(named).suffix == ".py" or Path(named).is_file():
        path = Path(named)
        return next(p for p in Registry([*files, path]).plugins() if p.source == str(path))
    registry = Registry(files)
    first, colon, rest = named.partition(":")
    if colon and first in KINDS:
        return registry.find(first, rest)
    if colon:
        return registry.find(kind or _kind_at(named), named)
    found = [p for p in registry.plugins() if p.name == named and kind in (None, p.kind)]
    if not found:
        names = [p.name for p in registry.plugins() if kind in (None, p.kind)]
        raise UserError(f"unknown {kind or 'plugin'} {named!r}{did_you_mean(named, names, LIST)}")
    if len(found) > 1:
        kinds = " or ".join(f"{p.kind}:{named}" for p in found)
        raise UserError(f"{named!r} is the name of {len(found)} plugins; say {kinds}")
    return found[0]


def _kind_at(path: str) -> str:
    """Return the kind of the class at a dotted path; of none the most frequent one.

    Whoever then asks for it is told what is wrong.
    """
    module, _, attribute = path.partition(":")
    try:
        kind = getattr(getattr(importlib.import_module(module), attribute), "kind", None)
    except (Exception, SystemExit):
        return KINDS[2]
    return kind if kind in KINDS else KINDS[2]


def _name(*parts: str) -> str:
    """Return a plugin's name: a family's folder ends in ``_`` where a plugin has its name, too."""
    return ".".join(part.rstrip("_") for part in parts)


def _read(path: Path, name: str, module: str | None, source: str) -> Plugin | None:
    """Return the plugin that a file defines, by reading it; None where it defines none.

    Args:
        module: of ours, which it is; None for a file of a user's.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as Python: {error}") from error
    found = [
        (call.args[0].value, node)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("register") and call.args
        and isinstance(call.args[0], ast.Constant)
    ]  # fmt: skip
    if not found:
        return None
    if len(found) > 1:
        raise UserError(f"{path}: {len(found)} plugins in one file; one plugin, one file")
    kind, node = found[0]
    if kind not in KINDS:
        raise UserError(f"{path}: unknown kind of plugin{did_you_mean(str(kind), KINDS)}")
    doc = ast.get_docstring(node) or ast.get_docstring(tree) or ""
    load = lambda: getattr(_import_ours(module) if module else _import_file(path), node.name)
    return Plugin(kind, name, doc.partition("\n")[0], source, load)


def _import_file(path: Path) -> object:
    try:
        return module_of(path, "xaibench_plugin")
    except (Exception, SystemExit) as error:
        raise UserError(f"{path}: failed to import: {type(error).__name__}: {error}") from error


def _import_ours(module: str) -> object:
    """Import one of our own plugins; a family's library may be missing, which is told."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "xaibench":
            raise
        _, kinds, *parts = module.split(".")
        raise UserError(
            f"{kinds[:-1]} {_name(*parts)!r} needs the package {package!r}, which is not "
            f"installed; pip install {_extra_with(package)}"
        ) from None


def _extra_with(package: str) -> str:
    """Return what pip installs a package by: the extra of ours that names it, or else itself."""
    for needed in importlib.metadata.requires("xaibench") or ():
        named, _, condition = needed.partition(";")
        extra = _EXTRA.search(condition)
        if extra and _REQUIRED.match(named)[0].replace("-", "_").lower() == package.lower():
            return f"'xaibench[{extra[1]}]'"
    return package


def _from_path(kind: str, path: str) -> Plugin:
    module, _, attribute = path.partition(":")

    def load() -> type:
        try:
            cls = importlib.import_module(module)
            for part in attribute.split("."):
                cls = getattr(cls, part)
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{kind} {path!r} cannot be imported: {type(error).__name__}: {error}; "
                "write `package.module:Class`, of a package that is installed or on PYTHONPATH"
            ) from error
        if not inspect.isclass(cls) or getattr(cls, "kind", None) != kind:
            raise UserError(f"{path!r} is no {kind} class")
        return _renamed(cls, path)

    return Plugin(kind, path, "", module, load)


@functools.cache
def _renamed(cls: type, name: str) -> type:
    """Return a subclass of another name: under its own, if it has one, it stays what it was."""
    own = {"name": name, "__doc__": cls.__doc__, "__module__": cls.__module__}
    return type(cls.__name__, (cls,), own)


def _from_entry_point(kind: str, point: importlib.metadata.EntryPoint) -> Plugin:
    package = point.dist.name if point.dist else point.module

    def load() -> type:
        try:
            cls = point.load()
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{kind} {point.name!r} of package {package} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not inspect.isclass(cls) or getattr(cls, "kind", None) != kind:
            raise UserError(f"entry point {point.name!r} of package {package} is no {kind} class")
        cls.name = point.name
        return cls

    return Plugin(kind, point.name, f"(from package {package})", package, load)
