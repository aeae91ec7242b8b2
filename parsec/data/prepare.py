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
from parsec.data.dataset import INDEX, LABELS, SPLITS, DatasetRecord, Integers, SplitName, SplitRecord, content_hash
from parsec.data.shards import mean_std, remove_notes, write_packed_split, write_split
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
SPLITS_FILE = "splits.json"
SOURCE = "source.json"
SPLIT_FILES = ("images-*.npy", "images-*.tar", "images-*.json", INDEX, LABELS, ".snakemake_timestamp")
"""Files in the folder of a split; the last is Snakemake's, in a folder that is an output of a rule."""
PARTIAL = "partial"
"""Folder of packed splits that are not complete; no output of a rule, so that a job that was killed goes on from it."""
SPACE_MARGIN = 1.05

Chosen = dict[SplitName, tuple[Collection, Integers]]


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
    for name in (RECORD, SPLITS_FILE, SOURCE):
        (output / name).unlink(missing_ok=True)
    for split in SPLITS:
        remove_written(output / split, SPLIT_FILES)
    remove_partial(output)


def check_output(job: PrepareJob, output: Path) -> None:
    """Refuse a folder that holds what we did not write, another data set, or the images themselves.

    Raises:
        UserError: see `check_run_folder` and `check_apart`.
    """
    folder = getattr(job.dataset, "folder", None)
    source = None if folder is None else Path(expanded(folder, "dataset.folder"))
    check_apart({"--output": output}, {"the data set's folder": source})
    check_run_folder(output, "prepare", job.name, [RECORD, *SPLITS])
    for path in (path for split in SPLITS for path in (output / split).glob("*")):
        if not is_partial(path) and not any(map(path.match, SPLIT_FILES)):
            raise UserError(f"{path}: nothing that parsec wrote; move it out of {path.parent}, which is to be replaced")


def _check_space(output: Path, images: int, side: int) -> None:
    present = sum(file.stat().st_size for split in SPLITS for file in (output / split).glob("*.npy"))
    needed, free = int(images * side * side * 3 * SPACE_MARGIN), shutil.disk_usage(output).free + present
    if needed > free:
        raise DatasetError(
            f"{output}: {images} images of {side} × {side} pixels need {needed / 1e9:.2f} GB of disk space, "
            f"{free / 1e9:.2f} GB are free; free some or choose another results folder"
        )


def _check_partial(job: PrepareJob, chosen: Chosen, folder: Path) -> None:
    """Refuse a folder of packed splits that are not of these settings, code and images; an empty one becomes theirs.

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


def _write_splits(job: PrepareJob, source: Source, chosen: Chosen, output: Path) -> DatasetRecord:
    """Write the files of all splits; returns the record that describes them."""
    form, side = _jpeg(job.dataset), source.image_size
    if form:
        _check_partial(job, chosen, output / PARTIAL)
    counts, splits = np.zeros((3, 256), dtype=np.int64), dict[SplitName, SplitRecord]()
    for split, (images, positions) in chosen.items():
        counted = None if split == "test" else counts
        if form is None:
            splits[split] = write_split(output / split, images, positions, side, counted)
        else:
            assert isinstance(images, Encoded)
            splits[split] = write_packed_split(output / PARTIAL / split, images, positions, form, side, counted)
    if form:
        # Packed splits come to their place now that all are complete.
        for split in SPLITS:
            remove_notes(output / PARTIAL / split)
            (output / PARTIAL / split).replace(output / split)
        shutil.rmtree(output / PARTIAL)
    mean, std = mean_std(counts)
    return DatasetRecord(
        name=job.name,
        source=job.dataset.source,
        classes=source.classes,
        image_size=source.image_size,
        mean=mean,
        std=std,
        counts={split: len(positions) for split, (_, positions) in chosen.items()},
        splits=splits,
        content_hash=content_hash(splits),
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
        record = _write_splits(job, source, chosen, output)
        indices = {split: images.indices[positions].tolist() for split, (images, positions) in chosen.items()}
        splits = {"schema": 1, "split_seed": job.dataset.split_seed, "indices": indices}
        write_atomic(output / SPLITS_FILE, json.dumps(splits) + "\n")
        # Where the images came from is apart from the record, which depends only on images and split.
        served = {"schema": 1, "served_by": source.served_by, "fingerprint": fingerprint(job)}
        _write_document(output / SOURCE, {**served, "settings": job.model_dump(mode="json")})
        # The record comes last: a folder with a record is complete.
        _write_document(output / RECORD, record.model_dump(mode="json", by_alias=True))
    counts = ", ".join(f"{record.counts[split]} {split}" for split in SPLITS)
    logger.info("%s: %s images, served by %s", job.name, counts, source.served_by)
