"""The stage `propose`: from π's of NAS-Bench-201 and its table to `proposal.parquet`."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch

from parsec.benchmarks.nasbench201 import read_search_columns
from parsec.benchmarks.nasbench201_problem import NasBench201
from parsec.predictor.priors import Studied, read_studied
from parsec.predictor.proposal_table import FIELDS, FILE
from parsec.predictor.weighing import Weighing
from parsec.records.provenance import begin, provenance
from parsec.records.results import cost
from parsec.runtime import finished, loop
from parsec.runtime.device import set_deterministic
from parsec.runtime.store import read_metrics
from parsec.settings.jobs import fingerprint
from parsec.settings.proposal import ProposalJob
from parsec.settings.tree import Running


def propose(
    job: ProposalJob, benchmark: Path, files: Sequence[Path], seed: int, output: Path, state: Path, running: Running
) -> None:
    """Weigh children of every proposal and write `proposal.parquet` into `output`; on the CPU.

    `files` are `pi.parquet` or `trajectory.parquet` of searches on NAS-Bench-201. `state` keeps the run resumable by
    blocks of repeats. No test accuracy is read.

    Raises:
        UserError: anything the user can mend; see its subclasses.
    """
    beginning = begin("parsec.predictor.propose")
    run = f"propose {job.data}/seed{seed}"
    places = finished.Places(state, output, ("proposal.parquet",), run)
    places.check()
    set_deterministic(True)
    problem = NasBench201(read_search_columns(benchmark), job.data)
    seen = hashlib.sha256(problem.reached.tobytes() + b"".join(path.read_bytes() for path in files)).hexdigest()
    task, device = Blocks(job, seed, problem, read_studied(files, job.moments)), torch.device("cpu")
    identity = f"{fingerprint(job)}-seed{seed}-{seen[:16]}"
    stands_for = {**job.model_dump(mode="json"), "seed": seed, "accuracies and pi": seen}
    with finished.claimed(places, beginning.code) as ending:
        ending.begin(identity, stands_for)
        spent = loop.run(task, state, identity, running, run, device, beginning.code)
        about = {"seed": seed, "cost": cost(spent, device), "provenance": provenance(job, beginning, None)}
        ending.open_output()
        FILE.write(output / "proposal.parquet", pa.Table.from_pylist(read_metrics(state), schema=FIELDS), about)
        ending.finish(identity)


class Block(NamedTuple):
    """Repeats whose predictors are trained together."""

    studied: Studied
    trained: int
    repeats: range


def _blocks(job: ProposalJob, studied: Sequence[Studied]) -> Iterator[Block]:
    for each in studied:
        for trained in job.trained:
            for first in range(0, job.repeats, job.block):
                yield Block(each, trained, range(first, min(first + job.block, job.repeats)))


class Blocks:
    """All blocks of repeats, one after another; see `Trainer`."""

    def __init__(self, job: ProposalJob, seed: int, problem: NasBench201, studied: Sequence[Studied]) -> None:
        self._weighing = Weighing(job, seed, problem)
        self._blocks = list(_blocks(job, studied))
        self.step = 0

    @property
    def total_steps(self) -> int:
        """Blocks to do."""
        return len(self._blocks)

    def advance(self) -> list[dict[str, Any]]:
        """The rows of one block."""
        rows = list(self._weighing.rows(*self._blocks[self.step]))
        self.step += 1
        return rows

    def flush(self) -> list[dict[str, Any]]:
        """Nothing: no row is kept back."""
        return []

    def check_finite(self) -> None:
        """The accuracies are those of a table that was checked when it was read."""

    def progress(self) -> str:
        """Where the study stands, for one line."""
        block = self._blocks[max(self.step - 1, 0)]
        return f"{self.step}/{self.total_steps} blocks, {block.studied.name}, {block.trained} trained architectures"

    def state_dict(self) -> dict[str, Any]:
        """How far it is; the rows are kept by the loop."""
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue there; every block draws from streams of its own."""
        self.step = state["step"]
