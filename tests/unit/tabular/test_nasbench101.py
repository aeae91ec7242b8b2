"""NAS-Bench-101: the table, the problem that a search is given, and the authors' file, written here in its format."""

import base64
import json
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from job_file import job_file
from tfrecord.writer import TFRecordWriter

from parsec.cli import main
from parsec.errors import BenchmarkError
from parsec.space.nasbench101 import from_columns, neighbours
from parsec.tabular.nasbench101 import NasBench101, read_report_columns, read_search_columns

CHAIN = from_columns("0100001000010000", "input,conv3x3-bn-relu,conv1x1-bn-relu,output")
NEAR = neighbours(CHAIN)[:5]
FAR = neighbours(neighbours(NEAR[0])[-1])[-1]
CELLS = [CHAIN, *NEAR]


@pytest.fixture
def rows():
    """A made-up table without hashes in which the first cell has two runs."""
    return pd.DataFrame(
        {
            "adjacency": [arch.adjacency for arch in [*CELLS, CHAIN]],
            "operations": [",".join(arch.operations) for arch in [*CELLS, CHAIN]],
            "val_accuracy": [90.0, 91.0, 92.0, 93.0, 94.0, 95.0, 80.0],
            "test_accuracy": [89.0, 90.0, 91.0, 92.0, 93.0, 94.0, 81.0],
        }
    )


@pytest.fixture
def write(tmp_path):
    def to_file(frame):
        frame.to_parquet(tmp_path / "table.parquet", index=False)
        return tmp_path / "table.parquet"

    return to_file


def test_runs_of_one_architecture_are_averaged(rows, write):
    path = write(rows)
    search = read_search_columns(path)
    assert search.architectures == tuple(CELLS)
    assert search.hashes == tuple(arch.canonical() for arch in CELLS)
    assert search.validation.tolist() == [85.0, 91.0, 92.0, 93.0, 94.0, 95.0]
    assert search.seconds is None
    assert read_report_columns(path).tolist() == [85.0, 90.0, 91.0, 92.0, 93.0, 94.0]


def test_a_search_needs_no_test_column(rows, write):
    path = write(rows.drop(columns="test_accuracy"))
    assert len(read_search_columns(path).architectures) == 6
    assert read_report_columns(path) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="operations"), "lacks operations"),
        (lambda rows: rows.assign(val_accuracy=101.0), "percentages"),
        (lambda rows: rows.assign(adjacency="0"), "row 0 is no cell"),
        (lambda rows: rows.assign(operations=None), "row 0 is no cell"),
    ],
)
def test_invalid_table_fails_in_one_line(rows, write, change, message):
    with pytest.raises(BenchmarkError, match=message) as refused:
        read_search_columns(write(change(rows)))
    assert "\n" not in str(refused.value)
    assert "nasbench_only108" in str(refused.value)


def test_neighbours_are_those_of_the_table(rows, write):
    problem = NasBench101(read_search_columns(write(rows)))
    assert problem.neighbours(0) == [1, 2, 3, 4, 5]
    assert 0 in problem.neighbours(3)
    assert problem.accuracy(3) == 93.0
    draws = problem.draw(200, np.random.default_rng(0))
    assert set(draws) == set(range(6))


def test_isolated_cells_use_nearest_as_neighbours(write):
    cells = [CHAIN, NEAR[0], FAR]
    assert FAR.canonical() not in {each.canonical() for each in neighbours(NEAR[0])}
    frame = pd.DataFrame(
        {
            "adjacency": [arch.adjacency for arch in cells],
            "operations": [",".join(arch.operations) for arch in cells],
            "val_accuracy": 90.0,
        }
    )
    assert NasBench101(read_search_columns(write(frame))).neighbours(2) == [1]


def test_graphs_are_padded_cells(rows, write):
    problem = NasBench101(read_search_columns(write(rows)))
    graphs = problem.graphs([0, 4])
    assert graphs.adjacency.shape == (2, 7, 7)
    assert graphs.features.shape == (2, 7, 5)
    assert graphs.adjacency[0, :4, :4].tolist() == [list(row) for row in CHAIN.matrix]
    assert graphs.adjacency[0].sum() == 3
    assert graphs.features[0].argmax(1).tolist()[:4] == [0, 1, 2, 4]
    assert graphs.features[0].sum(1).tolist() == [1, 1, 1, 1, 0, 0, 0]


def test_the_subset_is_read(shared_data):
    problem = NasBench101(read_search_columns(shared_data("nasbench101-subset.parquet")))
    assert len(problem.everything) == len(set(problem.architectures)) == 292
    assert 73 < problem.reached.min() < problem.reached.max() < 95
    assert all(problem.neighbours(arch) for arch in problem.everything)


@pytest.fixture(scope="module")
def metrics():
    """A function (parameters, three evaluations) → base64 of the authors' message, with all of its fields."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="written_by_the_test.proto", package="nasbench", syntax="proto2")
    whole, part = file.message_type.add(name="ModelMetrics"), file.message_type.add(name="EvaluationData")
    whole.field.add(name="evaluation_data", number=1, label=3, type=11, type_name=".nasbench.EvaluationData")
    whole.field.add(name="trainable_parameters", number=2, label=1, type=kinds.TYPE_INT32)
    whole.field.add(name="total_time", number=3, label=1, type=kinds.TYPE_DOUBLE)
    names = ["current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy"]
    for number, name in enumerate(names, start=1):
        part.field.add(name=name, number=number, label=1, type=kinds.TYPE_DOUBLE)
    part.field.add(name="checkpoint_path", number=6, label=1, type=kinds.TYPE_STRING)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))

    def encode(parameters, evaluations):
        result = message(trainable_parameters=parameters, total_time=1.0)
        for numbers in evaluations:
            result.evaluation_data.add(**dict(zip(names, numbers, strict=True)), checkpoint_path="model.ckpt-0")
        return base64.b64encode(result.SerializeToString()).decode()

    return encode


@pytest.fixture
def write_file(tmp_path, metrics):
    """A function of (hash, epochs, cell, parameters, seconds, validation, test) rows → file in the authors' format."""

    def to_file(trainings):
        path = tmp_path / "nasbench_only108.tfrecord"
        with path.open("wb") as file:
            for name, epochs, arch, parameters, seconds, validation, test in trainings:
                evaluations = [(0, 0, 0.1, 0.1, 0.1), (epochs / 2, seconds / 2, 0.5, 0.5, 0.5)]
                evaluations.append((epochs, seconds, 1.0, validation, test))
                cell = [arch.adjacency, ",".join(arch.operations)]
                record = json.dumps([name, epochs, *cell, metrics(parameters, evaluations)]).encode()
                length = len(record).to_bytes(8, "little")
                file.write(length + TFRecordWriter.masked_crc(length) + record + TFRecordWriter.masked_crc(record))
        return path

    return to_file


def trainings():
    first, second = CHAIN.canonical(), NEAR[0].canonical()
    return [
        (first, 108, CHAIN, 1_000_001, 1000.0, 0.90, 0.80),
        (second, 108, NEAR[0], 2_000_000, 3000.0, 0.70, 0.60),
        (first, 12, CHAIN, 1_000_001, 10.0, 0.10, 0.10),
        (first, 108, CHAIN, 1_000_001, 2000.0, 0.94, 0.88),
    ]


def run_import(source, output, benchmark="nasbench101"):
    settings = str(job_file(output.parent, json.dumps({"benchmark": benchmark})))
    return main(["import-benchmark", "--settings", settings, "--source", str(source), "--output", str(output)])


def test_the_authors_file_becomes_the_table(write_file, tmp_path):
    output = tmp_path / "made" / "nasbench101.parquet"
    assert run_import(write_file(trainings()), output) == 0
    search = read_search_columns(output)
    assert search.architectures == (CHAIN, NEAR[0])
    assert search.validation.tolist() == pytest.approx([92.0, 70.0])
    assert search.seconds.tolist() == [1500.0, 3000.0]
    assert read_report_columns(output).tolist() == pytest.approx([84.0, 60.0])
    frame = pd.read_parquet(output)
    assert frame.params.tolist() == [1.000001, 2.0]
    assert frame.runs.tolist() == [2, 1]
    origin = json.loads(pq.read_schema(output).metadata[b"about"])
    assert origin["provenance"]["settings"] == {"benchmark": "nasbench101"}
    assert len(origin["provenance"]["dataset_hash"]) == 64


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-10], "truncated or damaged"),
        (lambda data: data[:5], "not a TFRecord file"),
        (lambda data: b"no TFRecord at all", "not a TFRecord file"),
        (lambda data: data.replace(b'"0100', b'"0200', 1), "is no cell of the space"),
        (lambda data: data.replace(b"conv1x1", b"conv3x3"), "has the hash"),
        (lambda data: data.replace(b"[", b"{", 1), "record 0 is no training"),
        (lambda data: data.replace(b" 108,", b" 107,"), "no training of 108 epochs"),
    ],
)
def test_damaged_files_are_refused(write_file, tmp_path, capsys, damage, message):
    path = write_file(trainings())
    path.write_bytes(damage(path.read_bytes()))
    assert run_import(path, tmp_path / "table.parquet") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "table.parquet").exists()


def test_missing_file_error_names_download_source(tmp_path, capsys):
    assert run_import(tmp_path / "none.tfrecord", tmp_path / "table.parquet") == 2
    said = capsys.readouterr().err
    assert "no such file" in said
    assert "github.com/google-research/nasbench" in said
    assert said.count("\n") == 1


def test_missing_package_error_names_install_command(write_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tfrecord.reader", None)
    assert run_import(write_file(trainings()), tmp_path / "table.parquet") == 2
    assert "pip install 'parsec-nas[benchmarks]'" in capsys.readouterr().err
