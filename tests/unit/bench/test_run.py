"""The verb `bench` at its smallest: every benchmark runs, prints its tables and writes what JSON readers need."""

import json

import pytest
import torch

from parsec.bench import memory, run, search
from parsec.bench.workload import DIGITS, FINETUNE, PAPER_SMALL, SMALL, TINY, BenchJob, sizes, workload
from parsec.cli import main
from parsec.config.base import Compute

TIMED = {"contender", "seconds", "median", "fastest", "slowest", "rate", "speedup"}
BOUND = {"bytes", "operations", "bound", "over_bound"}


@pytest.fixture
def bench(capsys, tmp_path):
    """A function arguments → the document that a tiny benchmark wrote; its tables must be what was printed."""

    def run(*arguments):
        path = tmp_path / "bench.json"
        assert main(["bench", *arguments, "--tiny", "--rounds", "2", "--device", "cpu", "--json", str(path)]) == 0
        document = json.loads(path.read_text())
        printed = capsys.readouterr().out
        for comparison in document["comparisons"]:
            assert comparison["title"] in printed
            assert all(row["contender"] in printed for row in comparison["rows"])
        return document

    return run


def contenders(comparison):
    return [row["contender"] for row in comparison["rows"]]


def test_search_compares_executors_and_iterations(bench):
    document = bench("search")
    executors, iterations = document["comparisons"]
    assert contenders(executors)[:3] == ["plain modules, contiguous", "plain modules, channels last", "sequential"]
    assert contenders(executors)[3:] == ["grouped, S = 1", "grouped, S = 2"]
    assert [name[:6] for name in contenders(iterations)] == ["DARTS ", "DARTS ", "PARSEC", "PARSEC"]
    for comparison in document["comparisons"]:
        assert all(set(row) == TIMED | BOUND and len(row["seconds"]) == 2 for row in comparison["rows"])
        for row in comparison["rows"]:
            assert row["over_bound"] == pytest.approx(row["median"] / row["bound"])
    plain, last, one, *grouped = (row["operations"] for row in executors["rows"])
    assert plain == last >= one >= grouped[0] >= grouped[1], "children in flight share what they have in common"
    assert min(row["bytes"] for row in iterations["rows"][:2]) > 2 * max(row["bytes"] for row in iterations["rows"][2:])


def test_document_records_machine_settings_and_rates(bench):
    document = bench("retrain")
    assert (document["kind"], document["schema"], document["device"]) == ("bench", 2, "cpu")
    assert set(document["rates"]) == {"bytes", "operations"}
    provenance = document["provenance"]
    assert provenance["settings"]["what"] == "retrain"
    assert provenance["settings"]["rounds"] == 2
    assert {"machine", "versions", "git", "threads", "code_fingerprint"} <= set(provenance)
    assert contenders(document["comparisons"][0]) == ["plain modules, contiguous", "eager, channels last"]


def test_memory_rows_compare_child_and_darts(bench):
    [comparison] = bench("memory")["comparisons"]
    one = [f"sequential, K = {samples}" for samples in (1, 4, 16)]
    grouped, auto = ["grouped, S = K = 1", "grouped, S = K = 2"], comparison["rows"][-2]
    assert contenders(comparison) == [*one, *grouped, auto["contender"], "DARTS supernet"]
    assert auto["contender"] == "auto (grouped, S = 16), K = 16", "tiny maps fit the cache"
    assert auto["peak_bytes"] > comparison["rows"][2]["peak_bytes"], "than one child at a time"
    for row in comparison["rows"]:
        assert row["ratio"] == row["peak_bytes"] / row["reference_bytes"]
        assert ("budget_bytes" in row) == row["contender"].startswith("grouped")
    assert comparison["rows"][-1]["peak_bytes"] > 2 * comparison["rows"][0]["peak_bytes"]


def test_memory_limits_are_judged_by_worst(monkeypatch):
    """In any but the tiny network, where weights outweigh maps."""
    monkeypatch.setattr(memory, "sizes", lambda job, device: [TINY._replace(name="another")])
    [comparison] = memory.bench_memory(BenchJob(what="memory"), torch.device("cpu"))
    ratio, budget = comparison["targets"]
    rows = comparison["rows"]
    assert ratio["found"] == max(row["ratio"] for row in rows if row["contender"].startswith("sequential"))
    assert budget["found"] == max(row["peak_bytes"] / row["budget_bytes"] for row in rows if "budget_bytes" in row)
    assert [limit["target"] for limit in (ratio, budget)] == [1.05, 1.0]
    assert all(limit["reached"] == (limit["found"] <= limit["target"]) for limit in (ratio, budget))


def test_loader_compares_with_torchvision(bench):
    [comparison] = bench("loader")["comparisons"]
    assert comparison["reference"].startswith("torchvision")
    assert contenders(comparison) == [comparison["reference"], "torchvision, no worker", "resident", "memory-mapped"]
    assert comparison["work"] == 128
    assert [set(row) >= BOUND for row in comparison["rows"]] == [False, False, True, True]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["search", "--rounds", "0"], "--rounds: got 0; give 1 or more"),
        (["search", "--threads", "0"], "--threads: got 0; give 1 or more"),
        (["search", "--data", "digits"], "--data: bench search reads no images; leave it out"),
        (["search", "--size", "finetune"], "--size: finetune is measured with --paper on a GPU only; leave it out"),
        (["retrain", "--size", "small"], "--size: only with bench search or memory; leave it out"),
        (["memory", "--contender", "auto"], "--contender: only with bench search or retrain or loader; leave it out"),
        (["loader", "--tiny", "--data", "nowhere"], "no data set in nowhere"),
    ],
)
def test_invalid_benchmarks_fail_in_one_line(capsys, arguments, expected):
    assert main(["bench", *arguments, "--device", "cpu"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err.splitlines()[-1]


def test_comparisons_are_written_as_they_are_done(monkeypatch, tmp_path):
    path, seen = tmp_path / "bench.json", []

    def documents(job, device, rates, data):
        for title in ("first", "second"):
            yield {"title": title, "device": "cpu", "unit": "images", "reference": "-", "rows": [], "targets": []}
            seen.append([comparison["title"] for comparison in json.loads(path.read_text())["comparisons"]])

    monkeypatch.setattr(run, "_documents", documents)
    assert main(["bench", "search", "--device", "cpu", "--json", str(path)]) == 0
    assert seen == [["first"], ["first", "second"]]


def test_iterations_repeat_their_architectures():
    load = workload(BenchJob(what="search"), TINY, torch.device("cpu"), TINY.samples)
    trainer = search.Iteration(load, Compute(device="cpu", executor="sequential"), TINY.samples).trainer
    steps = [trainer.sample_architectures(trainer.prior, TINY.samples) for _ in range(6)]
    tables = [children.table for _, children in steps]
    assert all(torch.equal(table, tables[i % 2]) for i, table in enumerate(tables))
    assert not torch.equal(tables[0], tables[1])
    assert all(torch.equal(children.table, trainer.prior.children(chosen).table) for chosen, children in steps)


@pytest.mark.parametrize("place", [".", "file/bench.json"])
def test_unwritable_output_is_refused_before_measuring(capsys, tmp_path, place):
    (tmp_path / "file").touch()
    assert main(["bench", "search", "--device", "cpu", "--json", str(tmp_path / place)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert str(tmp_path / place) in line


def test_paper_sizes_require_the_flag():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert sizes(BenchJob(what="search"), cpu) == [DIGITS, SMALL]
    assert sizes(BenchJob(what="search", paper=True), cpu) == [DIGITS, PAPER_SMALL]
    assert sizes(BenchJob(what="search", paper=True), cuda) == [DIGITS, PAPER_SMALL, FINETUNE]
    assert sizes(BenchJob(what="search", paper=True, size="finetune"), cuda) == [FINETUNE]
    for size in (DIGITS, SMALL, PAPER_SMALL, FINETUNE):
        assert all(size.children % in_flight == 0 for in_flight in size.grouped)


def test_savings_of_whole_searches(bench):
    [comparison] = bench("savings")["comparisons"]
    rows = {row["contender"]: row for row in comparison["rows"]}
    assert set(rows) == {
        "sequential",
        "sequential, negligible skipped",
        "grouped",
        "grouped, negligible skipped",
    }
    steps, all_children = 2, 2 * 16
    assert rows["sequential"]["forward_passes"] == rows["grouped"]["forward_passes"] == steps * all_children
    assert rows["sequential"]["backward_passes"] == steps * 16
    assert rows["sequential, negligible skipped"]["backward_passes"] < steps * 16
    assert rows["grouped, negligible skipped"]["backward_passes"] <= rows["grouped"]["backward_passes"]
    assert rows["sequential, negligible skipped"]["accuracy"] == pytest.approx(rows["sequential"]["accuracy"], abs=0.02)
    assert all(row["speedup"] == rows["sequential"]["seconds"] / row["seconds"] for row in rows.values())
