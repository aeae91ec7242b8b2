"""What is wrong with given settings, in one line to act on: the key's path, what was given, what is allowed."""

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from parsec.settings.base import Strict
from parsec.settings.schema import NAME, Node, Tree

SHOWN = 3
"""Problems that one message names; the rest are counted."""


def explain(error: ValidationError, model: type[Strict]) -> str:
    """The first problems of a failed validation in one line: unknown keys, then wrong values, then missing keys."""
    tree = Tree(model)
    details = sorted(error.errors(include_url=False), key=_urgency)
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
    near = get_close_matches(str(key), keys, n=1)
    if not near:
        return f"{here}: unknown key; allowed here: {', '.join(keys)}", ""
    right = f"{parent.path}.{near[0]}" if parent.path else near[0]
    return f"{here}: unknown key; did you mean {right}?", right


def _line(tree: Tree, detail: ErrorDetails) -> str:
    location, given, kind = detail["loc"], detail["input"], detail["type"]
    if location and location[-1] == "[key]":
        return f"{tree.locate(location[:-1]).path}: {given!r} cannot be a name; use at most 64 {NAME}"
    place = tree.locate(location)
    if kind == "value_error":
        return _rule(place.path, str(detail["ctx"]["error"]), at_branch=isinstance(given, dict))
    if kind.startswith("union_tag"):
        return _source(tree, place.path, tree.resolve(place.node), given)
    if kind == "missing":
        return f"{place.path}: missing; write {tree.allowed(place.node)}"
    if kind == "json_invalid":
        return f"not JSON: {detail['ctx']['error']}"
    if advice := _number_as_text(tree.resolve(place.node), given):
        return f"{place.path}: got the text {given!r}; {advice}"
    return f"{place.path or 'settings'}: got {shown(given)}; allowed: {tree.allowed(place.node)}"


def _rule(path: str, message: str, at_branch: bool) -> str:
    """A broken rule between keys names its key below the branch; a rule of one value names none."""
    if not path:
        return message
    return f"{path}.{message}" if at_branch else f"{path}: {message}"


def _source(tree: Tree, path: str, node: Node, given: Mapping[str, object]) -> str:
    key, tags = node["discriminator"]["propertyName"], list(tree.sources(node))
    tag = given.get(key)
    if tag is None:
        return f"{path}.{key}: missing; write one of {', '.join(tags)}"
    near = get_close_matches(str(tag), tags, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{path}.{key}: got {shown(tag)}; allowed: one of {', '.join(tags)}{hint}"


def _number_as_text(node: Node, given: object) -> str:
    """YAML 1.1 takes `3e-4` and `1.0e5` for text; so does Snakemake every value inside `--config 'key={…}'`."""
    if node.get("type") not in ("integer", "number") or not isinstance(given, str):
        return ""
    power = re.fullmatch(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)", given.strip())
    if power and node["type"] == "number":
        whole, point, sign, digits = power.groups()
        fraction = point if point and point != "." else ".0"
        return f"YAML needs a point and a signed power: write {whole}{fraction}e{sign or '+'}{digits}"
    try:
        number = float(given)
    except ValueError:
        return ""
    if node["type"] == "integer" and not number.is_integer():
        return ""
    written = f"{number:.0f}" if node["type"] == "integer" else given.strip()
    return f"write {written} without quotes, and lists or sections in a file for --configfile, not in --config"


def shown(value: object) -> str:
    """A given value, short enough for a line."""
    if value is None:
        return "nothing (null)"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
