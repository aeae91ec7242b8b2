"""What is installed around the package: plugins with spaces, networks and data sets, the workflow, published tables.

A registry has the built-in entries and those that plugins add. A plugin is a module that calls `parsec.register_space`
or `parsec.register_dataset` when it is imported. Its package names it in the entry-point group `parsec.plugins`, so
that every process finds it, jobs of Snakemake included:

    [project.entry-points."parsec.plugins"]
    toy = "toy_space"

Nothing is imported until a name is asked for that is not built in.
"""

import functools
import hashlib
import inspect
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.metadata import entry_points
from pathlib import Path
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


def source_hash(entry: object) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the file that defines a function, a class, or an object's class.

    Of what a cell of a notebook defines, that of its own text.
    """
    definition = entry if inspect.isroutine(entry) or inspect.isclass(entry) else type(entry)
    text = repr(definition)
    try:
        file = Path(inspect.getsourcefile(definition) or "")
        text = file.read_text(encoding="utf-8") if file.is_file() else inspect.getsource(definition)
    except (OSError, TypeError):
        pass  # typed at a prompt: no text is kept
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Registry(Mapping[str, Entry]):
    """Entries by name, in the order of registration; plugins are loaded when a name is not there yet.

    `what` an entry is appears in messages; nobody may replace those that are `built_in`.
    """

    def __init__(self, what: str, built_in: Mapping[str, Entry]) -> None:
        self._what, self._built_in, self._added = what, dict(built_in), dict[str, Entry]()
        self._code: dict[str, str] = {}

    def register(self, name: str, entry: Entry, code: str) -> None:
        """Add an entry; one of this name that was added before, as by a cell of a notebook, is replaced.

        `code` is the hash of the source that results depend on, see `source_hash`.

        Raises:
            UserError: a name that is built in, or that cannot be part of a path.
        """
        if name in self._built_in:
            raise UserError(f"{self._what} {name!r}: this name is built in; choose another")
        if not NAME.fullmatch(name):
            raise UserError(f"{self._what} {name!r}: a name has at most 64 letters, digits, _ and -")
        self._added[name], self._code[name] = entry, code

    def code(self, name: str) -> str | None:
        """Hash of the source of an added entry; None of a built-in one, whose code the package's fingerprints cover."""
        if name not in self:
            raise KeyError(name)
        return self._code.get(name)

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


def source_root() -> Path:
    """The folder with `workflow/`, `config/` and `envs/`.

    Raises:
        UserError: neither a clone nor an installed wheel.
    """
    clone = Path(__file__).resolve().parents[1]
    if (clone / "workflow" / "Snakefile").is_file():
        return clone
    try:
        installed = metadata.files("parsec-nas") or []
    except metadata.PackageNotFoundError:
        installed = []
    snakefile = next((file for file in installed if file.match("share/parsec-nas/workflow/Snakefile")), None)
    if snakefile is None:
        raise UserError(f"{clone}: no workflow next to the package parsec; install it with pip, or use a clone")
    return Path(str(snakefile.locate())).resolve().parents[1]


def published_folder() -> Path:
    """The folder with the tables of published results."""
    return source_root() / "config" / "published"
