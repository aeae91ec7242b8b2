"""How NASWOT's ranking depends on batch size, initialisation and data (NASWOT, section 4)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from parsec.config.base import Running, fingerprint, seed_of
from parsec.config.zero_cost import AblationJob, Condition, ScoreJob
from parsec.data.dataset import read_info
from parsec.records.parquet import ABLATION_FILE
from parsec.records.stage import Stage
from parsec.runtime.checkpoint import read_metrics
from parsec.runtime.loop import RowTrainer
from parsec.zero_cost.candidates import NasBench201Candidates
from parsec.zero_cost.score import Scoring, minibatch


class Ablation(RowTrainer):
    """Rows by condition, repeat and network, in this order.

    What a condition does not vary is what `score` has with the same seed, so that repeats differ in only one factor;
    repeat number r has the same minibatch under all conditions that draw one of the same size from the same images.
    `minibatch` makes the images [N, 3, H, W] from settings and a seed.
    """

    def __init__(
        self, job: AblationJob, seed: int, indices: Sequence[int], minibatch: Callable[[ScoreJob, int], Tensor]
    ) -> None:
        self._job, self._seed, self._indices, self._minibatch = job, seed, indices, minibatch
        self._scoring: tuple[int, Scoring] | None = None

    @property
    def total_steps(self) -> int:
        """Scores to take."""
        return len(self._job.conditions) * self._job.repeats * len(self._indices)

    def advance(self) -> list[dict[str, Any]]:
        """Take one score: its row."""
        group, index = divmod(self.step, len(self._indices))
        number, repeat = divmod(group, self._job.repeats)
        condition = self._job.conditions[number]
        # One minibatch serves all networks of a condition and a repeat.
        if self._scoring is None or self._scoring[0] != group:
            self._scoring = (group, self._scoring_of(condition, repeat))
        scoring = self._scoring[1]
        scoring.step = index
        rows = scoring.advance()
        self.step += 1
        return [{"condition": condition.name, "repeat": repeat, **row} for row in rows]

    def _scoring_of(self, condition: Condition, repeat: int) -> Scoring:
        job = ScoreJob(
            space=self._job.space,
            dataset=self._job.dataset,
            architectures=len(self._indices),
            score=condition.score,
            compute=self._job.compute,
        )
        repeat_seed = seed_of(self._seed, "repeat", repeat)
        images = self._minibatch(job, repeat_seed if condition.varies == "images" else self._seed)
        weights = repeat_seed if condition.varies == "weights" else self._seed
        return Scoring(job, weights, self._indices, images)

    def progress(self) -> str:
        """Where the work stands, for one line."""
        done = min(self.step, self.total_steps - 1) // (self._job.repeats * len(self._indices))
        return f"{self.step}/{self.total_steps} scores, condition {self._job.conditions[done].name}"


def ablate(job: AblationJob, data: Path, seed: int, output: Path, state: Path, running: Running) -> None:
    """Score under all conditions and write `ablation.parquet` into `output`; `state` keeps the run resumable."""
    label, names = f"ablate {job.dataset}/seed{seed}", ("ablation.parquet",)
    stage = Stage("parsec.zero_cost.ablation", job, label, output, state, names, running, job.compute)
    stage.check(data=data)
    info = read_info(data, job.dataset)
    identity = f"{fingerprint(job)}-seed{seed}-{info.content_hash[:16]}"
    with stage.hold():
        stage.restored(identity, {**job.model_dump(mode="json"), "seed": seed, "images": info.content_hash})
        indices = NasBench201Candidates().indices(job.networks, seed)
        stage.train(Ablation(job, seed, indices, lambda one, number: minibatch(one, data, info, number, stage.device)))
        with stage.outputs():
            rows = read_metrics(state)
            ABLATION_FILE.write(output / "ablation.parquet", rows, {"seed": seed, **stage.record(info)})
