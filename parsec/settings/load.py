"""Reading settings: from Snakemake's `config`, from a file, or from the JSON text that a rule hands to a job."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from parsec.errors import SettingsError
from parsec.settings.base import Strict
from parsec.settings.problems import explain, join, shown
from parsec.settings.tree import Settings

Model = TypeVar("Model", bound=Strict)


def load(config: Mapping[str, Any] | Path) -> Settings:
    """The settings tree from a mapping (such as Snakemake's `config`) or from a YAML or JSON file.

    Raises:
        SettingsError: in one line, three problems at most: the key's path, what was given, what is allowed.
    """
    return _checked(config if isinstance(config, Mapping) else _read(config), Settings)


def load_job(text_or_path: str | Path, job: type[Model]) -> Model:
    """The settings of one job from JSON text, or from a JSON or YAML file.

    Raises:
        SettingsError: as `load`.
    """
    text = str(text_or_path)
    if isinstance(text_or_path, str) and text.lstrip().startswith("{"):
        return _checked(_parse(text, "the settings given as text"), job)
    return _checked(_read(Path(text)), job)


def _read(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such settings file (looked from {Path.cwd()})") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SettingsError(f"{path}: the settings cannot be read: {reason}") from error
    return _parse(text, str(path))


def _parse(text: str, where: str) -> object:
    """JSON first: YAML 1.1 would read JSON's `1e-05` as text."""
    with suppress(json.JSONDecodeError):
        return json.loads(text)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or "unreadable"
        raise SettingsError(f"{where}: neither YAML nor JSON:{line} {problem}") from error


def _checked(document: object, model: type[Model]) -> Model:
    if not isinstance(document, Mapping):
        raise SettingsError(f"the settings are {shown(document)}; they must be a mapping of keys to values")
    if lines := _not_plain(document, ""):
        raise SettingsError(join(lines))
    try:
        return model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise SettingsError(explain(error, model)) from error


def _not_plain(value: object, path: str) -> list[str]:
    """Values that YAML can hold and JSON cannot: dates, infinities, keys that are no text."""
    if isinstance(value, Mapping):
        strange = [
            f"{path or 'settings'}: the key {k!r} is not text; put it in quotes" for k in value if type(k) is not str
        ]
        return strange + [line for k, v in value.items() for line in _not_plain(v, f"{path}.{k}" if path else str(k))]
    if isinstance(value, list | tuple):
        return [line for i, item in enumerate(value) for line in _not_plain(item, f"{path}[{i}]")]
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{path}: got {value}; allowed: finite numbers"]
    if value is None or isinstance(value, str | int | float):
        return []
    return [f"{path}: YAML reads {str(value)!r} as a {type(value).__name__}; put it in quotes if it is text"]
