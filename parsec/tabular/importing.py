"""The verb `import-benchmark`: from the files that a benchmark's authors give out to the table that is read here.

The files of NATS-Bench (its topology space is NAS-Bench-201) are pickles, which can run code. They are therefore opened
here, by a reader that makes nothing but plain containers and numbers, and only what comes out of it is handed to the
package `nats_bench`.

The file of NAS-Bench-101, `nasbench_only108.tfrecord`, is read without TensorFlow. Every record is the JSON list [hash,
epochs, adjacency, operations, metrics]: one training of one architecture. The last one is the base64 of a protocol
buffer `ModelMetrics`, whose definition stands here as far as it is read (`model_metrics.proto` of
github.com/google-research/nasbench).
"""

import base64
import bz2
import functools
import hashlib
import json
import logging
import pickle
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from parsec.config.tabular import ImportJob
from parsec.errors import BenchmarkError, GenotypeError
from parsec.records.provenance import provenance, start_provenance
from parsec.runtime.files import temporary_path
from parsec.runtime.outputs import check_file, parquet_signature
from parsec.space.nasbench101 import from_columns
from parsec.space.nasbench201 import architectures
from parsec.tabular import nasbench101, nasbench201

logger = logging.getLogger("parsec")
Item = TypeVar("Item")

PROGRESS_SECONDS = 5.0
REMEDY_101, REMEDY_201 = nasbench101.KIND.remedy, nasbench201.KIND.remedy


class Source(NamedTuple):
    """The files that were imported, as provenance records them."""

    content_hash: str
    stand_in: str | None = None


def import_benchmark(job: ImportJob, source: Path, output: Path) -> None:
    """Write the table of a benchmark as a Parquet file; its metadata `about` says what made it, as JSON.

    Args:
        job: which benchmark.
        source: the authors' file, or for NAS-Bench-201 the folder with one file per architecture as well.
        output: the table.

    Raises:
        BenchmarkError: the source is missing, damaged or another one, or a package that reads it is not installed.
        UserError: no space is left, or the folder cannot be written to.
    """
    run_start = start_provenance("parsec.tabular.importing")
    check_file(output)
    read, table_of = READERS[job.benchmark]
    items: Iterable[object] = read(source)
    table: pa.Table = table_of(_with_progress(items, job.benchmark), source)  # type: ignore[operator]
    origin = {"source": source.name, "provenance": provenance(job, run_start, Source(_content_hash(source)))}
    check_file(output, parquet_signature(table.column_names))
    with temporary_path(output) as temporary:
        metadata = {"about": json.dumps(origin, sort_keys=True, allow_nan=False)}
        pq.write_table(table.replace_schema_metadata(metadata), temporary, write_page_checksum=True)
    logger.info("%s: %s architectures", output, f"{table.num_rows:,}")


def _with_progress(items: Iterable[Item], label: str) -> Iterator[Item]:
    """The items, with a line every few seconds about how many there were."""
    last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            logger.info("import %s  %s records", label, f"{count:,}")


def _content_hash(source: Path) -> str:
    """SHA-256 of a file, or over those of all files of a folder."""
    try:
        if source.is_dir():
            lines = [f"{path.name} {_content_hash(path)}" for path in sorted(source.iterdir()) if path.is_file()]
            return hashlib.sha256("\n".join(lines).encode()).hexdigest()
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BenchmarkError(f"{source}: cannot be read ({error.strerror})") from error


ENDING = "pickle.pbz2"
FULL: dict[nasbench201.Data, str] = {"cifar10": "cifar10", "cifar100": "cifar100", "in16": "ImageNet16-120"}
"""Names of the trainings on all training images."""
SEARCHED: dict[nasbench201.Data, str] = {**FULL, "cifar10": "cifar10-valid"}
"""Names of the trainings that have validation images: on CIFAR-10 those on half of the training images."""
TEST_SETS: dict[nasbench201.Data, str] = {"cifar10": "ori-test", "cifar100": "x-test", "in16": "x-test"}
VALIDATION_SET = "x-valid"
_PLAIN = {
    ("collections", "OrderedDict"),
    ("builtins", "set"),
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
}
"""Names that the files may import: nothing that does more than hold or make values."""
States = Mapping[str, Any]
"""Of one architecture: number of epochs (`12`, `200`) → state of the package's `ArchResults`."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        # NumPy before version 2 wrote its module's former name.
        known = module.replace("numpy.core", "numpy._core")
        if (known, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"it holds a {module}.{name}")
        return super().find_class(known, name)


def read_states(path: Path) -> Iterator[States]:
    """The architectures of the file, or of the folder with one file per architecture, in the order of their indices.

    Raises:
        BenchmarkError: missing, damaged or another file, not all architectures, or others.
    """
    if path.is_dir():
        _check_order(path, _unpickled(path / f"meta.{ENDING}"))
        yield from (_unpickled(_file_of(path, index)) for index in range(len(architectures())))
    else:
        whole = _unpickled(path)
        _check_order(path, whole)
        states = whole.get("arch2infos", {})
        if sorted(states) != list(range(len(architectures()))):
            raise BenchmarkError(f"{path}: holds {len(states)} of {len(architectures())} architectures; {REMEDY_201}")
        yield from (states[index] for index in range(len(states)))


def _file_of(folder: Path, index: int) -> Path:
    """File of an architecture; both ways of writing its number are in use."""
    padded = folder / f"{index:06d}.{ENDING}"
    return padded if padded.exists() else folder / f"{index}.{ENDING}"


def _unpickled(path: Path) -> dict[str, Any]:
    try:
        with bz2.BZ2File(path) as file:
            content = _PlainUnpickler(file).load()
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: no such file; {REMEDY_201}") from error
    except (OSError, EOFError, ValueError, TypeError, IndexError, KeyError, pickle.UnpicklingError) as error:
        raise BenchmarkError(f"{path}: damaged, or not a file of NATS-Bench ({error}); {REMEDY_201}") from error
    if not isinstance(content, dict):
        raise BenchmarkError(f"{path}: not a file of NATS-Bench; {REMEDY_201}")
    return content


def _check_order(path: Path, meta: Mapping[str, Any]) -> None:
    if meta.get("meta_archs") != [str(architecture) for architecture in architectures()]:
        raise BenchmarkError(f"{path}: does not list the architectures of the topology space; {REMEDY_201}")


def row_of(states: States, index: int, path: Path) -> dict[str, Any]:
    """The row of one architecture: accuracies in percent, means over the seeds there are, and seconds.

    Raises:
        BenchmarkError: a training or an evaluation of it is missing, or the package is not installed.
    """
    try:
        from nats_bench.api_utils import ArchResults
    except ImportError as error:
        remedy = "reading it needs the packages of `pip install 'parsec-nas[benchmarks]'`"
        raise BenchmarkError(f"{path}: {remedy}") from error
    name = str(architectures()[index])
    try:
        short, long = (ArchResults.create_from_state_dict(states[epochs]) for epochs in ("12", "200"))
        if (short.arch_str, long.arch_str) != (name, name):
            raise BenchmarkError(f"{path}: index {index} is {long.arch_str}, which should be {name}; {REMEDY_201}")
        return {"arch_index": index, "arch_str": name, **_numbers(short, long)}
    except (KeyError, AttributeError, TypeError, ZeroDivisionError) as error:
        raise BenchmarkError(f"{path}: index {index} lacks results ({error!r}); {REMEDY_201}") from error


def _numbers(short: Any, long: Any) -> dict[str, Any]:  # noqa: ANN401
    """Columns from the results after 12 and after 200 epochs."""
    numbers: dict[str, float | None] = {nasbench201.HALF_200: _accuracy(long, "cifar10-valid", "ori-test")}
    for data in nasbench201.DATA:
        numbers[nasbench201.VALIDATION_12[data]] = _accuracy(short, SEARCHED[data], VALIDATION_SET)
        numbers[nasbench201.VALIDATION_200[data]] = _accuracy(long, SEARCHED[data], VALIDATION_SET)
        numbers[nasbench201.TEST_200[data]] = _accuracy(long, FULL[data], TEST_SETS[data])
        numbers[nasbench201.SECONDS_12[data]] = _seconds(short, SEARCHED[data])
    return numbers


def _accuracy(results: Any, data: str, images: str) -> float:  # noqa: ANN401
    return float(results.get_metrics(data, images)["accuracy"])


def _seconds(results: Any, data: str) -> float | None:  # noqa: ANN401
    """All training and one evaluation, as the package's `simulate_train_eval` counts a search's cost."""
    training = results.get_metrics(data, "train")["all_time"]
    evaluation = results.get_metrics(data, VALIDATION_SET)["cur_time"]
    return None if training is None or evaluation is None else float(training + evaluation)


def nasbench201_table(states: Iterator[States], path: Path) -> pa.Table:
    """The table that `parsec.tabular.nasbench201` reads.

    Raises:
        BenchmarkError: as `row_of`.
    """
    return pa.Table.from_pylist([row_of(each, index, path) for index, each in enumerate(states)])


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
    from google.protobuf.message import DecodeError

    for position, record in enumerate(_records(path)):
        try:
            name, epochs, adjacency, operations, metrics = json.loads(record)
            yield Run(name, epochs, adjacency, operations, message.FromString(base64.b64decode(metrics)))
        except (ValueError, TypeError, DecodeError) as error:
            raise BenchmarkError(f"{path}: record {position} is no training of NAS-Bench-101; {REMEDY_101}") from error


def nasbench101_table(runs: Iterable[Run], path: Path) -> pa.Table:
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
            raise BenchmarkError(f"{path}: a training of {run.hash} was not evaluated to its end; {REMEDY_101}")
        by_hash[run.hash].add(run.metrics.evaluation_data[FINAL])
    if not by_hash:
        raise BenchmarkError(f"{path}: no training of {EPOCHS} epochs in it; {REMEDY_101}")
    return pa.table(_table_columns(by_hash))


def _table_columns(by_hash: dict[str, _Trained]) -> dict[str, list[Any]]:
    trained = list(by_hash.values())
    means = {name: [float(np.mean(each.numbers[name])) for each in trained] for name in _DOUBLES}
    return {
        nasbench101.HASH: list(by_hash),
        **{name: [getattr(each, name) for each in trained] for name in nasbench101.CELL},
        nasbench101.VALIDATION: [100 * share for share in means["validation_accuracy"]],
        nasbench101.TEST: [100 * share for share in means["test_accuracy"]],
        nasbench101.SECONDS: means["training_time"],
        "params": [each.parameters / 1e6 for each in trained],
        "runs": [len(each.numbers["test_accuracy"]) for each in trained],
    }


def _checked(run: Run, path: Path) -> _Trained:
    try:
        known = from_columns(run.adjacency, run.operations).canonical()
    except (GenotypeError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{path}: {run.hash} is no cell of the space ({error}); {REMEDY_101}") from error
    if known != run.hash:
        raise BenchmarkError(f"{path}: the cell named {run.hash} has the hash {known}; {REMEDY_101}")
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
            raise BenchmarkError(f"{path}: not a TFRecord file; {REMEDY_101}")
        yield from map(bytes, tfrecord_iterator(str(path)))
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: no such file; {REMEDY_101}") from error
    except (OSError, RuntimeError, OverflowError) as error:
        raise BenchmarkError(f"{path}: truncated or damaged; {REMEDY_101}") from error


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


READERS = {
    "nasbench101": (read_runs, nasbench101_table),
    "nasbench201": (read_states, nasbench201_table),
}
"""By benchmark: what reads the authors' files, and what makes the table of it."""
