"""Importing NAS-Bench-201 from files of NATS-Bench, which the tests write with the authors' package."""

import bz2
import json
import pickle
import shutil
import sys

import numpy as np
import pytest
from job_file import job_file
from nats_bench.api_utils import ArchResults, ResultsCount, pickle_save

from parsec.cli import main
from parsec.errors import BenchmarkError
from parsec.space.nasbench201 import SIZE, architectures
from parsec.tabular.importing import read_states, row_of
from parsec.tabular.nasbench201 import read_report_columns, read_search_columns, read_seconds

NAMES = [str(arch) for arch in architectures()]
TRAININGS = {
    "cifar10-valid": ["x-valid", "ori-test"],
    "cifar10": ["ori-test"],
    "cifar100": ["x-valid", "x-test", "ori-test"],
    "ImageNet16-120": ["x-valid", "x-test", "ori-test"],
}
EPOCHS = 2
"""Of the made-up trainings; the last one counts."""


def result(data, seed, last, seconds=1.0):
    """A training whose accuracy on image set number i is `last` + i after the last epoch."""
    made = ResultsCount(data, None, {0: 1.0, 1: 2.0}, {0: 2.0, 1: 1.0}, 0.1, 20.0, {}, seed, EPOCHS, None)
    made.train_times = dict.fromkeys(range(EPOCHS), seconds)
    accuracies = {
        f"{images}@{epoch}": np.float64(last + place if epoch == EPOCHS - 1 else 1.0)
        for place, images in enumerate(TRAININGS[data])
        for epoch in range(EPOCHS)
    }
    made.update_eval(accuracies, dict.fromkeys(accuracies, 1.0), dict.fromkeys(accuracies, 0.25))
    return made


def states(index, name, trainings=TRAININGS):
    """Of one architecture: one seed after 12 epochs, two after 200; accuracies tell all of them apart."""
    made = {}
    for epochs, seeds in (("12", (777,)), ("200", (777, 888))):
        results = ArchResults(index, name)
        for place, data in enumerate(trainings):
            for seed in seeds:
                results.update(
                    data, seed, result(data, seed, len(epochs) * 10 + 10 * place + (seed == 888) + index % 7)
                )
        made[epochs] = results.state_dict()
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a file for each of the first three architectures only."""
    place = tmp_path_factory.mktemp("files") / "NATS-tss-v1_0-3ffb9-simple"
    place.mkdir()
    pickle_save({"meta_archs": NAMES, "total_archs": SIZE}, place / "meta", ".pickle.pbz2")
    for index in range(3):
        pickle_save(states(index, NAMES[index]), place / f"{index:06d}", ".pickle.pbz2")
    return place


def test_row_values_match_their_columns(folder):
    row = row_of(next(iter(read_states(folder))), 0, folder)
    # 20 (12 epochs) or 30 and a half (200, two seeds), 10 for the place of the training, 1 for that of the image set.
    assert row == {
        "arch_index": 0,
        "arch_str": NAMES[0],
        "naslib_cifar10_val_200": 31.5,
        "cifar10_val_12": 20.0,
        "cifar10_val_200": 30.5,
        "cifar10_test_200": 40.5,
        "cifar10_seconds_12": 2.25,
        "cifar100_val_12": 40.0,
        "cifar100_val_200": 50.5,
        "cifar100_test_200": 51.5,
        "cifar100_seconds_12": 2.25,
        "in16_val_12": 50.0,
        "in16_val_200": 60.5,
        "in16_test_200": 61.5,
        "in16_seconds_12": 2.25,
    }


def run_import(source, output):
    settings = str(job_file(output.parent, json.dumps({"benchmark": "nasbench201"})))
    return main(["import-benchmark", "--settings", settings, "--source", str(source), "--output", str(output)])


def test_the_whole_file_becomes_the_table(tmp_path):
    shared = [states(index, "") for index in range(7)]
    infos = {}
    for index, name in enumerate(NAMES):
        same = shared[index % 7]
        infos[index] = {epochs: {**same[epochs], "arch_index": index, "arch_str": name} for epochs in same}
    whole = {"meta_archs": NAMES, "arch2infos": infos, "evaluated_indexes": set(range(SIZE))}
    pickle_save(whole, tmp_path / "NATS-tss-v1_0-3ffb9", ".pickle.pbz2")
    output = tmp_path / "nasbench201.parquet"
    assert run_import(tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2", output) == 0
    expected = np.arange(SIZE) % 7
    search, report = read_search_columns(output), read_report_columns(output)
    assert np.array_equal(search.validation["cifar10"], 20.0 + expected)
    assert np.array_equal(report.test["in16"], 61.5 + expected)
    assert np.array_equal(report.half, 31.5 + expected)
    assert np.array_equal(read_seconds(output)["cifar100"], np.full(SIZE, 2.25))


def test_a_missing_architecture_is_named(folder, tmp_path, capsys):
    assert run_import(folder, tmp_path / "table.parquet") == 2
    said = capsys.readouterr().err
    assert "3.pickle.pbz2: no such file" in said
    assert "github.com/D-X-Y/NATS-Bench" in said
    assert not (tmp_path / "table.parquet").exists()


def with_file(folder, tmp_path, name, content):
    shutil.copytree(folder, tmp_path / "copy")
    with bz2.BZ2File(tmp_path / "copy" / f"{name}.pickle.pbz2", "wb") as file:
        file.write(content)
    return tmp_path / "copy"


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


def test_file_that_executes_code_is_refused(folder, tmp_path, capsys):
    copy = with_file(folder, tmp_path, "000000", pickle.dumps({"12": Harmful()}))
    with pytest.raises(BenchmarkError, match=r"holds a (builtins|__builtin__)\.print"):
        next(iter(read_states(copy)))
    assert "this ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("meta", pickle.dumps({"meta_archs": NAMES[::-1]}), "does not list"),
        ("meta", pickle.dumps([1]), "not a file of NATS-Bench"),
        ("000000", b"no pickle", "damaged, or not a file"),
        ("000000", pickle.dumps(states(0, NAMES[1])), "index 0 is"),
        ("000000", pickle.dumps(states(0, NAMES[0], ["cifar10"])), "index 0 lacks results"),
        ("000000", pickle.dumps({"200": {}}), "index 0 lacks results"),
    ],
)
def test_invalid_files_fail_in_one_line(folder, tmp_path, name, content, message):
    copy = with_file(folder, tmp_path, name, content)
    with pytest.raises(BenchmarkError, match=message) as refused:
        row_of(next(iter(read_states(copy))), 0, copy)
    assert "\n" not in str(refused.value)


def test_old_numpy_scalars_are_read(folder, tmp_path):
    old = pickle.dumps({"12": np.float64(3.0)}, protocol=2).replace(b"numpy._core", b"numpy.core")
    copy = with_file(folder, tmp_path, "000000", old)
    assert next(iter(read_states(copy))) == {"12": 3.0}


def test_missing_package_error_names_install_command(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "nats_bench.api_utils", None)
    with pytest.raises(BenchmarkError, match=r"pip install 'parsec-nas\[benchmarks\]'"):
        row_of(next(iter(read_states(folder))), 0, folder)
