"""Result documents: written whole, read with one clear line when damaged, translated from earlier versions."""

import json
import subprocess
import sys

import pytest
import torch
from synthetic import retrain_result, search_result

from parsec.errors import UserError
from parsec.records.documents import (
    RESULTS_FILE,
    current_settings,
    read_document,
    read_results,
    translated,
)
from parsec.records.provenance import SCHEMA, cost, write_json
from parsec.runtime.loop import RunCost

RESULT = retrain_result()


def test_results_come_back_in_order(tmp_path):
    paths = [tmp_path / name / "result.json" for name in "ba"]
    for seed, path in enumerate(paths):
        write_json(path, RESULT | {"seed": seed})
    assert read_results(paths) == [RESULT | {"seed": 0}, RESULT | {"seed": 1}]


def test_equal_documents_are_equal_bytes(tmp_path):
    write_json(tmp_path / "a", {"x": 1, "y": "π"})
    write_json(tmp_path / "b", {"y": "π", "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == '{\n  "x": 1,\n  "y": "π"\n}\n'.encode()


def test_non_finite_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(RESULT)[:-5].encode(), "damaged, not JSON"),
        (b"\xff\xfe", "damaged, not JSON"),
        (b"[]", "JSON of another form"),
        (b'{"schema": 1, "kind": "genotype"}', "not a result"),
        (b'{"schema": 99, "kind": "search"}', r"another version \(schema 99; this one reads 1 to "),
        (b'{"kind": ' * 5000, "damaged, not JSON"),
    ],
)
def test_damaged_file_is_one_line(tmp_path, content, message):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_results([path])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_results([tmp_path / "none.json"])


def test_cost_has_the_schema_keys():
    assert cost(RunCost(2.0, 1.0, 3, 4), torch.device("cpu")) == {
        "wall_seconds": 2.0,
        "device_seconds": 1.0,
        "restarts": 3,
        "peak_memory_bytes": 4,
        "code_fingerprints": (),
        "saving_seconds": 0.0,
        "energy_joules": None,
        "device": "cpu",
        "accelerator": False,
    }


def test_reading_needs_no_torch():
    script = "import sys, parsec.records.provenance, parsec.stats; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("result", [search_result(), retrain_result()], ids=["search", "retrain"])
def test_a_missing_key_is_named(tmp_path, result):
    optional = {"space", "entropy", "mode_accuracy", "children", "skip_share", "train"}
    for key in set(result) - optional - {"kind"}:
        write_json(tmp_path / "result.json", {name: value for name, value in result.items() if name != key})
        with pytest.raises(UserError, match=rf"\({key}: Field required\)"):
            read_results([tmp_path / "result.json"])


@pytest.mark.parametrize(
    "changes",
    [{"method": "../../evil"}, {"stage": "/tmp"}, {"dataset": "a\n.. include::"}, {"seed": -1}, {"seed": 2**31}],
)
def test_unsafe_names_and_seeds_are_refused(tmp_path, changes):
    write_json(tmp_path / "result.json", search_result(**changes))
    with pytest.raises(UserError, match=rf"\({next(iter(changes))}: "):
        read_results([tmp_path / "result.json"])


def test_record_lines_are_read_by_kind(tmp_path):
    mean = {"cifar10": 1.0, "cifar100": 2.0, "in16": 3.0}
    lookup = {"kind": "lookup", "schema": SCHEMA, "best": mean, "mean": mean, "runs": []}
    documents = [search_result(), lookup, retrain_result()]
    path = tmp_path / RESULTS_FILE
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    assert [result["kind"] for result in read_results([path])] == ["search", "retrain"]
    assert read_document(path, "lookup") == lookup
    with pytest.raises(UserError, match="holds 0 documents of kind depths"):
        read_document(path, "depths")


def test_names_may_hold_any_line_separator(tmp_path):
    """Names of classes are those of folders; U+2028 and U+0085 end a line for `str.splitlines`, not in JSON."""
    document = retrain_result() | {"selection": "a\u2028b\u0085c"}
    (tmp_path / RESULTS_FILE).write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_results([tmp_path / RESULTS_FILE]) == [document]


def test_damaged_record_is_one_line(tmp_path):
    for text in ('{"kind": "search"}\n{"ki', "[]\n"):
        (tmp_path / RESULTS_FILE).write_text(text)
        with pytest.raises(UserError, match="restore the record from git"):
            read_results([tmp_path / RESULTS_FILE])


OLD = {
    "schema": 1,
    "method": "random_shared",
    "child_images": 10,
    "parent": {"method": "darts2"},
    "runs": [{"method": "darts2", "base": "darts2", "start": "search", "child_images": 3}],
    "rows": [{"executor": "one"}, {"executor": "stacked"}, {"executor": "auto"}],
    "provenance": {"settings": {"compute": {"executor": "table"}, "settings": {"start": "uniform"}}},
    "study": {"settings": {"start": 20}, "variants": {"a": {"changes": {"finetune": {"start": "uniform"}}}}},
}
NEW = {
    "schema": 1,
    "method": "random_ws",
    "forward_images": 10,
    "parent": {"method": "darts_second_order"},
    "runs": [{"method": "darts_second_order", "base": "darts_second_order", "start": "search", "forward_images": 3}],
    "rows": [{"executor": "sequential"}, {"executor": "grouped"}, {"executor": "auto"}],
    "provenance": {"settings": {"compute": {"executor": "fused"}, "settings": {"init_from": "uniform"}}},
    "study": {"settings": {"start": 20}, "variants": {"a": {"changes": {"finetune": {"init_from": "uniform"}}}}},
}


def test_old_names_are_translated():
    assert translated(OLD) == NEW
    assert translated(NEW) == NEW
    assert translated(OLD, since=SCHEMA) == OLD


def test_old_result_stays_readable(tmp_path):
    result = search_result(method="random_ws")
    old = {("child_images" if key == "forward_images" else key): value for key, value in result.items()}
    write_json(tmp_path / "result.json", old | {"schema": 1, "method": "random_shared"})
    assert read_results([tmp_path / "result.json"]) == [result]


def test_textual_changes_become_nested():
    changes = ["search.estimator.samples = 8", "search.start = scores", "finetune.budget = 96000"]
    variants = {"v": {"method": "parsec", "changes": [*changes, "prior.betas = [0.5, null]"]}}
    nested = {"search": {"estimator": {"samples": 8}, "init_from": "scores"}}
    nested |= {"finetune": {"budget": 96000}, "prior": {"betas": [0.5, None]}}
    assert current_settings({"name": "a", "variants": variants})["variants"]["v"]["changes"] == nested
