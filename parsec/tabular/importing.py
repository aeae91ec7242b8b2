"""The verb `import-benchmark`: from the files that a benchmark's authors give out to the table that is read here."""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from parsec.config.tabular import ImportJob
from parsec.errors import BenchmarkError
from parsec.records.provenance import provenance, start_provenance
from parsec.runtime.files import temporary_path
from parsec.runtime.outputs import check_file, parquet_signature
from parsec.tabular import nasbench101_file, nats_bench_file

logger = logging.getLogger("parsec")
Item = TypeVar("Item")

PROGRESS_SECONDS = 5.0
READERS = {
    "nasbench101": (nasbench101_file.read_runs, nasbench101_file.table_of),
    "nasbench201": (nats_bench_file.read_states, nats_bench_file.table_of),
}


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
