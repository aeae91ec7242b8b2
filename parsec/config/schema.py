"""The JSON schema of a settings tree and how to walk it; error messages and the reference read it."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from parsec.config.base import Config

Node = dict[str, Any]
NAME = "letters, digits, _ and -, starting with a letter or digit"


@cache
def schema_of(model: type[Config]) -> Node:
    """The schema of a model, closed at every level and without derived titles; treat it as read-only."""
    cleaned = _cleaned(model.model_json_schema())
    assert isinstance(cleaned, dict)
    return cleaned


def _cleaned(node: object, names: bool = False) -> object:
    """`names`: the keys of this mapping are names that the tree gives, not words of JSON schema."""
    if isinstance(node, list):
        return [_cleaned(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {"additionalProperties": False} if "patternProperties" in node and not names else {}
    return closed | {
        key: _cleaned(value, names=not names and key in ("properties", "$defs"))
        for key, value in node.items()
        if names or key != "title"
    }


class Located(NamedTuple):
    """Where a location leads: the dotted path, and the schema there (empty where the tree has no such key)."""

    path: str
    node: Node


class Tree:
    """A schema with its definitions, to be walked."""

    def __init__(self, model: type[Config]) -> None:
        self.root = schema_of(model)

    def resolve(self, node: Node) -> Node:
        """Follow a reference, and look through `… or null`; of several other forms take the first."""
        if options := [option for option in node.get("anyOf", []) if option.get("type") != "null"]:
            return self.resolve(options[0])
        if "$ref" in node:
            return self.resolve(self.root["$defs"][node["$ref"].rsplit("/", 1)[1]])
        return node

    def sources(self, node: Node) -> dict[str, Node]:
        """The branches of a union by the value of its discriminator; empty for anything else."""
        mapping = node.get("discriminator", {}).get("mapping", {})
        return {tag: self.resolve({"$ref": reference}) for tag, reference in mapping.items()}

    def named(self, node: Node) -> Node:
        """The schema of each section in a section of named sections."""
        section = next(iter(self.resolve(node)["patternProperties"].values()))
        assert isinstance(section, dict)
        return section

    def is_leaf(self, node: Node) -> bool:
        """Whether a value is written at this key, or settings of any section, but not one section of its own."""
        node = self.resolve(node)
        return node.get("type") != "object" or not node.keys() & {"properties", "patternProperties"}

    def locate(self, location: Sequence[str | int]) -> Located:
        """Walk pydantic's location, which holds the chosen source of a union as an extra step."""
        path, node = "", self.root
        for step in location:
            node = self.resolve(node)
            if step in (sources := self.sources(node)):
                node = sources[str(step)]
                continue
            path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
            node = self._child(node, step)
        return Located(path, node)

    def _child(self, node: Node, step: str | int) -> Node:
        if isinstance(step, int):
            fixed = node.get("prefixItems", [])
            child = fixed[step] if step < len(fixed) else node.get("items", {})
        elif "patternProperties" in node:
            child = self.named(node)
        else:
            child = node.get("properties", {}).get(step, {})
        assert isinstance(child, dict)
        return child

    def allowed(self, node: Node) -> str:
        """Values that are allowed at a node, in words."""
        options = node.get("anyOf", [node])
        return " or ".join("null" if o.get("type") == "null" else self._allowed(self.resolve(o)) for o in options)

    def _allowed(self, node: Node) -> str:
        if tags := self.sources(node):
            return f"a section whose `{node['discriminator']['propertyName']}` is one of {', '.join(tags)}"
        if "const" in node:
            return str(node["const"])
        if "enum" in node:
            return "one of " + ", ".join(map(str, node["enum"]))
        if node.get("type") == "array":
            return self._allowed_list(node)
        if node.get("type") == "object":
            keys = node.get("properties", {})
            named = "a section of named sections" if "patternProperties" in node else "a section of settings"
            return f"a section with the keys {', '.join(keys)}" if keys else named
        return _allowed_scalar(node)

    def _allowed_list(self, node: Node) -> str:
        if fixed := node.get("prefixItems"):
            return f"a list of {len(fixed)} values, each {self.allowed(fixed[0])}"
        least = " of at least one value" if node.get("minItems") else ""
        repeats = " without repeats" if node.get("uniqueItems") else ""
        return f"a list{least}{repeats}, each {self.allowed(node['items'])}"


def _allowed_scalar(node: Node) -> str:
    match node.get("type"):
        case "boolean":
            return "true or false"
        case "integer":
            return "a whole number" + _range(node)
        case "number":
            return "a number" + _range(node)
        case "string" if "pattern" in node:
            return f"a name of {NAME}"
        case "string" if node.get("format") == "path":
            return "a path"
        case "string" if node.get("format") == "space":
            return "one of darts, nasbench201, or a name that a plugin registers"
        case "string":
            least = "some " if node.get("minLength") else ""
            most = f" of at most {node['maxLength']} characters" if "maxLength" in node else ""
            return f"{least}text{most}"
    return "nothing"


def _range(node: Node) -> str:
    lower = f" ≥ {node['minimum']:g}" if "minimum" in node else ""
    upper = f" ≤ {node['maximum']:g}" if "maximum" in node else ""
    if "exclusiveMinimum" in node and node["exclusiveMinimum"] >= node.get("minimum", -math.inf):
        lower = f" > {node['exclusiveMinimum']:g}"
    if "exclusiveMaximum" in node and node["exclusiveMaximum"] <= node.get("maximum", math.inf):
        upper = f" < {node['exclusiveMaximum']:.12g}"
    even = f", a multiple of {node['multipleOf']:g}" if "multipleOf" in node else ""
    return lower + (" and" if lower and upper else "") + upper + even
