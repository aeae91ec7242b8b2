"""Scoring one architecture after another, as work that the loop can stop and continue."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from parsec.network.nasbench201 import BenchmarkNetwork
from parsec.runtime.device import autocast, memory_format
from parsec.runtime.randomness import generator
from parsec.scores.naswot import UnscoredError, eigenvalue_score, jacobian_correlation, log_determinant, relu_kernel
from parsec.scores.weights import draw_weights
from parsec.settings.score import ScoreJob
from parsec.space.nasbench201 import SIZE, Architecture, architectures

SCORES = {
    "relu_log_determinant": (relu_kernel, log_determinant),
    "jacobian_eigenvalues": (jacobian_correlation, eigenvalue_score),
}


def chosen(count: int | None, seed: int) -> list[int]:
    """Indices of so many different architectures in the order of a shuffle that the seed determines; None: of all."""
    order: list[int] = torch.randperm(SIZE, generator=generator(seed, "architectures")).tolist()
    return sorted(order) if count is None else order[:count]


class Scoring:
    """The scores of the architectures at `indices` on the normalised `images` [N, 3, H, W]; see `Trainer`.

    The weights of an architecture depend on seed and index alone, so that a score does not depend on what was scored
    before; they are drawn on the CPU, the same for every device.
    """

    def __init__(self, job: ScoreJob, seed: int, indices: Sequence[int], images: Tensor) -> None:
        self._job, self._seed, self._indices, self._images = job, seed, indices, images
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
        found, began = architectures()[index], time.perf_counter()
        score, reason = self._score(found, index)
        seconds = time.perf_counter() - began
        self.step, self._seconds = self.step + 1, self._seconds + seconds
        self._failed += reason is not None
        status = "scored" if reason is None else "failed"
        text = str(found)
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

    def _score(self, found: Architecture, index: int) -> tuple[float | None, str | None]:
        """The score, or why there is none."""
        device, compute = self._images.device, self._job.compute
        try:
            network = self._network(found, index).to(device)
            network = network.to(memory_format=memory_format(compute.layout))  # type: ignore[call-overload]
            with autocast(device, compute.precision):
                matrix = self._matrix(network, self._images)
            return self._number(matrix.cpu().numpy()), None
        except (UnscoredError, torch.OutOfMemoryError) as error:
            return None, " ".join(str(error).split())

    def _network(self, found: Architecture, index: int) -> BenchmarkNetwork:
        settings = self._job.score
        network = BenchmarkNetwork(found, settings.outputs).train(settings.mode == "train")
        draw_weights(network, settings.initialisation, generator(self._seed, "weights", index))
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
