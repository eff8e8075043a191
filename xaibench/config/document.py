"""A YAML document that knows on which line each value stands, with ``--set`` laid over it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from xaibench.errors import UserError

_LARGEST = 1 << 20  # bytes; a config of thousands of lines has a tenth
_MANY = 100_000  # values, once aliases are written out; a large config has some hundreds
_DEEP = 50
_SHOWN = 40  # characters of a value in an error
_TEXT = re.compile(r"[^\x00\ud800-\udfff]*")
_TOO_DEEP = f"is nested more than {_DEEP} levels deep; a config has about five"

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
        origins: dict[Place, str] = {(): str(path)}
        try:
            node = yaml.compose(_text(path), Loader=_Loader)
            data = _Plain(str(path), origins).of(node, ()) if node else {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise UserError(f"{path}{line}: no valid YAML: {problem}") from None
        except RecursionError:
            raise UserError(f"{path}: {_TOO_DEEP}") from None
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


def _text(path: Path) -> str:
    """Return a config's text; UserError where it is none."""
    try:
        if not path.is_file():
            if path.is_dir():
                raise UserError(f"{path}: is a folder; name a config, a YAML file")
            raise UserError(f"{path}: no such config (working directory {Path.cwd()})")
        if (size := path.stat().st_size) > _LARGEST:
            raise UserError(f"{path}: has {size} bytes; a config has at most {_LARGEST}")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}:{line}: is no UTF-8 (byte 0x{data[error.start]:02x}); save it as UTF-8"
        ) from None


@dataclass
class _Plain:
    """Makes plain data of a document's nodes, noting each place's line in ``origins``.

    Aliases are written out; so many that it cannot be meant are refused, as is a value within
    itself.
    """

    path: str
    origins: dict[Place, str]
    made: int = 0
    within: list[yaml.Node] = field(default_factory=list)

    def of(self, node: yaml.Node, place: Place) -> Any:
        """Return a node's plain data; UserError on a mistake."""
        line = f"{self.path}:{node.start_mark.line + 1}"
        self.made += 1
        if self.made > _MANY:
            raise UserError(
                f"{line}: with its aliases (*) written out the config has over {_MANY} values; "
                "repeat less"
            )
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node, line)
        if any(node is outer for outer in self.within):
            raise UserError(f"{line}: an alias (*) stands inside its own anchor (&)")
        if len(self.within) >= _DEEP:
            raise UserError(f"{line}: {_TOO_DEEP}")
        self.within.append(node)
        inside = self._mapping if isinstance(node, yaml.MappingNode) else self._list
        made = inside(node, place)
        self.within.pop()
        return made

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        mapping = {}
        for key_node, value_node in node.value:
            line = f"{self.path}:{key_node.start_mark.line + 1}"
            key = _scalar(key_node, line)
            if not isinstance(key, str):
                raise UserError(f"{line}: the key {key!r} must be text")
            if key in mapping:
                raise UserError(f"{line}: the key {key!r} stands twice")
            self.origins[(*place, key)] = line
            mapping[key] = self.of(value_node, (*place, key))
        return mapping

    def _list(self, node: yaml.SequenceNode, place: Place) -> list[Any]:
        for i, item in enumerate(node.value):
            self.origins[(*place, i)] = f"{self.path}:{item.start_mark.line + 1}"
        return [self.of(item, (*place, i)) for i, item in enumerate(node.value)]


def _scalar(node: yaml.Node, line: str) -> str | int | float | bool | None:
    if not isinstance(node, yaml.ScalarNode):
        raise UserError(f"{line}: a key must be text, and is a list or a mapping")
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        raise UserError(f"{line}: no valid YAML: {problem}") from None
    except Exception:  # a tag (!!) that does not fit fails in any way
        kind = node.tag.rpartition(":")[2]
        raise UserError(f"{line}: {_cut(node.value)!r} is no valid {kind}; quote text") from None
    if value is not None and not isinstance(value, str | int | float | bool):
        raise UserError(f"{line}: {value!r} is no text, number, true, false or null; quote it")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise UserError(f"{line}: the number {_cut(node.value)} is too large; quote text")
    if isinstance(value, str) and not _TEXT.fullmatch(value):
        raise UserError(f"{line}: {_cut(value)!r} holds a character that is no text")
    return value


def _cut(text: str) -> str:
    return text if len(text) < _SHOWN else f"{text[:_SHOWN]}..."


def _override(data: dict[str, Any], override: str, origins: dict[Place, str]) -> None:
    said = f"--set {override}"
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f"{said}: must read a.b=value")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        raise UserError(f"{said}: the value is no valid YAML") from None
    except RecursionError:
        raise UserError(f"{said}: {_TOO_DEEP}") from None
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
    parent[keys[-1]] = _Plain(said, origins).of(node, place) if node else None
    stale = [known for known in origins if known[: len(place)] == place]
    origins.update(dict.fromkeys([*stale, place], said))
