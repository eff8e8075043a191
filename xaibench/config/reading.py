"""From YAML to a frozen RunConfig: all validation, before any data or model loads.

Every mistake is one UserError that says where (file and line, or the ``--set``), what it got,
what is allowed, and the nearest name. Relative paths are taken from the working directory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaibench.config.checking import checked
from xaibench.config.document import Document
from xaibench.config.run_config import PlainConfig, RunConfig
from xaibench.errors import UserError, did_you_mean
from xaibench.registry import Registry

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
    plain = checked(PlainConfig, document.data, document, ())
    try:
        registry = Registry([Path(p) for p in plain.plugins])
    except UserError as error:
        raise document.error(("plugins",), str(error)) from None
    # All names first: they are known without importing a plugin, and with it torch.
    named = [("dataset", ("dataset",)), ("model", ("model",))]
    named += [("explainer", ("explainers", label)) for label in plain.explainers]
    named += [("metric", ("metrics", label)) for label in plain.metrics]
    for kind, place in named:
        _plugin_name(kind, place, document, registry)
    built = {place: _plugin(kind, place, document, registry) for kind, place in named}
    plugins = {
        "dataset": built["dataset",],
        "model": built["model",],
        "explainers": {k: built["explainers", k] for k in plain.explainers},
        "metrics": {k: built["metrics", k] for k in plain.metrics},
    }
    return RunConfig(**dict(plain) | plugins)


def load_dataset(
    name: str,
    root: Path | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    *,
    with_files: bool = True,
) -> Dataset:
    """Return a data set by name, its parameters checked as in a config.

    Args:
        root: the parameter of that name; None leaves it at its default.
        overrides: ``key=value`` each, the value as YAML.
        plugins: plugin files beside the installed ones.
        with_files: also check what the parameters name, such as files that must be there.
    """
    cls = Registry(plugins).load("dataset", name)
    document = Document.said(name, {} if root is None else {"root": str(root)}, overrides)
    dataset = checked(cls, document.data, document, ())
    if with_files:
        _validate(dataset, document.data, document, ())
    return dataset


def _plugin_name(
    kind: str, place: tuple[str, ...], document: Document, registry: Registry
) -> tuple[str, dict[str, Any]]:
    """Return a plugin section's name and its parameters."""
    parameters = dict(document.at(place) or {})
    default = place[1] if len(place) > 1 else None
    name = parameters.pop("use", default)
    if not isinstance(name, str):
        raise document.error(
            place, f"says no plugin; add `use:`{did_you_mean('', registry.names(kind))}"
        )
    at = (*place, "use") if "use" in (document.at(place) or {}) else place
    try:
        registry.find(kind, name)
    except UserError as error:
        raise document.error(at, str(error)) from None
    return name, parameters


def _plugin(kind: str, place: tuple[str, ...], document: Document, registry: Registry) -> Any:
    name, parameters = _plugin_name(kind, place, document, registry)
    try:
        cls = registry.load(kind, name)
    except UserError as error:
        raise document.error(place, str(error)) from None
    plugin = checked(cls, parameters, document, place)
    _validate(plugin, parameters, document, place)
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
