"""Plugins by name, and files of a user's as modules."""

from xaibench.registry.module_files import module_of
from xaibench.registry.plugins import KINDS, LIST, Plugin, Registry, find_named, register

__all__ = ["KINDS", "LIST", "Plugin", "Registry", "find_named", "module_of", "register"]
