"""Runs that are longer than a slice, carried from one machine to the next in a few small files.

The paper's chain on CIFAR-10 with one seed: search, fine-tuning, training from scratch. A run stops at the end of its
slice as on any stop signal. What the next slice needs is packed: finished outputs, metrics, and the newest checkpoint.
"""

import hashlib
import io
import os
import signal
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from parsec.bench.slices import UNFINISHED, Result, Setup
from parsec.config.base import Retrain, Running, Search, SearchStageName
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.job_parts import retrain_job, search_job
from parsec.config.load import load, read_mapping
from parsec.config.settings import Settings
from parsec.data.prepare import prepare
from parsec.errors import Interrupted, UserError
from parsec.plugins import source_root
from parsec.retrain.run import retrain
from parsec.runtime.checkpoint import Checkpoints, checkpoint_files
from parsec.runtime.files import read_json, write_atomic
from parsec.search.run import search

RUNNING = Running(checkpoint_seconds=120.0, progress_seconds=20.0)
SAVING = 45.0
"""Seconds of a slice kept back for the last checkpoint and for packing."""
PART_BYTES, MOST_BYTES = 15 * 2**20, 60 * 2**20
"""Largest size of one carried file, and of all together."""
LARGE = 2**20
"""Numbers in a tensor from which on it is rounded where a checkpoint is too large to be carried whole."""
PACKED = "carried.tar.gz"
ROUNDED, ZEROS = "rounded", "zeros"


def settings_of(setup: Setup) -> Settings:
    """The paper's settings with one seed and one training of what fine-tuning found; in a rehearsal, tiny digits."""
    root = source_root() / "config"
    if setup.rehearsal:
        tiny = {"network": {"cells": 3, "channels": 2}, "epochs": 2, "warmup": {"epochs": 0}}
        images = {"train_images": 128, "validation_images": 128}
        settings = read_mapping(root / "config.yaml")
        settings |= {"datasets": {"digits": {"source": "digits"}}, "methods": ["parsec"], "variants": {}}
        settings["search"] |= {**tiny, **images}
        settings["finetune"] |= {**tiny, "network": {"cells": 4, "channels": 2}}
        retrained = {"digits": settings["retrain"]["digits"] | {"network": tiny["network"], "epochs": 1}}
        retrained["digits"] |= {"train_images": 128}
        del settings["transfer"]
    else:
        settings = read_mapping(root / "paper.yaml")
        retrained = {"cifar10": settings["retrain"]["cifar10"]}
        for name in ("transfer", "measure"):
            del settings[name]
        del settings["datasets"]["imagenet"]
    [once] = retrained.values()
    once |= {"origins": ["finetune"], "published": [], "runs": [0]}
    settings |= {"retrain": retrained, "seeds": [0], "results": str(setup.work)}
    settings["compute"] = {**settings.get("compute", {}), "device": setup.job.device}
    return load(settings)


def searched(stage: SearchStageName, setup: Setup) -> Result:
    """Go on with the search of a stage until it or the slice ends."""
    settings = settings_of(setup)
    run = Search(stage, settings.search.dataset, "parsec", 0)
    before = setup.work / run._replace(stage="search").folder / "pi.parquet" if stage == "finetune" else None
    job = search_job(settings, stage, "parsec")
    output, state = setup.work / run.folder, setup.work / "state" / run.folder
    return _carried(setup, settings, output, lambda data: search(job, data, 0, output, state, before, RUNNING))


def retrained(setup: Setup) -> Result:
    """Go on with the training from scratch of what the fine-tuning found."""
    settings = settings_of(setup)
    dataset = settings.search.dataset
    run = Retrain(dataset, "finetune", "parsec", 0, 0)
    genotype = str(setup.work / Search("finetune", dataset, "parsec", 0).folder / "genotype.json")
    job, output, state = retrain_job(settings, dataset), setup.work / run.folder, setup.work / "state" / run.folder
    return _carried(setup, settings, output, lambda data: retrain(job, run, data, genotype, output, state, RUNNING))


def _carried(setup: Setup, settings: Settings, output: Path, train: Callable[[Path], object]) -> Result:
    """Unpack, train on the data until little time is left, and pack: numbers of a finished run, or how far it came."""
    unpack(setup.out, setup.work)
    write_atomic(setup.work / "settings.yaml", yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    data = _data(setup)
    stopped = stopping_when(lambda: setup.seconds_left < SAVING, lambda: train(data))
    packed = pack(setup.work, setup.out)
    if stopped is not None:
        return {UNFINISHED: stopped, **packed}
    document = read_json(output / "result.json", "the result of a run")
    return {key: document.get(key) for key in ("kind", "cost", "complexity", "test", "train")} | packed


def _data(setup: Setup) -> Path:
    """The prepared data set: CIFAR-10 as given, or in a rehearsal digits made here."""
    if setup.rehearsal:
        digits = setup.work / "data"
        if not digits.is_dir():
            prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), digits)
        return digits
    if setup.data is None:
        raise UserError("--data: this slice trains on CIFAR-10; give the folder where it was prepared")
    return setup.data


def stopping_when(due: Callable[[], bool], work: Callable[[], object]) -> str | None:
    """Run `work`, stopped by SIGTERM once `due()`: None if it ended before, else how far it came."""
    ended = threading.Event()

    def watch() -> None:
        # Again and again, because the signal is ignored where a run cannot stop.
        while not ended.wait(0.1):
            if due():
                os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    except Interrupted as stopped:
        return str(stopped)
    finally:
        ended.set()
        watcher.join()
        signal.signal(signal.SIGTERM, before)
    return None


def pack(work: Path, out: Path) -> Result:
    """Pack finished outputs, metrics and the newest checkpoints into parts small enough to be carried."""
    newest = {checkpoint_files(folder)[-1] for folder in {path.parent for path in work.glob("state/**/step-*.pt")}}
    others = [
        path
        for path in sorted(work.rglob("*"))
        if path.is_file() and "data" not in path.relative_to(work).parts[:1] and path.suffix not in (".pt", ".damaged")
        if path.name != "lock"
    ]
    # Checkpoints hardly compress, so that their size tells whether they must be rounded to fit.
    size = sum(path.stat().st_size for path in newest)
    rounded = size > MOST_BYTES * 3 // 4
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=6) as tar:
        for path in others:
            tar.add(path, path.relative_to(work))
        for path in sorted(newest):
            content = _rounded(path) if rounded else path.read_bytes()
            entry = tarfile.TarInfo(str(path.relative_to(work)))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    content = archive.getvalue()
    if len(content) > MOST_BYTES:
        raise UserError(f"{work}: {len(content) / 2**20:.0f} MiB are too many to be carried; the run stays here")
    parts = [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]
    # Before may have been more parts than now.
    for old in out.glob(f"{PACKED}.*"):
        old.unlink()
    for number, part in enumerate(parts):
        write_atomic(out / f"{PACKED}.{number}", part)
    digest = hashlib.sha256(content).hexdigest()
    write_atomic(out / f"{PACKED}.sha256", digest)
    return {"carried_bytes": len(content), "rounded": rounded}


def unpack(out: Path, work: Path) -> None:
    """Restore `work` from the parts in `out`, unless runs were begun here.

    Raises:
        UserError: a part is missing or damaged.
    """
    if (work / "settings.yaml").is_file() or not (out / f"{PACKED}.sha256").is_file():
        return
    parts = sorted(out.glob(f"{PACKED}.[0-9]"))
    content = b"".join(part.read_bytes() for part in parts)
    if hashlib.sha256(content).hexdigest() != (out / f"{PACKED}.sha256").read_text():
        raise UserError(f"{out}: the parts of {PACKED} are not those that were packed; copy all of them again")
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        tar.extractall(work, filter="data")
    for path in work.glob("state/**/step-*.pt"):
        _restore(path)


def _rounded(path: Path) -> bytes:
    """A checkpoint whose large tensors are rounded to bfloat16, and whose large momenta begin from zero again."""
    document = torch.load(path, map_location="cpu", weights_only=True)
    archive = io.BytesIO()
    torch.save({**document, "state": _changed(document["state"], "", _round)}, archive)
    return archive.getvalue()


def _restore(path: Path) -> None:
    """Restore a rounded checkpoint, so that a run can continue from it."""
    document = torch.load(path, map_location="cpu", weights_only=True)
    state = _changed(document["state"], "", _unround)
    with Checkpoints(path.parent, document["fingerprint"]) as checkpoints:
        checkpoints.save(document["step"], state)


def _changed(value: Any, name: str, change: Callable[[Any, str], Any]) -> Any:  # noqa: ANN401
    """A state with every tensor, and every stand-in for one, changed; `name` is its key."""
    replaced = change(value, name)
    if replaced is not value:
        return replaced
    if isinstance(value, dict):
        return type(value)((key, _changed(item, str(key), change)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(_changed(item, name, change) for item in value)
    return value


def _round(value: Any, name: str) -> Any:  # noqa: ANN401
    if not isinstance(value, Tensor) or value.dtype != torch.float32 or value.numel() < LARGE:
        return value
    return {ZEROS: list(value.shape)} if "momentum" in name else {ROUNDED: value.bfloat16()}


def _unround(value: Any, name: str) -> Any:  # noqa: ANN401
    if not isinstance(value, dict) or set(value) not in ({ROUNDED}, {ZEROS}):
        return value
    return torch.zeros(value[ZEROS]) if ZEROS in value else value[ROUNDED].float()
