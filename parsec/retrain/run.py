"""One training from scratch: from a genotype and a prepared data set to weights, metrics and a test error on disk.

This is the only module that opens the test part of a data set, and it does so once, after training has ended.
"""

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from parsec.data.augment import Augment
from parsec.data.dataset import AnyPart, DatasetInfo, open_part, read_info, together, warn_of_fewer
from parsec.data.loader import open_images
from parsec.network.complexity import network_cost
from parsec.network.fixed import FixedNetwork
from parsec.records.provenance import begin, provenance
from parsec.records.results import cost, write_json
from parsec.retrain.evaluate import Errors, evaluate
from parsec.retrain.fit import fitted
from parsec.retrain.task import RetrainTask
from parsec.retrain.trainer import Retrainer
from parsec.runtime import distributed, finished, loop
from parsec.runtime.device import lease, memory_format, resolve, set_deterministic
from parsec.runtime.distributed import Ranks
from parsec.runtime.files import write_atomic
from parsec.runtime.seeds import seed_of
from parsec.settings.jobs import RetrainJob, fingerprint
from parsec.settings.plan import RETRAIN_FILES, Retrain
from parsec.settings.tree import Running
from parsec.space.genotype import Genotype
from parsec.space.published import content_of, named_or_given

SELECTION = (
    "weights after the last epoch, trained on the training and the validation half together; "
    "nothing was chosen on the test set, which was read once, after training"
)


@dataclass(frozen=True)
class Request:
    """One training from scratch, as the command line asks for it."""

    job: RetrainJob
    """The settings that this training reads."""
    names: Retrain
    """Which training it is. Those of equal `seed` and `run` share their random streams, so that genotypes of several
    origins are compared under the same draws."""
    data: Path
    """Folder of the prepared data set."""
    genotype: str
    """Name of a published genotype, a file with a genotype, or its text."""
    output: Path
    """Folder that receives `weights.safetensors`, `metrics.jsonl` and, last, `result.json`."""
    state: Path
    """Folder of the checkpoints."""
    running: Running
    """How often to save and to report."""
    keep_finished: bool = False
    """Whether links to the outputs stay in `state`, to be put back when the same training is asked for again."""


def retrain(request: Request) -> None:
    """Train one genotype and test it once; `request.state` keeps it resumable until the outputs are final.

    Started as several ranks, they share every batch out, and the first one tests and writes.

    Raises:
        UserError: anything the user can mend; see its subclasses.
    """
    job, names, data, state = request.job, request.names, request.data, request.state
    beginning = begin("parsec.retrain.run")
    run = f"retrain {job.dataset}/{names.origin}/{names.method}/seed{names.seed}/run{names.run}"
    places = finished.Places(state, request.output, RETRAIN_FILES, run, request.keep_finished)
    places.check(data=data)
    set_deterministic(job.compute.deterministic)
    info, architecture = read_info(data, job.dataset), named_or_given(request.genotype)
    kind = resolve(job.compute.device)
    with contextlib.ExitStack() as held:
        with distributed.joined(kind) as ranks:
            ending = held.enter_context(finished.claimed(places, beginning.code, ranks))
            device = held.enter_context(lease(kind, ranks))
            seed = seed_of(names.run, "retrain", names.seed)
            task = _task(job, data, info, architecture, seed, device, ranks)
            identity, source = _identity(task, job, info), _source(request.genotype)
            # What a finished run records, apart from what it computes, must be the same for it to stand for this one.
            whole = f"{identity}-{names.folder}-{source['sha256'] if source else names.method}"
            stands_for = {
                **job.model_dump(mode="json"),
                "genotype": architecture.as_dict(),
                "genotype_source": source,
                "images": info.content_hash,
                "ranks": ranks.count,
            }
            if ending.begin(whole, stands_for, identity):
                return
            trainer = Retrainer(task)
            spent = loop.run(trainer, state, identity, request.running, run, device, beginning.code, ranks)
        # The ranks have parted by now, so that however long the test takes, none waits for another.
        if not ranks.leads:
            return
        errors = _test(trainer.tested, task, data)
        record = {
            "cost": {**cost(spent, device), "ranks": ranks.count},
            "provenance": provenance(job, beginning, info),
        }
        named = {**names._asdict(), "dataset": info.name, "genotype_source": source}
        named["images_available"] = {"train": info.counts["train"] + info.counts["validation"]}
        tested = _tested(errors, info.classes)
        ending.open_output()
        _write(request.output, state, trainer, {**named, **_result(trainer, tested), **record})
        ending.finish(whole)


def _source(genotype: str) -> dict[str, Any] | None:
    """The text that the genotype was read from, by its SHA-256, and the search that it names; None if published."""
    content = content_of(genotype)
    if content is None:
        return None
    # Only the JSON of a search says where it came from.
    is_json = content.decode("utf-8-sig").lstrip().startswith("{")
    origin = json.loads(content).get("origin") if is_json else None
    return {"sha256": hashlib.sha256(content).hexdigest(), "origin": origin}


def _identity(task: RetrainTask, job: RetrainJob, info: DatasetInfo) -> str:
    """What a checkpoint must belong to: settings, architecture, random streams, images and how batches are shared."""
    identity = f"{fingerprint(job)}-{_digest(task.genotype)}-{task.seed:016x}-{info.content_hash[:16]}"
    # Batch norm sees other statistics with another number of ranks, so that is another training.
    return identity if task.ranks.count == 1 else f"{identity}-{task.ranks.count}-ranks"


def _digest(genotype: Genotype) -> str:
    return hashlib.sha256(json.dumps(genotype.as_dict(), sort_keys=True).encode()).hexdigest()[:16]


def _task(
    job: RetrainJob,
    data: Path,
    info: DatasetInfo,
    genotype: Genotype,
    seed: int,
    device: torch.device,
    ranks: Ranks,
) -> RetrainTask:
    augment = Augment(job.settings.augmentation, info, memory_format(job.compute.layout))
    settings, classes = job.settings, len(info.classes)
    network = fitted(genotype, settings.network, settings.multiply_adds, classes, augment.image_size)
    return RetrainTask(
        genotype=genotype,
        settings=settings.model_copy(update={"network": network}),
        compute=job.compute,
        images=open_images(training_part(data, info, job.settings.train_images), device, seed),
        augment=augment,
        classes=classes,
        seed=seed,
        device=device,
        ranks=ranks,
    )


def training_part(data: Path, info: DatasetInfo, limit: int | None) -> AnyPart:
    """Training and validation half together, or `limit` images of them in the halves' proportion."""
    train, validation = info.counts["train"], info.counts["validation"]
    count = train + validation if limit is None else min(limit, train + validation)
    warn_of_fewer(data, limit, count)
    share = round(count * train / (train + validation))
    return together(open_part(data, "train", share), open_part(data, "validation", count - share))


def _test(network: FixedNetwork, task: RetrainTask, data: Path) -> Errors:
    images = open_images(open_part(data, "test"), task.device, task.seed)
    return evaluate(network, images, task.augment, task.settings.batch_size, task.device, task.compute.precision)


def _tested(errors: Errors, classes: tuple[str, ...]) -> dict[str, Any]:
    """The `test` of a result file: errors over all images, and a list with the images and error of each class."""
    found = errors._asdict()
    numbers = zip(classes, found.pop("class_images"), found.pop("class_errors"), strict=True)
    return {**found, "classes": [{"class": name, "images": n, "top1_error": error} for name, n, error in numbers]}


def _result(trainer: Retrainer, tested: dict[str, Any]) -> dict[str, Any]:
    """What was trained, how large it is, and how well it does."""
    task, network = trainer.task, trainer.settings.network
    size = network_cost(task.genotype, network, task.classes, task.augment.image_size)
    return {
        "schema": 1,
        "kind": "retrain",
        "genotype": task.genotype.as_dict(),
        "complexity": size._asdict(),
        "network": network.model_dump(mode="json"),
        "epochs": trainer.settings.epochs,
        "images": {"train": len(task.images)},
        "batch_norm_images": trainer.part,
        "average": trainer.settings.average,
        "test": tested,
        "train": {"loss": trainer.latest["train_loss"], "accuracy": trainer.latest["train_accuracy"]},
        "images_per_second": trainer.images_per_second,
        "selection": SELECTION,
    }


def _write(output: Path, state: Path, trainer: Retrainer, result: dict[str, Any]) -> None:
    """Write the outputs, each whole or not at all; `result.json` last."""
    weights = {name: value.cpu().contiguous() for name, value in trainer.tested.state_dict().items()}
    write_atomic(output / "weights.safetensors", save(weights))
    write_atomic(output / "metrics.jsonl", (state / loop.METRICS).read_bytes())
    write_json(output / "result.json", result)
