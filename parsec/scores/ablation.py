"""Scores of the same architectures under several conditions, again and again (NASWOT, figure 5)."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from parsec.data.dataset import DatasetInfo, read_info
from parsec.errors import DatasetError
from parsec.records.provenance import begin, provenance
from parsec.records.results import cost
from parsec.runtime import loop
from parsec.runtime.device import lease, resolve, set_deterministic
from parsec.runtime.randomness import seed_of
from parsec.scores.run import metric_rows, minibatch
from parsec.scores.scoring import Scoring
from parsec.scores.spaces import NasBench201Pool
from parsec.scores.table import ABLATION_FIELDS, write_scores
from parsec.settings.jobs import fingerprint
from parsec.settings.score import AblationJob, ScoreJob
from parsec.settings.tree import Running


def ablate(job: AblationJob, data: Path, seed: int, output: Path, state: Path, running: Running) -> None:
    """Score under all conditions and write `ablation.parquet` into `output`; `state` keeps the run resumable.

    Raises:
        UserError: anything the user can mend; see its subclasses.
    """
    beginning = begin("parsec.scores.ablation")
    set_deterministic(job.compute.deterministic)
    info = read_info(data)
    if info.name != job.dataset:
        raise DatasetError(f"{data}: holds {info.name}, but the settings want {job.dataset}; give its folder")
    identity = f"{fingerprint(job)}-seed{seed}-{info.content_hash[:16]}"
    with lease(resolve(job.compute.device)) as device:
        task = _Conditions(job, seed, data, info, device)
        spent = loop.run(task, state, identity, running, f"ablation {info.name}/seed{seed}", device, beginning.code)
        about = {"seed": seed, "cost": cost(spent, device), "provenance": provenance(job, beginning, info)}
    write_scores(output / "ablation.parquet", metric_rows(state), about, ABLATION_FIELDS)
    loop.finish(state)


class _Conditions:
    """Conditions × repeats, one of them a step; see `Trainer`. Every repeat has its own images and weights."""

    def __init__(self, job: AblationJob, seed: int, data: Path, info: DatasetInfo, device: torch.device) -> None:
        self._job, self._seed, self._data, self._info, self._device = job, seed, data, info, device
        self._pool = NasBench201Pool()
        self._indices = self._pool.indices(job.architectures, seed)
        self._plan = list(itertools.product(job.conditions, range(job.repeats)))
        self.step = 0

    @property
    def total_steps(self) -> int:
        """Repeats of all conditions."""
        return len(self._plan)

    def advance(self) -> list[dict[str, Any]]:
        """Score all architectures once under one condition: their rows."""
        condition, repeat = self._plan[self.step]
        self.step += 1
        return [{"condition": condition, "repeat": repeat, **row} for row in self._rows(condition, repeat)]

    def _rows(self, condition: str, repeat: int) -> Iterator[dict[str, Any]]:
        job = ScoreJob(
            space=self._job.space,
            dataset=self._job.dataset,
            architectures=self._job.architectures,
            score=self._job.conditions[condition],
            compute=self._job.compute,
        )
        # Equal repeats of different conditions share their streams, so that conditions differ in nothing else.
        seed = seed_of(self._seed, "ablation", repeat) % 2**31
        images: Tensor = minibatch(job, self._data, self._info, seed, self._device)
        scoring = Scoring(job, seed, self._indices, images, self._pool)
        for _ in self._indices:
            yield from scoring.advance()

    def flush(self) -> list[dict[str, Any]]:
        """Nothing: no row is kept back."""
        return []

    def check_finite(self) -> None:
        """An architecture without a finite score is a row like others; it does not end the run."""

    def progress(self) -> str:
        """Where scoring stands, for one line."""
        condition, repeat = self._plan[max(self.step - 1, 0)]
        return f"{self.step}/{self.total_steps}, {condition}, repeat {repeat + 1}/{self._job.repeats}"

    def state_dict(self) -> dict[str, Any]:
        """How far it is; the rows are kept by the loop."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue there."""
        self.step = state["step"]
