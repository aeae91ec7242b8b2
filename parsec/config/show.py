"""The complete settings of a run, with where each value comes from."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from parsec.config.load import load, read_mapping
from parsec.config.settings import updated


def show(files: Sequence[Path]) -> str:
    """YAML of all settings that these files make together, each value with its origin in a comment.

    Later files are merged over earlier ones, as Snakemake does with several `--configfile`.

    Raises:
        SettingsError: a file that cannot be read, or settings that are refused.
    """
    documents = {str(file): read_mapping(file) for file in files}
    merged = reduce(updated, documents.values())
    complete = load(merged).model_dump(mode="json")
    return "\n".join(_lines(complete, (), documents)) + "\n"


def _lines(section: Mapping[str, Any], path: tuple[str, ...], documents: dict[str, dict[str, Any]]) -> Iterator[str]:
    for key, value in section.items():
        indent, here = "  " * len(path), (*path, key)
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, here, documents)
        else:
            text, *_ = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).splitlines()
            yield f"{indent}{key}: {text}  # {_origin(here, documents)}"


def _origin(path: tuple[str, ...], documents: dict[str, dict[str, Any]]) -> str:
    """The last file that has the key; for a later stage that of `search`, from which it takes over the rest."""
    if file := next((file for file in reversed(documents) if _has(documents[file], path)), None):
        return file
    if path[0] in ("finetune", "transfer") and path[1:] != ("init_from",):
        return f"as search: {_origin(('search', *path[1:]), documents)}"
    return "default"


def _has(document: object, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(document, Mapping) or key not in document:
            return False
        document = document[key]
    return True
