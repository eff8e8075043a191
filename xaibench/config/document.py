"""A YAML document that knows on which line each value stands, with ``--set`` laid over it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from xaibench.errors import UserError

Place = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but that 1e-4 is a number, as in YAML 1.2 and everywhere else."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


@dataclass(frozen=True)
class Document:
    """Plain data, and for each place in it where it was written.

    Attributes:
        spelled: how errors spell a place, where that is not the place itself.
    """

    path: Path
    data: dict[str, Any]
    origins: dict[Place, str]
    spelled: Mapping[Place, Place] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> Document:
        """Read a YAML mapping and lay ``a.b=value`` overrides over it; UserError on a mistake."""
        if not path.is_file():
            raise UserError(f"{path}: no such config (working directory {Path.cwd()})")
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise UserError(f"{path}{line}: no valid YAML: {problem}") from None
        origins: dict[Place, str] = {(): str(path)}
        try:
            data = _plain(node, (), str(path), origins) if node else {}
        except RecursionError:
            raise UserError(f"{path}: an alias (*) stands inside its own anchor (&)") from None
        if not isinstance(data, dict):
            raise UserError(f"{path}: must be a mapping of keys to values")
        for override in overrides:
            _override(data, override, origins)
        return cls(path, data, origins)

    @classmethod
    def said(cls, name: str, options: Mapping[str, Any], overrides: Sequence[str]) -> Document:
        """Return a document of the command line alone: options, and overrides over them.

        Args:
            name: how errors call the whole.
        """
        data = dict(options)
        origins: dict[Place, str] = {(): name} | {(key,): f"--{key} {data[key]}" for key in data}
        for override in overrides:
            _override(data, override, origins)
        return cls(Path(name), data, origins)

    def at(self, place: Place) -> Any:
        value: Any = self.data
        for key in place:
            value = value[key]
        return value

    def has(self, place: Place) -> bool:
        return place in self.origins

    def narrowed(self, place: Place, index: Mapping[str, int]) -> Document:
        """Return the document with one element in place of each list; errors name the element.

        Args:
            place: of the mapping that holds the lists.
            index: key of a list -> number of its element.
        """
        elements = {(*place, key): (*place, key, at) for key, at in index.items()}
        narrow = self.at(place) | {key: self.at(place)[key][at] for key, at in index.items()}
        return replace(
            self,
            data=_with(self.data, place, narrow),
            origins=self.origins | {whole: self.origins[one] for whole, one in elements.items()},
            spelled=elements,
        )

    def error(self, place: Place, message: str) -> UserError:
        """Return a UserError that begins with where ``place`` was written."""
        known = place
        while known not in self.origins:
            known = known[:-1]
        key = ".".join(map(str, self.spelled.get(place, place)))
        return UserError(f"{self.origins[known]}: {key + ': ' if key else ''}{message}")


def _with(data: Mapping[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """Return a mapping with another value at a place inside it."""
    first, *rest = place
    return dict(data) | {first: _with(data[first], tuple(rest), value) if rest else value}


def _plain(node: yaml.Node, place: Place, path: str, origins: dict[Place, str]) -> Any:
    """Return a node's plain data, noting each place's line."""
    if isinstance(node, yaml.MappingNode):
        mapping = {}
        for key_node, value_node in node.value:
            line = f"{path}:{key_node.start_mark.line + 1}"
            key = _scalar(key_node, line)
            if not isinstance(key, str):
                raise UserError(f"{line}: the key {key!r} must be text")
            if key in mapping:
                raise UserError(f"{line}: the key {key!r} stands twice")
            origins[(*place, key)] = line
            mapping[key] = _plain(value_node, (*place, key), path, origins)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            origins[(*place, i)] = f"{path}:{item.start_mark.line + 1}"
        return [_plain(item, (*place, i), path, origins) for i, item in enumerate(node.value)]
    return _scalar(node, f"{path}:{node.start_mark.line + 1}")


def _scalar(node: yaml.Node, line: str) -> str | int | float | bool | None:
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        problem = getattr(error, "problem", None) or error
        raise UserError(f"{line}: no valid YAML: {problem}") from None
    if value is not None and not isinstance(value, str | int | float | bool):
        raise UserError(f"{line}: {value!r} is no text, number, true, false or null; quote it")
    return value


def _override(data: dict[str, Any], override: str, origins: dict[Place, str]) -> None:
    said = f"--set {override}"
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f"{said}: must read a.b=value")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        raise UserError(f"{said}: the value is no valid YAML") from None
    place: Place = ()
    parent: Any = data
    keys = key.split(".")
    for step in keys[:-1]:
        if not isinstance(parent, dict):
            raise UserError(f"{said}: {'.'.join(map(str, place))} holds no keys")
        if parent.get(step) is None:
            parent[step] = {}
        place = (*place, step)
        origins.setdefault(place, said)
        parent = parent[step]
    if not isinstance(parent, dict):
        raise UserError(f"{said}: {'.'.join(map(str, place))} holds no keys")
    place = (*place, keys[-1])
    parent[keys[-1]] = _plain(node, place, said, origins) if node else None
    stale = [known for known in origins if known[: len(place)] == place]
    origins.update(dict.fromkeys([*stale, place], said))
