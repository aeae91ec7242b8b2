"""The stage `prepare`: one data set from its source into shards, splits and the record that makes them usable."""

import hashlib
import json
import logging
import shutil
from pathlib import Path

import numpy as np

from parsec.config.base import expanded, fingerprint
from parsec.config.datasets import (
    Cifar10,
    Cifar100,
    Dataset,
    Digits,
    DigitsFolder,
    ImageFolder,
    Jpeg,
    PrepareJob,
    Registered,
)
from parsec.data.dataset import (
    INDEX,
    LABELS,
    PARTS,
    DatasetRecord,
    PartName,
    PartRecord,
    SourceRecord,
    as_json,
    content_hash,
)
from parsec.data.shards import PixelStatistics, check_partial, remove_notes, write_packed_part, write_part
from parsec.data.sources.base import Collection, Integers, Source, stratified
from parsec.data.sources.encoded import Encoded
from parsec.errors import DatasetError, UserError
from parsec.records.code_hash import code_fingerprint
from parsec.runtime.files import is_partial, remove_partial, reported, write_atomic
from parsec.runtime.outputs import check_apart, check_run_folder, mark_folder, remove_written

logger = logging.getLogger("parsec")

RECORD = "dataset.json"
SPLITS = "splits.json"
SOURCE = "source.json"
PART_FILES = ("images-*.npy", "images-*.tar", "images-*.json", INDEX, LABELS, ".snakemake_timestamp")
"""Files in the folder of a part; the last is Snakemake's, in a folder that is an output of a rule."""
PARTIAL = "partial"
"""Folder of packed parts that are not complete; no output of a rule, so that a job that was killed goes on from it."""
SPACE_MARGIN = 1.05

Chosen = dict[PartName, tuple[Collection, Integers]]


def open_source(dataset: Dataset, output: Path) -> Source:
    """Open the source that the settings name; what it must store first goes below `output`.

    Torchvision takes seconds to import, so that only the sources that use it are imported.

    Raises:
        DatasetError: the source is missing, damaged or not what it claims to be.
    """
    match dataset:
        case Digits():
            from parsec.data.sources.base import open_digits

            return open_digits(dataset)
        case DigitsFolder():
            from parsec.data.sources.base import open_digits_folder

            return open_digits_folder(dataset, output)
        case Cifar10() | Cifar100():
            from parsec.data.sources.cifar import open_cifar

            return open_cifar(dataset, output)
        case ImageFolder():
            from parsec.data.sources.image_folder import open_image_folder

            return open_image_folder(dataset)
        case Registered():
            from parsec.data.sources.base import open_registered

            return open_registered(dataset)


def _jpeg(dataset: Dataset) -> Jpeg | None:
    """How images are encoded; None where they are stored as pixels."""
    return dataset.jpeg if isinstance(dataset, ImageFolder) else None


def _choose(source: Source, dataset: Dataset) -> Chosen:
    names = [f"train/{name}" for name in source.classes]
    train, validation = stratified(source.training.labels, dataset.validation_fraction, dataset.split_seed, names)
    test = np.arange(len(source.test.labels))
    return {"train": (source.training, train), "validation": (source.training, validation), "test": (source.test, test)}


def _clear(output: Path) -> None:
    """Take away what an earlier run left, the record first, so that no record ever describes other files."""
    for name in (RECORD, SPLITS, SOURCE):
        (output / name).unlink(missing_ok=True)
    for part in PARTS:
        remove_written(output / part, PART_FILES)
    remove_partial(output)


def check_output(job: PrepareJob, output: Path) -> None:
    """Refuse a folder that holds what we did not write, another data set, or the images themselves.

    Raises:
        UserError: see `check_run_folder` and `check_apart`.
    """
    folder = getattr(job.dataset, "folder", None)
    source = None if folder is None else Path(expanded(folder, "dataset.folder"))
    check_apart({"--output": output}, {"the data set's folder": source})
    check_run_folder(output, "prepare", job.name, [RECORD, *PARTS])
    for path in (path for part in PARTS for path in (output / part).glob("*")):
        if not is_partial(path) and not any(map(path.match, PART_FILES)):
            raise UserError(f"{path}: nothing that parsec wrote; move it out of {path.parent}, which is to be replaced")


def _check_space(output: Path, images: int, side: int) -> None:
    present = sum(file.stat().st_size for part in PARTS for file in (output / part).glob("*.npy"))
    needed, free = int(images * side * side * 3 * SPACE_MARGIN), shutil.disk_usage(output).free + present
    if needed > free:
        raise DatasetError(
            f"{output}: {images} images of {side} × {side} pixels need {needed / 1e9:.2f} GB of disk space, "
            f"{free / 1e9:.2f} GB are free; free some or choose another results folder"
        )


def _splits_json(chosen: Chosen, seed: int) -> str:
    indices = {part: images.indices[positions].tolist() for part, (images, positions) in chosen.items()}
    return json.dumps({"schema": 1, "split_seed": seed, "indices": indices}) + "\n"


def _write_parts(
    chosen: Chosen, side: int, output: Path, form: Jpeg | None
) -> tuple[dict[PartName, PartRecord], PixelStatistics]:
    statistics, parts = PixelStatistics(), {}
    for part, (images, positions) in chosen.items():
        counted = None if part == "test" else statistics
        if form is None:
            parts[part] = write_part(output / part, images, positions, side, counted)
        else:
            assert isinstance(images, Encoded)
            parts[part] = write_packed_part(output / PARTIAL / part, images, positions, form, side, counted)
    return parts, statistics


def _finish_parts(output: Path) -> None:
    """Put packed parts in their place, now that all are complete."""
    for part in PARTS:
        remove_notes(output / PARTIAL / part)
        (output / PARTIAL / part).replace(output / part)
    shutil.rmtree(output / PARTIAL)


def _identity(job: PrepareJob, chosen: Chosen) -> str:
    """Identity of the shards that an interrupted call left: their settings, code, and images with their places."""
    listed = hashlib.sha256()
    for images, positions in chosen.values():
        assert isinstance(images, Encoded)
        listed.update(images.labels[positions].tobytes())
        listed.update("\n".join(str(images.pieces[position]) for position in positions).encode())
    return f"{fingerprint(job)}-{listed.hexdigest()[:16]}-{code_fingerprint('parsec.data.shards')}"


def _record(job: PrepareJob, source: Source, chosen: Chosen, output: Path) -> DatasetRecord:
    form = _jpeg(job.dataset)
    if form:
        # JPEGs take long to encode: complete shards of an interrupted call are kept if they are of the same job.
        check_partial(output / PARTIAL, _identity(job, chosen))
    parts, statistics = _write_parts(chosen, source.image_size, output, form)
    if form:
        _finish_parts(output)
    mean, std = statistics.mean_std()
    return DatasetRecord(
        name=job.name,
        source=job.dataset.source,
        classes=list(source.classes),
        image_size=source.image_size,
        mean=mean,
        std=std,
        counts={part: len(positions) for part, (_, positions) in chosen.items()},
        parts=parts,
        content_hash=content_hash(parts),
        stand_in=source.stand_in,
        storage="jpeg" if form else "pixels",
    )


def _source_json(job: PrepareJob, source: Source) -> str:
    settings = job.model_dump(mode="json")
    return as_json(SourceRecord(served_by=source.served_by, settings=settings, fingerprint=fingerprint(job)))


def prepare(job: PrepareJob, output: Path) -> None:
    """Make the data set of `job` in the folder `output`; an earlier or half-written one there is replaced.

    The earlier one is kept until the source is open and the disk is known to have room. JPEGs that an interrupted call
    of the same settings encoded are not encoded again.

    Raises:
        DatasetError: a source that is missing, damaged or wrong, a split that is impossible, or too little disk space.
        UserError: the folder cannot be written to.
    """
    check_output(job, output)
    mark_folder(output, "prepare", run=job.name)
    with reported(output):
        source = open_source(job.dataset, output)
        chosen = _choose(source, job.dataset)
        # The size of pixels is known beforehand; that of JPEGs only when they are encoded.
        if not _jpeg(job.dataset):
            _check_space(output, sum(len(positions) for _, positions in chosen.values()), source.image_size)
        _clear(output)
        record = _record(job, source, chosen, output)
        write_atomic(output / SPLITS, _splits_json(chosen, job.dataset.split_seed))
        write_atomic(output / SOURCE, _source_json(job, source))
        # The record comes last: a folder with a record is complete.
        write_atomic(output / RECORD, as_json(record))
    counts = ", ".join(f"{record.counts[part]} {part}" for part in PARTS)
    logger.info("%s: %s images, served by %s", job.name, counts, source.served_by)
