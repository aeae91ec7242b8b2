"""`bench gpu` without a GPU: a rehearsal of every slice, and what the runner of slices promises."""

import json
import time

import pytest
import torch

from parsec.bench import carry, slices
from parsec.bench.carry import retrained, searched
from parsec.bench.checks import ComparedOperations, gpu_tests, program
from parsec.bench.gpu import SLICES
from parsec.bench.slices import MEASUREMENTS, RECORD, Log, Measurement, bench_slice
from parsec.bench.workload import BenchJob
from parsec.cli import main
from parsec.config.load import load
from parsec.errors import Interrupted, UserError
from parsec.network.kernels import reference
from parsec.plugins import source_root
from parsec.runtime.checkpoint import Checkpoints, checkpoint_files
from parsec.runtime.loop import StopRequest

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which would be measured")


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """Folder of the numbers after all slices, each on a machine that has only what was carried there."""
    out = tmp_path_factory.mktemp("evidence") / "out"
    for number in SLICES:
        work = tmp_path_factory.mktemp("work")
        assert main(["bench", "gpu", "--slice", str(number), "--out", str(out), "--work", str(work)]) == 0, number
    return out


def lines(out):
    return [json.loads(line) for line in (out / MEASUREMENTS).read_text().splitlines()]


def test_rehearsal_measures_everything(rehearsal):
    assert [row["error"] for row in lines(rehearsal) if "error" in row] == []
    assert [row["name"] for row in lines(rehearsal)] == [each.name for group in SLICES.values() for each in group]


def test_rehearsal_is_marked_and_not_kept(rehearsal, tmp_path, capsys):
    document = json.loads((rehearsal / RECORD).read_text())
    assert (document["kind"], document["device"], document["rehearsal"]) == ("bench", "cpu", True)
    assert document["provenance"]["machine"]["cpu"]
    assert {"machine", "operations equal", "executors equal"} <= set(document["facts"])
    assert all(comparison["rows"] for comparison in document["comparisons"])
    assert main(["record", str(rehearsal / RECORD), str(tmp_path / "benchmarks" / "gpu.json")]) == 2
    assert "a rehearsal without a GPU" in capsys.readouterr().err


def test_carried_files_are_few_and_small(rehearsal):
    files = list(rehearsal.iterdir())
    assert len(files) <= 8
    assert all(path.stat().st_size <= 16 * 2**20 for path in files)


def test_runs_and_programs_take_the_device_themselves():
    """They acquire it, and would wait for ever while the slice holds it."""
    taking = {program, gpu_tests, searched, retrained}
    for each in (each for group in SLICES.values() for each in group):
        assert each.takes_device == (getattr(each.run, "func", each.run) in taking), each.name


def test_trained_network_was_tested(rehearsal):
    [trained] = [row["result"] for row in lines(rehearsal) if row["name"] == "CIFAR-10: training from scratch"]
    assert trained["test"]["images"] > 0


@pytest.fixture
def run(tmp_path):
    """A function of slices' measurements → runs a slice; returns the names that ran, in order."""
    ran = []

    def measured(name, seconds=0.0, result=None, error=None):
        def measure(setup):
            ran.append(name)
            if error:
                raise error
            return result or {"value": len(ran)}

        return Measurement(name, seconds, measure)

    def slice_of(groups, number=0):
        ran.clear()
        given = {i: tuple(measured(**each) for each in group) for i, group in enumerate(groups)}
        bench_slice(number, given, tmp_path, tmp_path / "work", None, 1.0)
        return [*ran]

    return slice_of


def test_only_what_is_missing_is_measured(run, tmp_path):
    first, second = {"name": "first"}, {"name": "second"}
    assert run([[first]]) == ["first"]
    assert run([[first, second]]) == ["second"]
    assert run([[first, second]]) == []
    assert [row["name"] for row in lines(tmp_path)] == ["first", "second"]


def test_nothing_begins_that_would_not_fit(run, capsys):
    assert run([[{"name": "long", "seconds": 100.0}, {"name": "short", "seconds": 1.0}]]) == ["short"]
    assert "left: long; run it again" in capsys.readouterr().out


def test_failure_is_a_line_and_is_tried_again(run, tmp_path):
    broken = {"name": "broken", "error": ValueError("no card\nand more")}
    assert run([[broken, {"name": "next"}]]) == ["broken", "next"]
    assert [row.get("error") for row in lines(tmp_path)] == ["ValueError: no card", None]
    assert run([[{"name": "broken"}, {"name": "next"}]]) == ["broken"]


def test_unfinished_run_goes_on(run):
    assert run([[{"name": "run", "result": {"unfinished": "step 5 of 9"}}]]) == ["run"]
    assert run([[{"name": "run"}]]) == ["run"]
    assert run([[{"name": "run"}]]) == []


def test_timing_stops_where_operations_differ(run, tmp_path):
    unequal = {"name": "equal", "result": {"unequal": "separable differs"}}
    with pytest.raises(UserError, match="equal: separable differs; nothing is timed on cpu"):
        run([[unequal, {"name": "timed"}], [{"name": "later"}]])
    assert [row["name"] for row in lines(tmp_path)] == ["equal"]
    with pytest.raises(UserError, match="separable differs"):
        run([[unequal], [{"name": "later"}]], number=1)


def test_timing_waits_for_slice_0(run):
    with pytest.raises(UserError, match="1 comes after slice 0, of which equal is missing"):
        run([[{"name": "equal"}], [{"name": "later"}]], number=1)
    with pytest.raises(UserError, match="--slice: got 7; give one of 0, 1"):
        run([[{"name": "equal"}], [{"name": "later"}]], number=7)


def test_lines_of_killed_process_and_other_devices_do_not_count(tmp_path):
    Log(tmp_path, "a card").add({"name": "first", "result": {"value": 1}})
    Log(tmp_path, "another card").add({"name": "second", "result": {"value": 1}})
    with (tmp_path / MEASUREMENTS).open("ab") as file:
        file.write('{"device": "a card", "name": "third", "result": "×'.encode()[:-1])
    log = Log(tmp_path, "a card")
    assert list(log.results) == ["first"]
    log.add({"name": "third", "result": {"value": 2}})
    assert list(Log(tmp_path, "a card").results) == ["first", "third"]
    # Only the end of the line is missing.
    (tmp_path / MEASUREMENTS).write_bytes((tmp_path / MEASUREMENTS).read_bytes().removesuffix(b"\n"))
    Log(tmp_path, "a card").add({"name": "fourth", "result": {"value": 3}})
    assert list(Log(tmp_path, "a card").results) == ["first", "third", "fourth"]


class Kernels:
    """The plain operations, with one of them a little wrong."""

    def __getattr__(self, name):
        def operation(*args, **flags):
            getattr(reference, name)(*args, **flags)
            if name == "normalise":
                args[0].mul_(1.01)

        return operation


def test_first_differing_operation_is_named():
    compared = ComparedOperations(Kernels(), 1e-4)
    statistics = torch.stack([torch.zeros(2, 3), torch.ones(2, 3)], 1)
    compared.statistics(torch.rand(2, 1, 2, 3), 4, torch.empty(2, 2, 3))
    assert compared.first is None
    compared.normalise(torch.randn(2, 1, 2, 2, 3), statistics, None)
    assert compared.first.startswith("normalise differs from its plain twin by 0.01")
    assert list(compared.differences) == ["statistics", "normalise"]
    assert compared.differences["statistics"] == 0.0


def test_stop_is_asked_for_until_the_run_can_stop():
    began = time.monotonic()

    def work():
        time.sleep(0.3)
        with StopRequest() as stop:
            while stop.signal_number is None:
                assert time.monotonic() - began < 20
                time.sleep(0.01)
        raise Interrupted("stopped at step 5", stop.signal_number)

    assert carry.stopping_when(lambda: True, work) == "stopped at step 5"
    assert carry.stopping_when(lambda: False, lambda: None) is None


def test_carried_runs_have_the_settings_of_the_paper(tmp_path):
    job = BenchJob(what="gpu", device="cuda", slice=6, paper=True)
    setup = slices.Setup(torch.device("cuda"), job, tmp_path, tmp_path / "work", None, 0.0)
    settings, paper = carry.settings_of(setup), load(source_root() / "config" / "paper.yaml")
    assert (settings.search, settings.finetune, settings.compute) == (paper.search, paper.finetune, paper.compute)
    of_paper, [(dataset, trained)] = paper.retrain["cifar10"], settings.retrain.items()
    assert dataset == "cifar10"
    assert trained == of_paper.model_copy(update={"origins": ("finetune",), "published": (), "runs": (0,)})
    assert settings.seeds == (0,)
    with pytest.raises(UserError, match="--data: this slice trains on CIFAR-10"):
        carry.searched("search", setup)


@pytest.mark.parametrize("rounded", [False, True])
def test_large_checkpoints_are_rounded_to_be_carried(tmp_path, monkeypatch, rounded):
    monkeypatch.setattr(carry, "PART_BYTES", 500)
    if rounded:
        monkeypatch.setattr(carry, "LARGE", 16)
        monkeypatch.setattr(carry, "MOST_BYTES", 2400)
    there, back, out = tmp_path / "there", tmp_path / "back", tmp_path / "out"
    weights = torch.randn(16)
    state = {"weights": weights, "optimizer": {"state": {0: {"momentum_buffer": torch.ones(16)}}}, "step": 3}
    for step in (2, 3):
        with Checkpoints(there / "state" / "run", "aa") as store:
            store.save(step, state)
    (there / "settings.yaml").write_text("name: x\n")
    assert carry.pack(there, out)["rounded"] == rounded
    assert len(list(out.iterdir())) > 2
    carry.unpack(out, back)
    assert [path.name for path in checkpoint_files(back / "state" / "run")] == ["step-000000000003.pt"]
    with Checkpoints(back / "state" / "run", "aa") as store:
        found = store.load()
    expected = (weights.bfloat16().float(), torch.zeros(16)) if rounded else (weights, torch.ones(16))
    assert torch.equal(found["weights"], expected[0])
    assert torch.equal(found["optimizer"]["state"][0]["momentum_buffer"], expected[1])
    (out / f"{carry.PACKED}.0").write_bytes(b"other")
    with pytest.raises(UserError, match="are not those that were packed"):
        carry.unpack(out, tmp_path / "third")
