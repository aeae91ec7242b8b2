"""One run of a stage that learns π: from a prepared data set to π, genotype, metrics and result on disk."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from parsec.config.base import SEARCH_FILES, Running, fingerprint, seed_of
from parsec.config.search import SearchJob
from parsec.data.augment import Augment
from parsec.data.dataset import DatasetInfo, SplitName, open_split, read_info, warn_of_fewer
from parsec.data.loader import AnyImages, open_images
from parsec.errors import DatasetError, SettingsError
from parsec.network.spaces import child_cost
from parsec.prior.distribution import Prior
from parsec.prior.parquet import read_metadata, read_prior, write_prior, write_trajectory
from parsec.records.code_hash import code_fingerprint
from parsec.records.provenance import SCHEMA, write_json
from parsec.records.stage import Stage
from parsec.runtime import loop
from parsec.runtime.device import memory_format
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.files import temporary_path, write_atomic
from parsec.search.base import SearchTask, SearchTrainer, skip_share
from parsec.search.budget import within_budget
from parsec.search.methods import METHODS
from parsec.search.ranking import correlations, rank
from parsec.space.spaces import SPACES


def search(
    job: SearchJob,
    data: Path,
    seed: int,
    output: Path,
    state: Path,
    init_pi: Path | None,
    running: Running,
    cache_outputs: bool = False,
) -> None:
    """Run one search and write its six files into `output`; `state` keeps it resumable until they are final.

    With `cache_outputs` links to the files stay in `state`, and the same call restores them instead of searching.
    Started by `torchrun`, the sampled architectures of every step are split across its processes; the first one writes.
    """
    _check_start(job, init_pi)
    label = f"{job.stage} {job.settings.dataset}/{job.name}/seed{seed}"
    stage = Stage("parsec.search.run", job, label, output, state, SEARCH_FILES, running, job.compute, cache_outputs)
    stage.check(data=data)
    info = read_info(data, job.settings.dataset)
    prior = read_prior(init_pi, job.form, job.space) if init_pi else Prior(job.form, space=SPACES[job.space])
    parent = _parent(init_pi)
    # What the outputs depend on: settings, the π to start from, the seed, the images.
    identity = fingerprint(job) + (f"-from-{parent['pi_fingerprint']}" if parent else "")
    identity += f"-seed{seed}-{info.content_hash[:16]}"
    stands_for = {**job.model_dump(mode="json"), "parent": parent, "seed": seed, "images": info.content_hash}
    # The code of a space that is not part of the package.
    space_code = SPACES.code(job.space)
    if space_code:
        identity, stands_for = f"{identity}-{space_code}", {**stands_for, "space_code": space_code}
    with stage.hold():
        if stage.restored(identity, stands_for):
            return
        method = METHODS[job.method]
        task = within_budget(make_task(job, data, info, seed, prior, stage.device, stage.ranks), method)
        trainer = method(task)
        if not stage.train(trainer):
            return
        available = {split: info.counts[split] for split in ("train", "validation")}
        result = {"parent": parent, "images_available": available, **stage.record(info)}
        result |= {"space_code": space_code} if space_code else {}
        with stage.outputs():
            _write(output, state, task, trainer, _metadata(job, trainer, parent), result)


def _check_start(job: SearchJob, init_pi: Path | None) -> None:
    """Check that a π is given if and only if the settings start from one."""
    start = job.settings.init_from
    if start == "uniform" and init_pi:
        raise SettingsError(f"{job.stage}.init_from is uniform, but {init_pi} was given to start from; leave it out")
    if start != "uniform" and not init_pi:
        raise SettingsError(f"{job.stage}.init_from is {start}, but no π was given; add --init-pi with its pi.parquet")


def _images(
    job: SearchJob, data: Path, split: SplitName, limit: int | None, device: torch.device, seed: int
) -> AnyImages:
    images = open_images(open_split(data, split, limit), device, seed_of(seed, split))
    warn_of_fewer(data / split, limit, len(images))
    batch_size = job.settings.batch_size
    if len(images) < batch_size:
        raise DatasetError(f"{data / split}: {len(images)} images are fewer than batch_size ({batch_size}); lower it")
    return images


def make_task(
    job: SearchJob,
    data: Path,
    info: DatasetInfo,
    seed: int,
    prior: Prior,
    device: torch.device,
    ranks: Ranks = SINGLE_PROCESS,
) -> SearchTask:
    """Inputs of the method of `job`: both splits of the training set in `data`, and π where it starts.

    Raises:
        DatasetError: a split holds less than one batch.
    """
    settings = job.settings
    return SearchTask(
        job=job,
        seed=seed,
        train=_images(job, data, "train", settings.train_images, device, seed),
        validation=_images(job, data, "validation", settings.validation_images, device, seed),
        augment=Augment(settings.augmentation, info, memory_format(job.compute.layout)),
        classes=len(info.classes),
        prior=prior,
        device=device,
        ranks=ranks,
    )


def _parent(init_pi: Path | None) -> dict[str, Any] | None:
    """The run that the starting π came from."""
    if init_pi is None:
        return None
    metadata = read_metadata(init_pi)
    digest = hashlib.sha256(init_pi.read_bytes()).hexdigest()[:16]
    ids = {key: metadata.get(key) for key in ("stage", "dataset", "method")}
    return {**ids, "seed": int(metadata.get("seed", -1)), "pi_fingerprint": digest}


def _metadata(job: SearchJob, trainer: SearchTrainer, parent: dict[str, Any] | None) -> dict[str, str]:
    """Origin of this π, with `job` as given; nothing that differs between two equal runs."""
    return {
        "space": job.space,
        "stage": job.stage,
        "dataset": job.settings.dataset,
        "method": job.name,
        "seed": str(trainer.task.seed),
        "epoch": str(trainer.history[-1][0]),
        "settings_fingerprint": fingerprint(job),
        "parent_fingerprint": parent["pi_fingerprint"] if parent else "",
        "code_fingerprint": code_fingerprint("parsec.search.run"),
    }


def _write(
    output: Path,
    state: Path,
    task: SearchTask,
    trainer: SearchTrainer,
    metadata: dict[str, str],
    result: dict[str, Any],
) -> None:
    """Write the outputs, each atomically; `result.json` last."""
    job, genotype = task.job, trainer.genotype()
    write_prior(output / "pi.parquet", trainer.prior, metadata)
    write_trajectory(output / "trajectory.parquet", job.form, trainer.history, metadata, SPACES[job.space])
    origin = {key: metadata[key] for key in ("stage", "dataset", "method", "settings_fingerprint")}
    write_json(output / "genotype.json", {**genotype.as_dict(), "origin": {**origin, "seed": task.seed}})
    write_atomic(output / "metrics.jsonl", (state / loop.METRICS).read_bytes())
    size = child_cost(genotype, job.settings.network, task.classes, task.augment.image_size)
    ranking = rank(trainer)
    with temporary_path(output / "ranking.parquet") as temporary:
        ranking.to_parquet(temporary, index=False)
    document = {
        "schema": SCHEMA,
        "kind": "search",
        **{key: metadata[key] for key in ("stage", "space", "method", "dataset")},
        "seed": task.seed,
        "genotype": genotype.as_dict(),
        "entropy": trainer.prior.entropy(),
        "mode_accuracy": trainer.accuracy(genotype),
        "selection": trainer.selection,
        "complexity": size._asdict(),
        "skip_share": skip_share(genotype, SPACES[job.space]),
        "ranking": correlations(ranking),
        "children": trainer.children,
        "forward_images": trainer.forward_images,
        "images": {"train": len(task.train), "validation": len(task.validation)},
        **result,
    }
    write_json(output / "result.json", document)
