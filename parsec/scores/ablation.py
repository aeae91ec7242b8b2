"""Scoring a few networks again and again under several conditions, as work that the loop can stop and continue."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from parsec.runtime.seeds import seed_of
from parsec.scores.scoring import Scoring
from parsec.settings.ablation import AblationJob, Condition
from parsec.settings.score import ScoreJob

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
