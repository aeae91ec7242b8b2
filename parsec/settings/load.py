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
MOST_VALUES = 100_000


def load(config: Mapping[str, Any] | Path) -> Settings:
    """The settings tree from a mapping (such as Snakemake's `config`) or from a YAML or JSON file.

    Raises:
        SettingsError: in one line, three problems at most: the key's path, what was given, what is allowed.
    """
    return _checked(config if isinstance(config, Mapping) else read_document(config), Settings)


def load_job(text_or_path: str | Path, job: type[Model]) -> Model:
    """The settings of one job from JSON text, or from a JSON or YAML file.

    Raises:
        SettingsError: as `load`.
    """
    text = str(text_or_path)
    if isinstance(text_or_path, str) and text.lstrip().startswith("{"):
        return _checked(_parse(text, "the settings given as text"), job)
    return _checked(read_document(Path(text)), job)


def read_document(path: Path) -> object:
    """What a YAML or JSON file holds, not yet checked against the settings tree.

    Raises:
        SettingsError: missing, not UTF-8, neither YAML nor JSON, or with a key that stands twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such settings file (looked from {Path.cwd()})") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SettingsError(f"{path}: the settings cannot be read: {reason}") from error
    return _parse(text, str(path))


class _Loader(yaml.SafeLoader):
    """YAML whose mappings hold every key once; by itself YAML would let the last one count, in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                mark = node.value[number][0].start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", mark)
        return super().construct_mapping(node, deep)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise SettingsError(f"the key {repeated!r} stands twice")
    return document


def _parse(text: str, where: str) -> object:
    """JSON first: YAML 1.1 would read JSON's `1e-05` as text."""
    try:
        with suppress(json.JSONDecodeError):
            return json.loads(text, object_pairs_hook=_each_once)
        return _Loader(text).get_single_data()
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}; keep one of them") from error
    except RecursionError as error:
        raise SettingsError(f"{where}: nested too deeply for settings") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or "unreadable"
        kind = "" if isinstance(error, yaml.constructor.ConstructorError) else " neither YAML nor JSON:"
        raise SettingsError(f"{where}:{kind}{line} {problem}") from error


def _checked(document: object, model: type[Model]) -> Model:
    if not isinstance(document, Mapping):
        raise SettingsError(f"the settings are {shown(document)}; they must be a mapping of keys to values")
    # Aliases of YAML make a short file hold more values than memory; settings have a few hundred.
    if (count := _count(document, {})) > MOST_VALUES:
        raise SettingsError(f"the settings hold {count:.3g} values, aliases written out; allowed: {MOST_VALUES:,}")
    if lines := _not_plain(document, ""):
        raise SettingsError(join(lines))
    try:
        return model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise SettingsError(explain(error, model)) from error


def _count(value: object, known: dict[int, float]) -> float:
    """Values in a tree whose branches may be shared; infinite if one contains itself."""
    if not isinstance(value, Mapping | list | tuple):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf
        known[id(value)] = 1 + sum(
            _count(item, known) for item in (value.values() if isinstance(value, Mapping) else value)
        )
    return known[id(value)]


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
