"""The committed schema and reference are those of the tree, and the schema refuses what the tree refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from parsec.config.docs import reference_markdown, schema_json
from parsec.config.schema import Tree
from parsec.config.settings import Settings
from parsec.space.published import PUBLISHED

ROOT = Path(__file__).parents[3]


def test_committed_schema_is_current():
    committed = (ROOT / "config" / "schema.json").read_text(encoding="utf-8")
    assert committed == schema_json(), "run: parsec settings schema > config/schema.json"


def test_committed_reference_is_current():
    committed = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    assert committed == reference_markdown(), "run: parsec settings reference > config/README.md"


def objects(node):
    """Every schema of a mapping below `node`."""
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for value in node.values():
            yield from objects(value)
    if isinstance(node, list):
        for value in node:
            yield from objects(value)


def test_schema_is_closed_at_every_level():
    schema = json.loads(schema_json())
    assert schema["$schema"].startswith("https://json-schema.org/")
    levels = list(objects(schema))
    assert len(levels) > 15
    # The changes of a variant are closed as well: they are checked after they are merged into the whole tree.
    open_levels = [level for level in levels if level["additionalProperties"] is not False]
    assert [level.keys() >= {"properties"} for level in open_levels] == [False]


@pytest.mark.parametrize("preset", ["config", "cifar10", "paper"])
def test_schema_accepts_presets_only(preset):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(schema_json())
    document = yaml.safe_load((ROOT / "config" / f"{preset}.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)
    document["search"]["estimator"] = {"sample": 4}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_every_key_has_a_described_row():
    text, tree = reference_markdown(), Tree(Settings)
    for name, node in [("", tree.root), *tree.root["$defs"].items()]:
        for key, child in node["properties"].items():
            if tree.is_leaf(child):
                assert f"{key}` | " in text, f"{name}.{key}"
                assert child.get("description"), f"{name}.{key}"


def test_rows_give_range_default_meaning():
    text = reference_markdown()
    assert "| `search.epochs`" not in text
    assert "| `<stage>.epochs` | a whole number ≥ 1 | `100` | passes over the training split; not given" in text
    assert "| `<stage>.weights.final_learning_rate` | a number ≥ 0 | `0.001` |" in text
    assert "| `retrain.<dataset>.augmentation.cutout` | a whole number ≥ 0 | `16` |" in text


def test_schema_lists_the_published_genotypes():
    chosen = json.loads(schema_json())["$defs"]["RetrainStage"]["properties"]["published"]["items"]["anyOf"]
    assert [form["enum"] for form in chosen if "enum" in form] == [list(PUBLISHED)]


def test_settings_are_frozen():
    compute = Settings.model_fields["compute"].default
    with pytest.raises(ValidationError, match="frozen"):
        compute.device = "cpu"


def test_config_and_space_import_no_torch():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("config", "space")
        for path in sorted((ROOT / "parsec" / package).glob("*.py"))
    ]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
