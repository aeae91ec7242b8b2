"""The stage `prepare`: one data set from its source into shards, splits and the record that makes them usable."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

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
from parsec.data.dataset import INDEX, LABELS, PARTS, DatasetRecord, Integers, PartName, PartRecord, content_hash
from parsec.data.shards import mean_std, remove_notes, write_packed_part, write_part
from parsec.data.sources.base import Collection, Source, open_digits, open_registered, stratified
from parsec.data.sources.cifar import open_cifar
from parsec.data.sources.encoded import Encoded
from parsec.data.sources.image_folder import open_digits_folder, open_image_folder
from parsec.errors import DatasetError, UserError
from parsec.records.code_hash import code_fingerprint
from parsec.runtime.files import is_partial, remove_partial, reported, write_atomic
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_apart, check_run_folder, mark_folder, remove_written

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

    Raises:
        DatasetError: the source is missing, damaged or not what it claims to be.
    """
    match dataset:
        case Digits():
            return open_digits()
        case DigitsFolder():
            return open_digits_folder(dataset, output)
        case Cifar10() | Cifar100():
            return open_cifar(dataset, output)
        case ImageFolder():
            return open_image_folder(dataset)
        case Registered():
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


def _check_partial(job: PrepareJob, chosen: Chosen, folder: Path) -> None:
    """Refuse a folder of packed parts that are not of these settings, code and images; an empty one becomes theirs.

    JPEGs take long to encode: what an interrupted call left there is kept, but only if it is of the same job.
    """
    listed = hashlib.sha256()
    for images, positions in chosen.values():
        assert isinstance(images, Encoded)
        listed.update(images.labels[positions].tobytes())
        listed.update("\n".join(str(images.pieces[position]) for position in positions).encode())
    identity = f"{fingerprint(job)}-{listed.hexdigest()[:16]}-{code_fingerprint('parsec.data.shards')}"
    note = folder / "identity"
    if note.is_file() and note.read_text(encoding="utf-8") != identity:
        raise UserError(f"{folder} holds shards of other settings, images or code; delete it to start from scratch")
    write_atomic(note, identity)


def _write_parts(job: PrepareJob, source: Source, chosen: Chosen, output: Path) -> DatasetRecord:
    """Write the files of all parts; returns the record that describes them."""
    form, side = _jpeg(job.dataset), source.image_size
    if form:
        _check_partial(job, chosen, output / PARTIAL)
    counts, parts = np.zeros((3, 256), dtype=np.int64), dict[PartName, PartRecord]()
    for part, (images, positions) in chosen.items():
        counted = None if part == "test" else counts
        if form is None:
            parts[part] = write_part(output / part, images, positions, side, counted)
        else:
            assert isinstance(images, Encoded)
            parts[part] = write_packed_part(output / PARTIAL / part, images, positions, form, side, counted)
    if form:
        # Packed parts come to their place now that all are complete.
        for part in PARTS:
            remove_notes(output / PARTIAL / part)
            (output / PARTIAL / part).replace(output / part)
        shutil.rmtree(output / PARTIAL)
    mean, std = mean_std(counts)
    return DatasetRecord(
        name=job.name,
        source=job.dataset.source,
        classes=source.classes,
        image_size=source.image_size,
        mean=mean,
        std=std,
        counts={part: len(positions) for part, (_, positions) in chosen.items()},
        parts=parts,
        content_hash=content_hash(parts),
        stand_in=source.stand_in,
        storage="jpeg" if form else "pixels",
    )


def _write_document(path: Path, document: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


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
        record = _write_parts(job, source, chosen, output)
        indices = {part: images.indices[positions].tolist() for part, (images, positions) in chosen.items()}
        splits = {"schema": 1, "split_seed": job.dataset.split_seed, "indices": indices}
        write_atomic(output / SPLITS, json.dumps(splits) + "\n")
        # Where the images came from is apart from the record, which depends only on images and split.
        served = {"schema": 1, "served_by": source.served_by, "fingerprint": fingerprint(job)}
        _write_document(output / SOURCE, {**served, "settings": job.model_dump(mode="json")})
        # The record comes last: a folder with a record is complete.
        _write_document(output / RECORD, record.model_dump(mode="json", by_alias=True))
    counts = ", ".join(f"{record.counts[part]} {part}" for part in PARTS)
    logger.info("%s: %s images, served by %s", job.name, counts, source.served_by)
