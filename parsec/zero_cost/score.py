"""Scoring the candidates of a search space with NASWOT."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from parsec.config.base import Running, fingerprint
from parsec.config.zero_cost import AnyScoreJob, DartsScoreJob
from parsec.data.augment import Augment
from parsec.data.dataset import DatasetInfo, Split, open_split, read_info
from parsec.data.loader import Images, open_images
from parsec.errors import DatasetError, UserError
from parsec.records.parquet import SCORES_FILE
from parsec.records.stage import Stage
from parsec.runtime.checkpoint import read_metrics
from parsec.runtime.device import autocast, memory_format, to_device
from parsec.runtime.loop import RowTrainer
from parsec.runtime.rng import ShardedRNG, generator
from parsec.space.darts import Genotype
from parsec.zero_cost.candidates import CandidateSet, DartsCandidates, NasBench201Candidates, candidate_set
from parsec.zero_cost.naswot import (
    Matrix,
    UnscoredError,
    draw_weights,
    eigenvalue_score,
    jacobian_correlation,
    log_determinant,
    relu_kernel,
)

SCORES = {
    "relu_log_determinant": (relu_kernel, log_determinant),
    "jacobian_eigenvalues": (jacobian_correlation, eigenvalue_score),
}


class Scoring(RowTrainer):
    """The scores of the `candidates` at `indices` on the normalised `images` [N, 3, H, W]; see `Trainer`.

    The weights of an architecture depend only on seed and index, so that a score does not depend on what was scored
    before; they are drawn on the CPU, the same for every device.
    """

    def __init__(
        self,
        job: AnyScoreJob,
        seed: int,
        indices: Sequence[int],
        images: Tensor,
        candidates: CandidateSet[Any] | None = None,
    ) -> None:
        self._job, self._seed, self._indices, self._images = job, seed, indices, images
        self._candidates: CandidateSet[Any] = candidates or NasBench201Candidates()
        self._matrix, self._number = SCORES[job.score.kind]
        self._failed = 0
        self._seconds = 0.0

    @property
    def total_steps(self) -> int:
        """Architectures to score."""
        return len(self._indices)

    def advance(self) -> list[dict[str, Any]]:
        """Score one architecture: its row of `scores.parquet`."""
        index = self._indices[self.step]
        architecture, began = self._candidates[index], time.perf_counter()
        score, reason = self.score(architecture, index)
        seconds = time.perf_counter() - began
        self.step, self._seconds = self.step + 1, self._seconds + seconds
        self._failed += reason is not None
        row = {"architecture": self._candidates.text(architecture), "index": index, "score": score}
        return [row | {"status": "scored" if reason is None else "failed", "reason": reason, "seconds": seconds}]

    def score(self, architecture: object, name: int | str) -> tuple[float | None, str | None]:
        """The score with the weights that follow from the seed and `name`, or why there is none."""
        try:
            return self._number(self.matrix(architecture, name)), None
        except (UnscoredError, torch.OutOfMemoryError) as error:
            return None, " ".join(str(error).split())

    def matrix(self, architecture: object, name: int | str) -> Matrix:
        """Matrix [N, N] from which the score is computed, on the host; `name` is the stream of the weights."""
        device, compute = self._images.device, self._job.compute
        network = self._network(architecture, name).to(device)
        network = network.to(memory_format=memory_format(compute.layout))  # type: ignore[call-overload]
        with autocast(device, compute.precision):
            matrix: Matrix = self._matrix(network, self._images).cpu().numpy()
        return matrix

    def _network(self, architecture: object, name: int | str) -> nn.Module:
        settings, side = self._job.score, self._images.shape[-1]
        network = self._candidates.network(architecture, settings.outputs, side).train(settings.mode == "train")
        draw_weights(network, settings.initialisation, generator(self._seed, "weights", name))
        return network

    def progress(self) -> str:
        """Where scoring stands, for one line."""
        mean = self._seconds / max(self.step, 1)
        return f"{self.step}/{self.total_steps} architectures, {self._failed} failed, {mean:.2f} s each"

    def state_dict(self) -> dict[str, Any]:
        """How far it is; the rows are kept by the loop."""
        return {"step": self.step, "failed": self._failed, "seconds": self._seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue there."""
        self.step, self._failed, self._seconds = state["step"], state["failed"], state["seconds"]


def score(
    job: AnyScoreJob, data: Path, seed: int, output: Path, state: Path, running: Running, table: Path | None = None
) -> None:
    """Score architectures and write `scores.parquet` into `output`; `state` keeps the run resumable until then.

    `table` is that of NAS-Bench-101 whose architectures are scored; without it they are drawn.
    """
    label, names = f"score {job.space} {job.dataset}/{job.score.kind}/seed{seed}", ("scores.parquet",)
    stage = Stage("parsec.zero_cost.score", job, label, output, state, names, running, job.compute)
    stage.check(data=data)
    info = read_info(data, job.dataset)
    candidates = candidate_set(job, seed, table)
    # Scorings of different tables have different states.
    suffix = f"-{candidates.origin['table']['architectures_hash'][:16]}" if "table" in candidates.origin else ""
    identity = f"{fingerprint(job)}-seed{seed}-{info.content_hash[:16]}{suffix}"
    stands_for = {**job.model_dump(mode="json"), "seed": seed, "images": info.content_hash, **candidates.origin}
    with stage.hold():
        stage.restored(identity, stands_for)
        images = minibatch(job, data, info, seed, stage.device)
        stage.train(Scoring(job, seed, candidates.indices(job.architectures, seed), images, candidates))
        with stage.outputs():
            origin = {"seed": seed, **stage.record(info), **candidates.origin}
            SCORES_FILE.write(output / "scores.parquet", read_metrics(state), origin)


def minibatch(job: AnyScoreJob, data: Path, info: DatasetInfo, seed: int, device: torch.device) -> Tensor:
    """The images [N, 3, H, W] that all architectures are scored on: training images, or noise of their shape.

    Raises:
        DatasetError: fewer training images than a batch.
    """
    settings, layout = job.score, memory_format(job.compute.layout)
    augment = Augment(settings.augmentation, info, layout)
    if settings.images == "noise":
        shape = (settings.batch_size, 3, augment.image_size, augment.image_size)
        noise = to_device(torch.randn(shape, generator=generator(seed, "noise")), device)
        return noise.contiguous(memory_format=layout)
    split = open_split(data, "train")
    if len(split) < settings.batch_size:
        count, wanted = len(split), settings.batch_size
        raise DatasetError(f"{data / 'train'}: {count} images are fewer than batch_size ({wanted}); lower it")
    drawn = torch.randperm(len(split), generator=generator(seed, "images"))[: settings.batch_size]
    # Nothing else is read, so the split is not made resident.
    images = Images(split, device, resident_bytes=0) if isinstance(split, Split) else open_images(split, device, seed)
    return images.train(drawn, augment, ShardedRNG(generator(seed, "augmentation", device=device)), 0)[0]


def read_sample(path: Path) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """The scores of a uniform sample of the DARTS space, in the order of the draws, and the origin of the file.

    One that has no score counts as the worst of the others.

    Raises:
        UserError: the file is missing, damaged, of another space, or without any score.
    """
    rows, origin = SCORES_FILE.read(path)
    space = origin["provenance"]["settings"]["space"]
    if space != "darts" or rows["score"].isna().all():
        raise UserError(f"{path}: scores of {space}, or none at all; give those of architectures of darts")
    rows = rows.sort_values("index")
    return rows["score"].fillna(rows["score"].min()).to_numpy(np.float64), origin


def scorer(path: Path, data: Path) -> Callable[[Genotype], float]:
    """Function that scores an architecture as in a `scores.parquet`, on the CPU; without a score: their worst.

    The weights follow from the architecture and the seed of the scores.

    Raises:
        UserError: see `read_sample`; or `data` is not the data set of the scores.
    """
    reached, origin = read_sample(path)
    job = DartsScoreJob.model_validate(origin["provenance"]["settings"])
    info = read_info(data)
    if info.content_hash != origin["provenance"]["dataset_hash"]:
        raise UserError(f"{data}: not the data set that {path} was scored on ({job.dataset}); give its folder")
    images = minibatch(job, data, info, origin["seed"], torch.device("cpu"))
    candidates = DartsCandidates(job.network, origin["seed"])
    scoring, worst = Scoring(job, origin["seed"], (), images, candidates), float(reached.min())

    def worth(genotype: Genotype) -> float:
        score, _ = scoring.score(genotype, candidates.text(genotype))
        return worst if score is None else score

    return worth
