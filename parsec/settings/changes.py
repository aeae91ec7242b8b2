"""Changes of settings as lines of text, `estimator.samples = 8`, for what differs from something else a little."""

import re
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator


def _change(text: str) -> str:
    if not re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)* = \S.*", text):
        raise ValueError(f"got {text!r}; allowed: a key with its whole path and its value, path = value")
    return text


Change = Annotated[str, AfterValidator(_change)]


def path_of(change: str) -> str:
    """The key that is changed, with its whole path."""
    return change.partition(" = ")[0]


def apply(changes: tuple[str, ...], document: dict[str, Any]) -> None:
    """Make the changes in a document of plain mappings.

    Raises:
        KeyError: a path leads through a key that there is not.
    """
    for change in changes:
        path, _, value = change.partition(" = ")
        *sections, key = path.split(".")
        place = document
        for section in sections:
            place = place[section]
            if not isinstance(place, dict):
                raise KeyError(section)
        if key not in place:
            raise KeyError(key)
        place[key] = yaml.safe_load(value)
