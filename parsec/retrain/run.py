"""The stage `retrain`: from a genotype and a prepared data set to weights, metrics and test errors.

This is the only module that opens the test split of a data set, and it does so once, after training.
"""

import hashlib
import json
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from safetensors.torch import save

from parsec.config.base import RETRAIN_FILES, Retrain, Running, fingerprint, seed_of
from parsec.config.retrain import RetrainJob
from parsec.config.training import Network
from parsec.data.augment import Augment
from parsec.data.dataset import AnySplit, DatasetInfo, open_split, read_info, together, warn_of_fewer
from parsec.data.loader import AnyImages, evaluation_batches, open_images
from parsec.errors import SettingsError
from parsec.network.cell_network import FixedNetwork, network_cost
from parsec.records.provenance import SCHEMA, write_json
from parsec.records.stage import Stage
from parsec.retrain.trainer import Retrainer, RetrainTask
from parsec.runtime.device import Precision, autocast, memory_format
from parsec.runtime.distributed import Ranks
from parsec.runtime.files import write_atomic
from parsec.runtime.outputs import METRICS
from parsec.space.darts import Genotype
from parsec.space.published import content_of, read_genotype

MAX_CHANNELS = 4096
TOP = 5
SELECTION = (
    "weights after the last epoch, trained on the training and validation splits together; "
    "nothing was chosen on the test set, which was read once, after training"
)


def retrain(
    job: RetrainJob,
    run: Retrain,
    data: Path,
    genotype: str,
    output: Path,
    state: Path,
    running: Running,
    cache_outputs: bool = False,
) -> None:
    """Train one genotype from scratch and test it once; `state` keeps the run resumable until the outputs are final.

    Started by `torchrun`, its processes split every batch; the main process tests and writes.

    Args:
        job: settings that this training reads.
        run: which training it is. Those of equal `seed` and `run` share their random streams, so that genotypes of
            different origins are compared under the same random numbers.
        data: folder of the prepared data set.
        genotype: name of a published genotype, a file with a genotype, or its text.
        output: folder that receives `weights.safetensors`, `metrics.jsonl` and, last, `result.json`.
        state: folder of the checkpoints.
        running: how often to save and to report.
        cache_outputs: whether links to the outputs stay in `state`, to be restored when the same call is repeated.
    """
    label = run.folder.replace("retrain/", "retrain ", 1)
    stage = Stage("parsec.retrain.run", job, label, output, state, RETRAIN_FILES, running, job.compute, cache_outputs)
    stage.check(data=data)
    info, architecture = read_info(data, job.dataset), read_genotype(genotype)
    with stage.hold():
        # The training split includes the validation split; the test split is not opened yet.
        seed = seed_of(run.run, "retrain", run.seed)
        task = _make_task(job, data, info, architecture, seed, stage.device, stage.ranks)
        # Checkpoints depend on the training only; outputs also on where the genotype came from, which they record.
        identity, source = _identity(task, job, info), _source(genotype)
        output_identity = f"{identity}-{run.folder}-{source['sha256'] if source else run.method}"
        settings = {
            **job.model_dump(mode="json"),
            "genotype": architecture.as_dict(),
            "genotype_source": source,
            "images": info.content_hash,
            "ranks": stage.ranks.count,
        }
        if stage.restored(output_identity, settings, resumes=identity):
            return
        trainer = Retrainer(task)
        if not stage.train(trainer):
            return
        # The only reading of the test split, once, after training.
        images = open_images(open_split(data, "test"), task.device, task.seed)
        batch_size, precision = task.settings.batch_size, task.compute.precision
        errors = evaluate(trainer.trained_network, images, task.augment, batch_size, task.device, precision)
        result = {
            **run._asdict(),
            "dataset": info.name,
            "genotype_source": source,
            "images_available": {"train": info.counts["train"] + info.counts["validation"]},
            **_result(trainer, errors, info.classes),
            **stage.record(info),
        }
        # Each file appears whole or not at all, `result.json` last.
        with stage.outputs():
            weights = {name: value.cpu().contiguous() for name, value in trainer.trained_network.state_dict().items()}
            write_atomic(output / "weights.safetensors", save(weights))
            write_atomic(output / "metrics.jsonl", (state / METRICS).read_bytes())
            write_json(output / "result.json", result)


def _source(genotype: str) -> dict[str, Any] | None:
    """SHA-256 of the text with the genotype, and the search that the text names; None if it is a published one."""
    content = content_of(genotype)
    if content is None:
        return None
    # Only the JSON of a search says where it came from.
    is_json = content.decode("utf-8-sig").lstrip().startswith("{")
    origin = json.loads(content).get("origin") if is_json else None
    return {"sha256": hashlib.sha256(content).hexdigest(), "origin": origin}


def _identity(task: RetrainTask, job: RetrainJob, info: DatasetInfo) -> str:
    """Identity of a training's checkpoints: settings, architecture, random streams, images and number of ranks."""
    genotype = json.dumps(task.genotype.as_dict(), sort_keys=True)
    digest = hashlib.sha256(genotype.encode()).hexdigest()[:16]
    identity = f"{fingerprint(job)}-{digest}-{task.seed:016x}-{info.content_hash[:16]}"
    # Batch norm sees other statistics with another number of ranks, so that is another training.
    return identity if task.ranks.count == 1 else f"{identity}-{task.ranks.count}-ranks"


def _make_task(
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
    network = widen(genotype, settings.network, settings.multiply_adds, classes, augment.image_size)
    return RetrainTask(
        genotype=genotype,
        settings=settings.model_copy(update={"network": network}),
        compute=job.compute,
        images=open_images(training_images(data, info, job.settings.train_images), device, seed),
        augment=augment,
        classes=classes,
        seed=seed,
        device=device,
        ranks=ranks,
    )


def training_images(data: Path, info: DatasetInfo, limit: int | None) -> AnySplit:
    """Training and validation split together, or `limit` images of them in proportion to the sizes of the splits."""
    train, validation = info.counts["train"], info.counts["validation"]
    count = train + validation if limit is None else min(limit, train + validation)
    warn_of_fewer(data, limit, count)
    share = round(count * train / (train + validation))
    return together(open_split(data, "train", share), open_split(data, "validation", count - share))


def widen(genotype: Genotype, network: Network, limit: float | None, classes: int, image_size: int) -> Network:
    """Widen `network` to the largest even number of channels with fewer multiply-adds than `limit`.

    The mobile setting of ImageNet asks for fewer than 600 M. Without a limit, `network` is returned as it is.

    Raises:
        SettingsError: a network of two channels exceeds the limit.
    """
    if limit is None:
        return network

    def fits(channels: int) -> bool:
        wide = network.model_copy(update={"channels": channels})
        return network_cost(genotype, wide, classes, image_size).multiply_adds < limit

    if not fits(2):
        raise SettingsError(f"multiply_adds: a network of 2 channels has more than {limit:g}; raise it or lower cells")
    # Multiply-adds grow with the channels, so bisection finds the largest number within the limit.
    low, high = 1, MAX_CHANNELS // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(2 * middle) else (low, middle)
    return network.model_copy(update={"channels": 2 * low})


class ErrorRates(NamedTuple):
    """Errors in percent."""

    images: int
    top1_error: float
    top5_error: float | None
    """Share of images whose class is not among the five most likely; None if there are at most five classes."""
    balanced_error: float
    """Mean over classes of the top-1 error; equal to the top-1 error if all classes have equally many images."""
    class_images: list[int]
    """Number of images per class, [classes]."""
    class_errors: list[float | None]
    """Top-1 error per class, [classes]; None for a class without images, which the mean leaves out."""


def evaluate(
    network: FixedNetwork,
    images: AnyImages,
    augment: Augment,
    batch_size: int,
    device: torch.device,
    precision: Precision,
) -> ErrorRates:
    """Test `network` in evaluation mode on every image once; it is left in that mode."""
    network.eval()
    # Three counts per class: images, top-1 hits and top-5 hits. They stay on the device, so that the host never waits
    # for a batch.
    counts = torch.zeros(3, 1, dtype=torch.int64, device=device)
    for indices in evaluation_batches(len(images), batch_size):
        pixels, labels = images.evaluate(indices, augment)
        with torch.no_grad(), autocast(device, precision):
            logits, _ = network(pixels)
        classes = logits.shape[1]
        # hits [B, 5]: whether an image is of its 1st … 5th most likely class; is_class [B, classes]: one-hot labels.
        hits = logits.float().topk(min(TOP, classes)).indices == labels[:, None]
        is_class = labels[:, None] == torch.arange(classes, device=device)
        masks = (is_class, is_class & hits[:, :1], is_class & hits.any(1, keepdim=True))
        counts = counts + torch.stack([mask.sum(0) for mask in masks])
    class_images, top1, top5 = counts.tolist()
    class_errors = [_error(right, count) if count else None for right, count in zip(top1, class_images, strict=True)]
    return ErrorRates(
        images=len(images),
        top1_error=_error(sum(top1), len(images)),
        top5_error=_error(sum(top5), len(images)) if len(class_images) > TOP else None,
        balanced_error=fmean(error for error in class_errors if error is not None),
        class_images=class_images,
        class_errors=class_errors,
    )


def _error(correct: int, count: int) -> float:
    return 100.0 * (count - correct) / count


def _result(trainer: Retrainer, errors: ErrorRates, classes: tuple[str, ...]) -> dict[str, Any]:
    """Network, its size, its training and its test errors, as in `result.json`."""
    task, network = trainer.task, trainer.settings.network
    size = network_cost(task.genotype, network, task.classes, task.augment.image_size)
    # Errors over all images, and a list with the images and the error of each class.
    test = errors._asdict()
    per_class = zip(classes, test.pop("class_images"), test.pop("class_errors"), strict=True)
    test["classes"] = [{"class": name, "images": n, "top1_error": error} for name, n, error in per_class]
    return {
        "schema": SCHEMA,
        "kind": "retrain",
        "genotype": task.genotype.as_dict(),
        "complexity": size._asdict(),
        "network": network.model_dump(mode="json"),
        "epochs": trainer.settings.epochs,
        "images": {"train": len(task.images)},
        "batch_norm_images": trainer.images_per_rank,
        "average": trainer.settings.average,
        "test": test,
        "train": {"loss": trainer.latest["train_loss"], "accuracy": trainer.latest["train_accuracy"]},
        "images_per_second": trainer.images_per_second,
        "selection": SELECTION,
    }
