"""From YAML to a frozen RunConfig: all validation, before any data or model loads.

Every mistake is one UserError that says where (file and line, or the ``--set``), what it got,
what is allowed, and the nearest name. Relative paths are taken from the working directory, but
for ``plugins`` and what a plugin lists in ``beside``: there a file beside the config comes first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaibench.config.checking import checked
from xaibench.config.contradictions import check_task
from xaibench.config.document import Document, Place
from xaibench.config.grids import Row, rows_of
from xaibench.config.parameters import parameters_of
from xaibench.config.run_config import PlainConfig, RunConfig
from xaibench.errors import UserError, did_you_mean
from xaibench.registry import LIST, Registry

if TYPE_CHECKING:  # it is imported when a plugin is
    from xaibench.datasets.base import Dataset


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> RunConfig:
    """Read and check a config.

    Args:
        path: a YAML file.
        overrides: ``a.b=value`` each, the value as YAML.

    Raises:
        UserError: on the first mistake.
    """
    document = Document.read(Path(path), overrides)
    plain = checked(PlainConfig, _renamed(document.data), document, ())
    files = [_plugin_file(at, document) for at in range(len(plain.plugins))]
    try:
        registry = Registry(files)
    except UserError as error:
        raise document.error(("plugins",), str(error)) from None
    # All names first: they are known without importing a plugin, and with it torch.
    named = [("dataset", ("dataset",)), ("model", ("model",))]
    named += [("explainer", ("explainers", label)) for label in plain.explainers]
    named += [("metric", ("metrics", label)) for label in plain.metrics]
    for kind, place in named:
        _plugin_name(kind, place, document, registry)
    plugins = {kind: _plugin(kind, (kind,), document, registry) for kind in ("dataset", "model")}
    for kind, labels in {"explainer": plain.explainers, "metric": plain.metrics}.items():
        plugins[f"{kind}s"] = _rows(kind, labels, document, registry)
    config = RunConfig(**dict(plain) | plugins | {"plugins": tuple(map(str, files))})
    try:
        check_task(config, config.dataset.task)
    except UserError as error:
        key, _, said = str(error).partition(": ")
        raise document.error(tuple(key.split(".")), said) from None
    return config


def _renamed(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document in which ``acceleration``, as older runs wrote it, is ``engine``."""
    if "acceleration" not in data or "engine" in data:
        return data
    older = {"none": "eager", "compile": "inductor"}
    rest = {key: value for key, value in data.items() if key != "acceleration"}
    return rest | {"engine": older.get(data["acceleration"], data["acceleration"])}


def _plugin_file(at: int, document: Document) -> Path:
    """Return the plugin file that the config names: beside the config, or else from where we are.

    Raises:
        UserError: it is in neither place.
    """
    said = Path(document.at(("plugins", at)))
    beside = document.path.parent / said
    if found := next((path for path in (beside, said) if path.is_file()), None):
        return found
    where = f"neither {beside} (beside the config, which comes first) nor {said.absolute()}"
    looked = f"{said} is no file" if said.is_absolute() else f"{where} (working directory) is there"
    raise document.error(("plugins", at), f"no plugin file: {looked}")


def load_dataset(
    name: str,
    root: Path | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    *,
    with_files: bool = True,
) -> Dataset:
    """Return a data set by name, or a config's, its parameters checked as in a config.

    Args:
        name: of a plugin, or a config's file: of this, the data set alone is looked at.
        root: the parameter of that name; None leaves it at its default.
        overrides: ``key=value`` each, the value as YAML.
        plugins: plugin files beside the installed ones.
        with_files: also check what the parameters name, such as files that must be there.
    """
    place: Place = ()
    if is_config(name):
        place = ("dataset",)
        said = [] if root is None else [f"dataset.root={json.dumps(str(root))}"]
        document = Document.read(Path(name), said + [f"dataset.{word}" for word in overrides])
        if not isinstance(document.data.get("dataset"), dict):
            raise document.error((), "has no section `dataset`")
        files = document.data.get("plugins") or []
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise document.error(("plugins",), "must be a list of files")
        own = [_plugin_file(at, document) for at in range(len(files))]
        cls, parameters = _class("dataset", place, document, Registry([*own, *plugins]))
    else:
        registry = Registry(plugins)
        if name not in registry.names("dataset") and Path(name).exists():
            raise UserError(
                f"{name} is no data set and no config; `xaibench init {name}` writes a config for "
                "what lies there"
            )
        cls = registry.load("dataset", name)
        document = Document.said(name, {} if root is None else {"root": str(root)}, overrides)
        parameters = document.data
    dataset = checked(cls, parameters, document, place)
    if with_files:
        _validate(dataset, parameters, document, place)
    return dataset


def is_config(name: str) -> bool:
    """Return whether what is said is a config's file, and no plugin's name."""
    return name.endswith((".yaml", ".yml"))


def seed_of(path: Path) -> int:
    """Return the seed that a config says, or the one that it has by default.

    Raises:
        UserError: it says something else.
    """
    document = Document.read(path)
    seed = document.data.get("seed", PlainConfig.model_fields["seed"].default)
    if type(seed) is not int or seed < 0:
        raise document.error(("seed",), f"must be a whole number from 0, got {seed!r}")
    return seed


def _plugin_name(
    kind: str, place: tuple[str, ...], document: Document, registry: Registry
) -> tuple[str, dict[str, Any]]:
    """Return a plugin section's name and its parameters."""
    parameters = dict(document.at(place) or {})
    default = place[1] if len(place) > 1 else None
    name = parameters.pop("use", default)
    if not isinstance(name, str):
        hint = did_you_mean("", registry.names(kind), LIST)
        raise document.error(place, f"says no plugin; add `use:`{hint}")
    at = (*place, "use") if "use" in (document.at(place) or {}) else place
    try:
        registry.find(kind, name)
    except UserError as error:
        raise document.error(at, str(error)) from None
    return name, parameters


def _class(
    kind: str, place: Place, document: Document, registry: Registry
) -> tuple[type, dict[str, Any]]:
    name, parameters = _plugin_name(kind, place, document, registry)
    try:
        return registry.load(kind, name), parameters
    except UserError as error:
        raise document.error(place, str(error)) from None


def _plugin(kind: str, place: Place, document: Document, registry: Registry) -> Any:
    cls, parameters = _class(kind, place, document, registry)
    for name in getattr(cls, "beside", ()):
        if isinstance(parameters.get(name), str):
            parameters[name] = _beside(parameters[name], document)
    plugin = checked(cls, parameters, document, place)
    _validate(plugin, parameters, document, place)
    return plugin


def _beside(said: str, document: Document) -> str:
    """Return a file, or ``FILE:NAME``, as it is found beside the config; as it stands if not."""
    for file, rest in ((said, ""), said.rpartition(":")[::2]):
        found = document.path.parent / file
        if file and found.is_file():
            return f"{found}:{rest}" if rest else str(found)
    return said


def _rows(
    kind: str, labels: Iterable[str], document: Document, registry: Registry
) -> dict[str, Any]:
    """Return label -> plugin, where lists of values stand with a label for each of them."""
    plugins: dict[str, Any] = {}
    for label in labels:
        place = (f"{kind}s", label)
        cls, parameters = _class(kind, place, document, registry)
        for row in rows_of(place, parameters, parameters_of(cls), document):
            if row.label in plugins:
                raise document.error(
                    place, f"makes a second row {row.label!r}; every row needs a label of its own"
                )
            plugins[row.label] = _of_row(cls, row, document, place)
    return plugins


def _of_row(cls: type, row: Row, document: Document, place: Place) -> Any:
    """Return the plugin of a row; errors name the element of the list that it is about."""
    own = document.narrowed(place, row.index) if row.index else document
    plugin = checked(cls, row.parameters, own, place)
    _validate(plugin, row.parameters, own, place)
    return plugin


def _validate(
    plugin: Any, parameters: Mapping[str, Any], document: Document, place: tuple[str, ...]
) -> None:
    try:
        plugin.validate()
    except UserError as error:
        field, _, said = str(error).partition(": ")
        if field in parameters:
            raise document.error((*place, field), said) from None
        raise document.error(place, str(error)) from None
