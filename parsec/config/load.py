"""Reading settings, and what is wrong with them in one line to act on."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from parsec.config.base import Config
from parsec.config.schema import NAME, Node, Tree
from parsec.config.settings import Settings, completed, updated
from parsec.errors import SettingsError

SHOWN = 3
"""Problems that one message names; the rest are counted."""

RENAMED = {"start": "init_from"}
"""Keys of earlier versions and what they are called now."""


def explain(error: ValidationError, model: type[Config]) -> str:
    """The first problems of a failed validation in one line: unknown keys, then wrong values, then missing keys."""
    tree = Tree(model)
    details = sorted(error.errors(include_url=False), key=_urgency)
    # What a later stage takes over from `search` is said once.
    said = {(detail["loc"][1:], detail["type"]) for detail in details if detail["loc"][:1] == ("search",)}
    inherit = (("finetune",), ("transfer",))
    details = [d for d in details if not (d["loc"][:1] in inherit and (d["loc"][1:], d["type"]) in said)]
    unknown = [_unknown(tree, detail) for detail in details if detail["type"] == "extra_forbidden"]
    mistyped = {right for _, right in unknown}
    others = [
        _line(tree, detail)
        for detail in details
        if detail["type"] != "extra_forbidden"
        and not (detail["type"] == "missing" and tree.locate(detail["loc"]).path in mistyped)
    ]
    return join([line for line, _ in unknown] + others)


def _urgency(detail: ErrorDetails) -> tuple[bool, int]:
    is_unknown = detail["type"] == "extra_forbidden"
    return detail["type"] == "missing", len(detail["loc"]) if is_unknown else 0


def join(problems: list[str]) -> str:
    """One line of at most `SHOWN` problems, which ends with the count of the rest."""
    more = len(problems) - SHOWN
    line = "; ".join(problems[:SHOWN]) + (f" (and {more} more)" if more > 0 else "")
    # A key may hold anything, line breaks too.
    return re.sub(r"[\x00-\x1f]", " ", line)


def _unknown(tree: Tree, detail: ErrorDetails) -> tuple[str, str]:
    *branch, key = detail["loc"]
    parent = tree.locate(branch)
    keys = list(tree.resolve(parent.node).get("properties", {}))
    here = tree.locate(detail["loc"]).path
    if (name := RENAMED.get(str(key))) in keys:
        return f"{here}: this key is now {name}", f"{parent.path}.{name}"
    near = get_close_matches(str(key), keys, n=1)
    if not near:
        return f"{here}: unknown key; allowed here: {', '.join(keys)}", ""
    right = f"{parent.path}.{near[0]}" if parent.path else near[0]
    return f"{here}: unknown key; did you mean {right}?", right


def _line(tree: Tree, detail: ErrorDetails) -> str:
    location, value, kind = detail["loc"], detail["input"], detail["type"]
    if location and location[-1] == "[key]":
        return f"{tree.locate(location[:-1]).path}: {value!r} cannot be a name; use at most 64 {NAME}"
    here = tree.locate(location)
    if kind == "value_error":
        return _rule(here.path, str(detail["ctx"]["error"]), at_branch=isinstance(value, dict))
    if kind.startswith("union_tag"):
        return _source(tree, here.path, tree.resolve(here.node), value)
    if kind == "missing":
        return f"{here.path}: missing; write {tree.allowed(here.node)}"
    if kind == "json_invalid":
        return f"not JSON: {detail['ctx']['error']}"
    if advice := _number_as_text(tree.resolve(here.node), value):
        return f"{here.path}: got the text {value!r}; {advice}"
    return f"{here.path or 'settings'}: got {shown(value)}; allowed: {tree.allowed(here.node)}"


def _rule(path: str, message: str, at_branch: bool) -> str:
    """A broken rule between keys names its key below the branch; a rule of one value names none."""
    if not path:
        return message
    return f"{path}.{message}" if at_branch else f"{path}: {message}"


def _source(tree: Tree, path: str, node: Node, value: Mapping[str, object]) -> str:
    key, tags = node["discriminator"]["propertyName"], list(tree.sources(node))
    tag = value.get(key)
    if tag is None:
        return f"{path}.{key}: missing; write one of {', '.join(tags)}"
    near = get_close_matches(str(tag), tags, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{path}.{key}: got {shown(tag)}; allowed: one of {', '.join(tags)}{hint}"


def _number_as_text(node: Node, value: object) -> str:
    """YAML 1.1 takes `3e-4` and `1.0e5` for text; so does Snakemake every value inside `--config 'key={…}'`."""
    if node.get("type") not in ("integer", "number") or not isinstance(value, str):
        return ""
    power = re.fullmatch(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)", value.strip())
    if power and node["type"] == "number":
        whole, point, sign, digits = power.groups()
        fraction = point if point and point != "." else ".0"
        return f"YAML needs a point and a signed power: write {whole}{fraction}e{sign or '+'}{digits}"
    try:
        number = float(value)
    except ValueError:
        return ""
    if node["type"] == "integer" and not number.is_integer():
        return ""
    written = f"{number:.0f}" if node["type"] == "integer" else value.strip()
    return f"write {written} without quotes, and lists or sections in a file for --configfile, not in --config"


def shown(value: object) -> str:
    """A given value, short enough for a line."""
    if value is None:
        return "nothing (null)"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


Model = TypeVar("Model", bound=Config)
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
    """Content of a YAML or JSON file, not yet checked against the settings tree.

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


def read_mapping(path: Path) -> dict[str, Any]:
    """A settings file, not yet checked against the settings tree but for being a mapping.

    Raises:
        SettingsError: as `read_document`, or another document.
    """
    return _mapping(read_document(path))


def _mapping(document: object) -> dict[str, Any]:
    if not isinstance(document, Mapping):
        raise SettingsError(f"the settings are {shown(document)}; they must be a mapping of keys to values")
    return dict(document)


class _Loader(yaml.SafeLoader):
    """YAML whose mappings hold every key once; by itself YAML would let the last one count, in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    problem = f"the key {key.value!r} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 - any value
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError) as error:
            # What PyYAML raises for a date like 2026-13-01, a number of thousands of digits, or a wrong tag.
            problem = f"{shown(node.value)} is no {node.tag.rpartition(':')[2]}; put it in quotes if it is text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


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
        with suppress(ValueError):
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
    document = _mapping(document)
    # Aliases of YAML make a short file hold more values than memory; settings have a few hundred.
    if (count := _count(document, {})) > MOST_VALUES:
        raise SettingsError(f"the settings hold {count:.3g} values, aliases written out; allowed: {MOST_VALUES:,}")
    if lines := _not_plain(document, ""):
        raise SettingsError(join(lines))
    if model is Settings:
        document = completed(document)
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
