"""The authors' file of NAS-Bench-101, `nasbench_only108.tfrecord`, read without TensorFlow.

Every record is the JSON list [hash, epochs, adjacency, operations, metrics]: one training of one architecture. The last
one is the base64 of a protocol buffer `ModelMetrics`, whose definition stands here as far as it is read
(`model_metrics.proto` of github.com/google-research/nasbench).
"""

import base64
import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from parsec.errors import BenchmarkError, GenotypeError
from parsec.space.nasbench101 import from_columns
from parsec.tabular.nasbench101 import CELL, HASH, KIND, SECONDS, TEST, VALIDATION

EPOCHS = 108
FINAL = 2
"""Evaluations are made before the training, at half of it and at its end."""
_DOUBLES = {"training_time": 2, "validation_accuracy": 4, "test_accuracy": 5}
"""Numbers of the fields of an evaluation: seconds, and accuracies as shares."""
_MISSING = "reading the authors' file needs the packages of `pip install 'parsec-nas[benchmarks]'`"


class Run(NamedTuple):
    """One training of an architecture."""

    hash: str
    epochs: int
    adjacency: str
    operations: str
    metrics: Any
    """The decoded `ModelMetrics`."""


@dataclass
class _Trained:
    """One architecture: its cell, and the numbers of its runs."""

    adjacency: str
    operations: str
    parameters: int
    numbers: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _DOUBLES})

    def add(self, evaluation: Any) -> None:  # noqa: ANN401
        for name, values in self.numbers.items():
            values.append(getattr(evaluation, name))


def read_runs(path: Path) -> Iterator[Run]:
    """All trainings in the file, of whatever number of epochs, as they are read.

    Raises:
        BenchmarkError: the file is missing, truncated or another one, or the package that reads it is not installed.
    """
    message = _metrics_class()
    for position, record in enumerate(_records(path)):
        try:
            name, epochs, adjacency, operations, metrics = json.loads(record)
            yield Run(name, epochs, adjacency, operations, message.FromString(base64.b64decode(metrics)))
        except (ValueError, TypeError, _decode_error()) as error:
            raise BenchmarkError(f"{path}: record {position} is no training of NAS-Bench-101; {KIND.remedy}") from error


def table_of(runs: Iterable[Run], path: Path) -> pa.Table:
    """The table of `parsec.tabular.nasbench101`: one row per architecture, means over its trainings of 108 epochs.

    Shorter trainings, which the authors' larger file holds too, are left out. On top of the columns that are read:
    `params` in millions and `runs`.

    Raises:
        BenchmarkError: a hash is not that of its cell, or no training of 108 epochs is in the file.
    """
    by_hash: dict[str, _Trained] = {}
    for run in (each for each in runs if each.epochs == EPOCHS):
        if run.hash not in by_hash:
            by_hash[run.hash] = _checked(run, path)
        if len(run.metrics.evaluation_data) != FINAL + 1:
            raise BenchmarkError(f"{path}: a training of {run.hash} was not evaluated to its end; {KIND.remedy}")
        by_hash[run.hash].add(run.metrics.evaluation_data[FINAL])
    if not by_hash:
        raise BenchmarkError(f"{path}: no training of {EPOCHS} epochs in it; {KIND.remedy}")
    return pa.table(_columns(by_hash))


def _columns(by_hash: dict[str, _Trained]) -> dict[str, list[Any]]:
    trained = list(by_hash.values())
    means = {name: [float(np.mean(each.numbers[name])) for each in trained] for name in _DOUBLES}
    return {
        HASH: list(by_hash),
        **{name: [getattr(each, name) for each in trained] for name in CELL},
        VALIDATION: [100 * share for share in means["validation_accuracy"]],
        TEST: [100 * share for share in means["test_accuracy"]],
        SECONDS: means["training_time"],
        "params": [each.parameters / 1e6 for each in trained],
        "runs": [len(each.numbers["test_accuracy"]) for each in trained],
    }


def _checked(run: Run, path: Path) -> _Trained:
    try:
        known = from_columns(run.adjacency, run.operations).canonical()
    except (GenotypeError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{path}: {run.hash} is no cell of the space ({error}); {KIND.remedy}") from error
    if known != run.hash:
        raise BenchmarkError(f"{path}: the cell named {run.hash} has the hash {known}; {KIND.remedy}")
    return _Trained(run.adjacency, run.operations, run.metrics.trainable_parameters)


def _records(path: Path) -> Iterator[bytes]:
    try:
        from tfrecord.reader import tfrecord_iterator
        from tfrecord.writer import TFRecordWriter
    except ImportError as error:
        raise BenchmarkError(f"{path}: {_MISSING}") from error
    try:
        with path.open("rb") as file:
            head = file.read(12)
        # The checksum of the first length tells this format from every other before a wrong length is believed.
        if len(head) < 12 or TFRecordWriter.masked_crc(head[:8]) != head[8:]:
            raise BenchmarkError(f"{path}: not a TFRecord file; {KIND.remedy}")
        yield from map(bytes, tfrecord_iterator(str(path)))
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: no such file; {KIND.remedy}") from error
    except (OSError, RuntimeError, OverflowError) as error:
        raise BenchmarkError(f"{path}: truncated or damaged; {KIND.remedy}") from error


def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError

    known: type[Exception] = DecodeError
    return known


@functools.cache
def _metrics_class() -> Any:  # noqa: ANN401
    """The class of the message `ModelMetrics`, made from its definition without a compiler."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise BenchmarkError(_MISSING) from error
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="model_metrics.proto", package="nasbench", syntax="proto2")
    whole, evaluation = file.message_type.add(name="ModelMetrics"), file.message_type.add(name="EvaluationData")
    parts = {"name": "evaluation_data", "number": 1, "type_name": ".nasbench.EvaluationData"}
    whole.field.add(**parts, label=kinds.LABEL_REPEATED, type=kinds.TYPE_MESSAGE)
    whole.field.add(name="trainable_parameters", number=2, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_INT32)
    for name, number in _DOUBLES.items():
        evaluation.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_DOUBLE)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))
