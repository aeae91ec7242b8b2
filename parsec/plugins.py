"""Registries of spaces, networks and data sets: the built-in entries, and those that plugins add.

A plugin is a module that calls `parsec.register_space` or `parsec.register_dataset` when it is imported. Its package
names it in the entry-point group `parsec.plugins`, so that every process finds it, jobs of Snakemake included:

    [project.entry-points."parsec.plugins"]
    toy = "toy_space"

Nothing is imported until a name is asked for that is not built in.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from parsec.errors import UserError

GROUP = "parsec.plugins"
"""Entry-point group of the modules that register something."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Entry = TypeVar("Entry")


@functools.cache
def load_plugins() -> None:
    """Import the plugins that are installed, once.

    Raises:
        UserError: one that cannot be imported, named.
    """
    for plugin in entry_points(group=GROUP):
        try:
            plugin.load()
        except Exception as error:
            raise UserError(
                f"the plugin {plugin.name} ({plugin.value}) cannot be imported: {type(error).__name__}: {error}; "
                "repair or uninstall it"
            ) from error


class Registry(Mapping[str, Entry]):
    """Entries by name, in the order of registration; plugins are loaded when a name is not there yet.

    Args:
        what: what an entry is, for messages.
        built_in: entries that nobody may replace.
    """

    def __init__(self, what: str, built_in: Mapping[str, Entry]) -> None:
        self._what, self._built_in, self._added = what, dict(built_in), dict[str, Entry]()

    def register(self, name: str, entry: Entry) -> None:
        """Add an entry; one of this name that was added before, as by a cell of a notebook, is replaced.

        Raises:
            UserError: a name that is built in, or that cannot be part of a path.
        """
        if name in self._built_in:
            raise UserError(f"{self._what} {name!r}: this name is built in; choose another")
        if not NAME.fullmatch(name):
            raise UserError(f"{self._what} {name!r}: a name has at most 64 letters, digits, _ and -")
        self._added[name] = entry

    def __getitem__(self, name: str) -> Entry:
        """The entry of a name; KeyError if neither the package nor a plugin has it."""
        if name in self._built_in:
            return self._built_in[name]
        if name not in self._added:
            load_plugins()
        return self._added[name]

    def __iter__(self) -> Iterator[str]:
        """All names, those of plugins at the end."""
        load_plugins()
        return iter([*self._built_in, *self._added])

    def __len__(self) -> int:
        return len(list(iter(self)))
