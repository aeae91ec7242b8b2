"""One training from scratch: from a genotype and a prepared data set to weights, metrics and a test error on disk.

This is the only module that opens the test part of a data set, and it does so once, after training has ended.
"""

import hashlib
import json
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from safetensors.torch import save

from parsec.config.base import Running
from parsec.config.jobs import RetrainJob, fingerprint
from parsec.config.outputs import RETRAIN_FILES, Retrain
from parsec.config.training import Network
from parsec.data.augment import Augment
from parsec.data.dataset import AnyPart, DatasetInfo, open_split, read_info, together, warn_of_fewer
from parsec.data.loader import AnyImages, evaluation_batches, open_images
from parsec.errors import SettingsError
from parsec.network.cell_network import FixedNetwork
from parsec.network.complexity import network_cost
from parsec.records.provenance import write_json
from parsec.records.stage import Stage
from parsec.retrain.trainer import Retrainer, RetrainTask
from parsec.runtime import loop
from parsec.runtime.device import Precision, autocast, memory_format
from parsec.runtime.distributed import Ranks
from parsec.runtime.files import write_atomic
from parsec.runtime.seeds import seed_of
from parsec.space.darts import Genotype
from parsec.space.published import content_of, named_or_given

WIDEST = 4096


def fitted(genotype: Genotype, network: Network, limit: float | None, classes: int, image_size: int) -> Network:
    """`network` with the largest even number of channels whose multiply-adds stay below `limit`; as it is if None.

    Raises:
        SettingsError: two channels are too many already.
    """
    if limit is None:
        return network

    def within(half: int) -> bool:
        wide = network.model_copy(update={"channels": 2 * half})
        return network_cost(genotype, wide, classes, image_size).multiply_adds < limit

    if not within(1):
        raise SettingsError(f"multiply_adds: a network of 2 channels has more than {limit:g}; raise it or lower cells")
    # Multiply-adds grow with the channels, so the largest number within the limit can be bisected.
    low, high = 1, WIDEST // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return network.model_copy(update={"channels": 2 * low})


TOP = 5


class Errors(NamedTuple):
    """Errors in percent."""

    images: int
    top1_error: float
    top5_error: float | None
    """Share of images whose class is not among the five likeliest; None where there are no more than five classes."""
    balanced_error: float
    """Mean over classes of the top-1 error of each; it is the top-1 error where classes have equally many images."""
    class_images: list[int]
    """Images of each class, [classes]."""
    class_errors: list[float | None]
    """Top-1 error of each class, [classes]; None where it has no image, and is left out of the mean."""


def evaluate(
    network: FixedNetwork,
    images: AnyImages,
    augment: Augment,
    batch_size: int,
    device: torch.device,
    precision: Precision,
) -> Errors:
    """Test `network` in evaluation mode on every image once; it is left in that mode."""
    network.eval()
    # Images, those whose class is the likeliest and those where it is among the likeliest, per class: read once, at
    # the end, so that the host never waits for a batch.
    counts = torch.zeros(3, 1, dtype=torch.int64, device=device)
    for indices in evaluation_batches(len(images), batch_size):
        pixels, labels = images.evaluate(indices, augment)
        with torch.no_grad(), autocast(device, precision):
            logits, _ = network(pixels)
        classes = logits.shape[1]
        hits = logits.float().topk(min(TOP, classes)).indices == labels[:, None]
        of_class = labels[:, None] == torch.arange(classes, device=device)
        kinds = (of_class, of_class & hits[:, :1], of_class & hits.any(1, keepdim=True))
        counts = counts + torch.stack([kind.sum(0) for kind in kinds])
    return _errors(len(images), *counts.tolist())


def _errors(total: int, images: list[int], first: list[int], among: list[int]) -> Errors:
    """Errors from counts per class."""
    by_class = [_error(hit, count) if count else None for hit, count in zip(first, images, strict=True)]
    return Errors(
        images=total,
        top1_error=_error(sum(first), total),
        top5_error=_error(sum(among), total) if len(images) > TOP else None,
        balanced_error=fmean(error for error in by_class if error is not None),
        class_images=images,
        class_errors=by_class,
    )


def _error(correct: int, count: int) -> float:
    return 100.0 * (count - correct) / count


SELECTION = (
    "weights after the last epoch, trained on the training and the validation half together; "
    "nothing was chosen on the test set, which was read once, after training"
)


def retrain(
    job: RetrainJob,
    names: Retrain,
    data: Path,
    genotype: str,
    output: Path,
    state: Path,
    running: Running,
    keep_finished: bool = False,
) -> None:
    """Train one genotype from scratch and test it once; `state` keeps the run resumable until the outputs are final.

    Started by `torchrun`, its processes split every batch, and the first one tests and writes.

    Args:
        job: the settings that this training reads.
        names: which training it is. Those of equal `seed` and `run` share their random streams, so that genotypes of
            several origins are compared under the same random numbers.
        data: folder of the prepared data set.
        genotype: name of a published genotype, a file with a genotype, or its text.
        output: folder that receives `weights.safetensors`, `metrics.jsonl` and, last, `result.json`.
        state: folder of the checkpoints.
        running: how often to save and to report.
        keep_finished: whether links to the outputs stay in `state`, to be put back when the same call is repeated.
    """
    label = names.folder.replace("retrain/", "retrain ", 1)
    stage = Stage("parsec.retrain.run", job, label, output, state, RETRAIN_FILES, running, job.compute, keep_finished)
    stage.check(data=data)
    info, architecture = read_info(data, job.dataset), named_or_given(genotype)
    with stage.hold():
        seed = seed_of(names.run, "retrain", names.seed)
        task = _task(job, data, info, architecture, seed, stage.device, stage.ranks)
        identity, source = _identity(task, job, info), _source(genotype)
        # A finished run stands for this one only if what it records, apart from what it computes, is the same too.
        run_identity = f"{identity}-{names.folder}-{source['sha256'] if source else names.method}"
        stands_for = {
            **job.model_dump(mode="json"),
            "genotype": architecture.as_dict(),
            "genotype_source": source,
            "images": info.content_hash,
            "ranks": stage.ranks.count,
        }
        if stage.restored(run_identity, stands_for, resumes=identity):
            return
        trainer = Retrainer(task)
        if not stage.train(trainer):
            return
        # The only reading of the test split, once, after training.
        errors = _test(trainer.tested, task, data)
        named = {**names._asdict(), "dataset": info.name, "genotype_source": source}
        named["images_available"] = {"train": info.counts["train"] + info.counts["validation"]}
        result = {**named, **_result(trainer, _tested(errors, info.classes)), **stage.record(info)}
        with stage.outputs():
            _write(output, state, trainer, result)


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
    return together(open_split(data, "train", share), open_split(data, "validation", count - share))


def _test(network: FixedNetwork, task: RetrainTask, data: Path) -> Errors:
    images = open_images(open_split(data, "test"), task.device, task.seed)
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
