"""The stage `score`: from a prepared data set to `scores.parquet`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from parsec.data.augment import Augment
from parsec.data.dataset import DatasetInfo, open_part, read_info
from parsec.data.loader import Images, open_images
from parsec.data.part import Part
from parsec.errors import DatasetError
from parsec.records.provenance import begin, provenance
from parsec.records.results import cost
from parsec.runtime import finished, loop
from parsec.runtime.device import lease, memory_format, resolve, set_deterministic, to_device
from parsec.runtime.draws import Draws
from parsec.runtime.randomness import generator
from parsec.runtime.store import read_metrics
from parsec.scores.scoring import Scoring
from parsec.scores.spaces import pool_of
from parsec.scores.table import write_scores
from parsec.settings.jobs import fingerprint
from parsec.settings.score import AnyScoreJob
from parsec.settings.tree import Running


def score(
    job: AnyScoreJob, data: Path, seed: int, output: Path, state: Path, running: Running, table: Path | None = None
) -> None:
    """Score architectures and write `scores.parquet` into `output`; `state` keeps the run resumable until then.

    `table` is that of NAS-Bench-101 whose architectures are scored; without it they are drawn.

    Raises:
        UserError: anything the user can mend; see its subclasses.
    """
    beginning = begin("parsec.scores.run")
    run = f"score {job.space} {job.dataset}/{job.score.kind}/seed{seed}"
    places = finished.Places(state, output, ("scores.parquet",), run)
    places.check(data=data)
    set_deterministic(job.compute.deterministic)
    info = read_info(data, job.dataset)
    pool = pool_of(job, seed, table)
    identity = f"{fingerprint(job)}-seed{seed}-{info.content_hash[:16]}{_shortened(pool.about)}"
    stands_for = {**job.model_dump(mode="json"), "seed": seed, "images": info.content_hash, **pool.about}
    with finished.claimed(places, beginning.code) as ending, lease(resolve(job.compute.device)) as device:
        ending.begin(identity, stands_for)
        images = minibatch(job, data, info, seed, device)
        task = Scoring(job, seed, pool.indices(job.architectures, seed), images, pool)
        spent = loop.run(task, state, identity, running, run, device, beginning.code)
        about = {"seed": seed, "cost": cost(spent, device), "provenance": provenance(job, beginning, info)}
        ending.open_output()
        write_scores(output / "scores.parquet", read_metrics(state), {**about, **pool.about})
        ending.finish(identity)


def minibatch(job: AnyScoreJob, data: Path, info: DatasetInfo, seed: int, device: torch.device) -> Tensor:
    """The images [N, 3, H, W] that all architectures are scored on: training images, or noise of their shape.

    Raises:
        DatasetError: fewer training images than a batch.
    """
    settings, layout = job.score, memory_format(job.compute.layout)
    augment = Augment(settings.augmentation, info, layout)
    if settings.images == "noise":
        shape = (settings.batch_size, 3, augment.image_size, augment.image_size)
        return to_device(torch.randn(shape, generator=generator(seed, "noise")), device).contiguous(
            memory_format=layout
        )
    part = open_part(data, "train")
    if len(part) < settings.batch_size:
        raise DatasetError(f"{data / 'train'}: {len(part)} images are fewer than batch_size ({settings.batch_size})")
    drawn = torch.randperm(len(part), generator=generator(seed, "images"))[: settings.batch_size]
    # Nothing else is read, so the part is not made resident.
    images = Images(part, device, resident_bytes=0) if isinstance(part, Part) else open_images(part, device, seed)
    return images.train(drawn, augment, Draws(generator(seed, "augmentation", device=device)), 0)[0]


def _shortened(about: Mapping[str, Any]) -> str:
    """What tells the state of a scoring of one table from that of another; empty without a table."""
    return f"-{about['table']['architectures_hash'][:16]}" if "table" in about else ""
