"""The verb `import-benchmark`: from the files that a benchmark's authors give out to the table that is read here.

The files of NATS-Bench (its topology space is NAS-Bench-201) are pickles, which can run code. They are therefore opened
here, by a reader that makes nothing but plain containers and numbers, and only what comes out of it is handed to the
package `nats_bench`.
"""

import bz2
import hashlib
import json
import logging
import pickle
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from parsec.config.tabular import ImportJob
from parsec.errors import BenchmarkError
from parsec.records.provenance import provenance, start_provenance
from parsec.runtime.files import temporary_path
from parsec.runtime.outputs import check_file, parquet_signature
from parsec.space.nasbench201 import architectures
from parsec.tabular import nasbench101_file
from parsec.tabular.nasbench201 import (
    DATA,
    HALF_200,
    KIND,
    SECONDS_12,
    TEST_200,
    VALIDATION_12,
    VALIDATION_200,
    Data,
)

logger = logging.getLogger("parsec")
Item = TypeVar("Item")

PROGRESS_SECONDS = 5.0


class Source(NamedTuple):
    """The files that were imported, as provenance tells about them."""

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
    table: pa.Table = table_of(_told(items, job.benchmark), source)  # type: ignore[operator]
    about = {"source": source.name, "provenance": provenance(job, run_start, Source(_content_hash(source)))}
    check_file(output, parquet_signature(table.column_names))
    with temporary_path(output) as temporary:
        metadata = {"about": json.dumps(about, sort_keys=True, allow_nan=False)}
        pq.write_table(table.replace_schema_metadata(metadata), temporary, write_page_checksum=True)
    logger.info("%s: %s architectures", output, f"{table.num_rows:,}")


def _told(items: Iterable[Item], label: str) -> Iterator[Item]:
    """The items, with a line every few seconds about how many there were."""
    said = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - said >= PROGRESS_SECONDS:
            said = time.monotonic()
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
FULL: dict[Data, str] = {"cifar10": "cifar10", "cifar100": "cifar100", "in16": "ImageNet16-120"}
"""Names of the trainings on all training images."""
SEARCHED: dict[Data, str] = {**FULL, "cifar10": "cifar10-valid"}
"""Names of the trainings that have validation images: on CIFAR-10 those on half of the training images."""
TEST_SETS: dict[Data, str] = {"cifar10": "ori-test", "cifar100": "x-test", "in16": "x-test"}
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
            raise BenchmarkError(f"{path}: holds {len(states)} of {len(architectures())} architectures; {KIND.remedy}")
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
        raise BenchmarkError(f"{path}: no such file; {KIND.remedy}") from error
    except (OSError, EOFError, ValueError, TypeError, IndexError, KeyError, pickle.UnpicklingError) as error:
        raise BenchmarkError(f"{path}: damaged, or not a file of NATS-Bench ({error}); {KIND.remedy}") from error
    if not isinstance(content, dict):
        raise BenchmarkError(f"{path}: not a file of NATS-Bench; {KIND.remedy}")
    return content


def _check_order(path: Path, meta: Mapping[str, Any]) -> None:
    if meta.get("meta_archs") != [str(architecture) for architecture in architectures()]:
        raise BenchmarkError(f"{path}: does not list the architectures of the topology space; {KIND.remedy}")


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
            raise BenchmarkError(f"{path}: index {index} is {long.arch_str}, which should be {name}; {KIND.remedy}")
        return {"arch_index": index, "arch_str": name, **_numbers(short, long)}
    except (KeyError, AttributeError, TypeError, ZeroDivisionError) as error:
        raise BenchmarkError(f"{path}: index {index} lacks results ({error!r}); {KIND.remedy}") from error


def _numbers(short: Any, long: Any) -> dict[str, Any]:  # noqa: ANN401
    """Columns from the results after 12 and after 200 epochs."""
    numbers: dict[str, float | None] = {HALF_200: _accuracy(long, "cifar10-valid", "ori-test")}
    for data in DATA:
        numbers[VALIDATION_12[data]] = _accuracy(short, SEARCHED[data], VALIDATION_SET)
        numbers[VALIDATION_200[data]] = _accuracy(long, SEARCHED[data], VALIDATION_SET)
        numbers[TEST_200[data]] = _accuracy(long, FULL[data], TEST_SETS[data])
        numbers[SECONDS_12[data]] = _seconds(short, SEARCHED[data])
    return numbers


def _accuracy(results: Any, data: str, images: str) -> float:  # noqa: ANN401
    return float(results.get_metrics(data, images)["accuracy"])


def _seconds(results: Any, data: str) -> float | None:  # noqa: ANN401
    """All training and one evaluation, as the package's `simulate_train_eval` counts a search's cost."""
    training = results.get_metrics(data, "train")["all_time"]
    evaluation = results.get_metrics(data, VALIDATION_SET)["cur_time"]
    return None if training is None or evaluation is None else float(training + evaluation)


def table_of(states: Iterator[States], path: Path) -> pa.Table:
    """The table that `parsec.tabular.nasbench201` reads.

    Raises:
        BenchmarkError: as `row_of`.
    """
    return pa.Table.from_pylist([row_of(each, index, path) for index, each in enumerate(states)])


READERS = {
    "nasbench101": (nasbench101_file.read_runs, nasbench101_file.table_of),
    "nasbench201": (read_states, table_of),
}
"""By benchmark: what reads the authors' files, and what makes the table of it."""
