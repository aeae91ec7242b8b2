"""How NASWOT's ranking depends on batch size, initialisation and data (NASWOT, section 4)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from parsec.config.base import Running
from parsec.config.jobs import fingerprint
from parsec.config.zero_cost import AblationJob, Condition, ScoreJob
from parsec.data.dataset import read_info
from parsec.records.parquet import ABLATION_FILE
from parsec.records.provenance import begin, cost, provenance
from parsec.runtime import finished, loop
from parsec.runtime.checkpoint import read_metrics
from parsec.runtime.device import lease, resolve, set_deterministic
from parsec.runtime.seeds import seed_of
from parsec.zero_cost.candidates import NasBench201Pool
from parsec.zero_cost.score import Scoring, minibatch

Minibatch = Callable[[ScoreJob, int], Tensor]
"""Settings and a seed → the images [N, 3, H, W]."""


class Ablation:
    """Rows by condition, repeat and network, in this order; see `Trainer`.

    What a condition does not vary is what `score` has with the same seed, so that repeats differ in one thing alone;
    repeat number r has the same minibatch under all conditions that draw one of the same size from the same images.
    """

    def __init__(self, job: AblationJob, seed: int, indices: Sequence[int], minibatch: Minibatch) -> None:
        self._job, self._seed, self._indices, self._minibatch = job, seed, indices, minibatch
        self._scoring: tuple[int, Scoring] | None = None
        self.step = 0

    @property
    def total_steps(self) -> int:
        """Scores to take."""
        return len(self._job.conditions) * self._job.repeats * len(self._indices)

    def advance(self) -> list[dict[str, Any]]:
        """Take one score: its row."""
        group, place = divmod(self.step, len(self._indices))
        number, repeat = divmod(group, self._job.repeats)
        condition = self._job.conditions[number]
        scoring = self._scoring_of(group, condition, repeat)
        scoring.step = place
        rows = scoring.advance()
        self.step += 1
        return [{"condition": condition.name, "repeat": repeat, **row} for row in rows]

    def _scoring_of(self, group: int, condition: Condition, repeat: int) -> Scoring:
        if self._scoring is None or self._scoring[0] != group:
            job = ScoreJob(
                space=self._job.space,
                dataset=self._job.dataset,
                architectures=len(self._indices),
                score=condition.score,
                compute=self._job.compute,
            )
            anew = seed_of(self._seed, "repeat", repeat)
            images = self._minibatch(job, anew if condition.varies == "images" else self._seed)
            weights = anew if condition.varies == "weights" else self._seed
            self._scoring = (group, Scoring(job, weights, self._indices, images))
        return self._scoring[1]

    def flush(self) -> list[dict[str, Any]]:
        """Nothing: no row is kept back."""
        return []

    def check_finite(self) -> None:
        """A network without a finite score is a row like others."""

    def progress(self) -> str:
        """Where the work stands, for one line."""
        done = min(self.step, self.total_steps - 1) // (self._job.repeats * len(self._indices))
        return f"{self.step}/{self.total_steps} scores, condition {self._job.conditions[done].name}"

    def state_dict(self) -> dict[str, Any]:
        """How far it is; the rows are kept by the loop."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue there."""
        self.step = state["step"]


def ablate(job: AblationJob, data: Path, seed: int, output: Path, state: Path, running: Running) -> None:
    """Score under all conditions and write `ablation.parquet` into `output`; `state` keeps the run resumable.

    Raises:
        UserError: anything the user can mend; see its subclasses.
    """
    beginning = begin("parsec.zero_cost.ablation")
    run = f"ablate {job.dataset}/seed{seed}"
    places = finished.Places(state, output, ("ablation.parquet",), run)
    places.check(data=data)
    set_deterministic(job.compute.deterministic)
    info = read_info(data, job.dataset)
    identity = f"{fingerprint(job)}-seed{seed}-{info.content_hash[:16]}"
    stands_for = {**job.model_dump(mode="json"), "seed": seed, "images": info.content_hash}
    with finished.claimed(places, beginning.code) as ending, lease(resolve(job.compute.device)) as device:
        ending.begin(identity, stands_for)
        indices = NasBench201Pool().indices(job.networks, seed)
        task = Ablation(job, seed, indices, lambda one, number: minibatch(one, data, info, number, device))
        spent = loop.run(task, state, identity, running, run, device, beginning.code)
        about = {"seed": seed, "cost": cost(spent, device), "provenance": provenance(job, beginning, info)}
        ending.open_output()
        ABLATION_FILE.write(output / "ablation.parquet", read_metrics(state), about)
        ending.finish(identity)
