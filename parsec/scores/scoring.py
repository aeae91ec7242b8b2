"""Scoring one architecture after another, as work that the loop can stop and continue."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from parsec.runtime.device import autocast, memory_format
from parsec.runtime.randomness import generator
from parsec.scores.naswot import (
    Matrix,
    UnscoredError,
    eigenvalue_score,
    jacobian_correlation,
    log_determinant,
    relu_kernel,
)
from parsec.scores.pools import Pool
from parsec.scores.spaces import NasBench201Pool
from parsec.scores.weights import draw_weights
from parsec.settings.score import AnyScoreJob

SCORES = {
    "relu_log_determinant": (relu_kernel, log_determinant),
    "jacobian_eigenvalues": (jacobian_correlation, eigenvalue_score),
}


class Scoring:
    """The scores of the architectures of `pool` at `indices` on the normalised `images` [N, 3, H, W]; see `Trainer`.

    The weights of an architecture depend on seed and index alone, so that a score does not depend on what was scored
    before; they are drawn on the CPU, the same for every device.
    """

    def __init__(
        self, job: AnyScoreJob, seed: int, indices: Sequence[int], images: Tensor, pool: Pool[Any] | None = None
    ) -> None:
        self._job, self._seed, self._indices, self._images = job, seed, indices, images
        self._pool: Pool[Any] = pool or NasBench201Pool()
        self._matrix, self._number = SCORES[job.score.kind]
        self.step = 0
        self._failed = 0
        self._seconds = 0.0

    @property
    def total_steps(self) -> int:
        """Architectures to score."""
        return len(self._indices)

    def advance(self) -> list[dict[str, Any]]:
        """Score one architecture: its row of `scores.parquet`."""
        index = self._indices[self.step]
        found, began = self._pool[index], time.perf_counter()
        score, reason = self.score(found, index)
        seconds = time.perf_counter() - began
        self.step, self._seconds = self.step + 1, self._seconds + seconds
        self._failed += reason is not None
        status = "scored" if reason is None else "failed"
        text = self._pool.text(found)
        return [
            {
                "architecture": text,
                "index": index,
                "score": score,
                "status": status,
                "reason": reason,
                "seconds": seconds,
            }
        ]

    def score(self, found: object, name: int | str) -> tuple[float | None, str | None]:
        """The score with the weights that follow from the seed and `name`, or why there is none."""
        try:
            return self._number(self.matrix(found, name)), None
        except (UnscoredError, torch.OutOfMemoryError) as error:
            return None, " ".join(str(error).split())

    def matrix(self, found: object, name: int | str) -> Matrix:
        """What the score is read off, on the host: [N, N] of an architecture with the weights of its name or index."""
        device, compute = self._images.device, self._job.compute
        network = self._network(found, name).to(device)
        network = network.to(memory_format=memory_format(compute.layout))  # type: ignore[call-overload]
        with autocast(device, compute.precision):
            matrix: Matrix = self._matrix(network, self._images).cpu().numpy()
        return matrix

    def _network(self, found: object, name: int | str) -> nn.Module:
        settings, side = self._job.score, self._images.shape[-1]
        network = self._pool.network(found, settings.outputs, side).train(settings.mode == "train")
        draw_weights(network, settings.initialisation, generator(self._seed, "weights", name))
        return network

    def flush(self) -> list[dict[str, Any]]:
        """Nothing: no row is kept back."""
        return []

    def check_finite(self) -> None:
        """An architecture without a finite score is a row like others; it does not end the run."""

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
