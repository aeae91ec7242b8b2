"""Stage runner: checks and locks folders, holds a device, resumes training, writes outputs and their provenance."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from parsec.config.base import Compute, Config, Running
from parsec.records.provenance import Dataset, cost, provenance, start_provenance
from parsec.runtime import loop
from parsec.runtime.device import acquire_gpu, resolve, set_deterministic
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks, init_distributed
from parsec.runtime.loop import RunCost, Trainer
from parsec.runtime.output_cache import OutputCache, RunPaths, locked_outputs

CPU = Compute(device="cpu")
"""Device of stages that run on the CPU only."""


class Stage:
    """A resumable run of a stage. Call in this order: `check`, `hold`, `restored`, `train`, `outputs`.

    Args:
        module: full name of the module that the stage runs; its code, with all imports, is fingerprinted.
        job: settings that the stage reads.
        label: stage, data set, method and seeds, for messages and markers.
        output: folder that receives the files `names`.
        state: folder that keeps the run resumable until the outputs are final.
        names: output files, in the order in which they may appear.
        running: how often to save and to report.
        compute: device and determinism.
        keep: whether links to the outputs stay in `state`, to be restored if the same run is repeated.
    """

    device: torch.device
    ranks: Ranks = SINGLE_PROCESS

    def __init__(
        self,
        module: str,
        job: Config,
        label: str,
        output: Path,
        state: Path,
        names: tuple[str, ...],
        running: Running,
        compute: Compute = CPU,
        keep: bool = False,
    ) -> None:
        # Code and commit are recorded before the work, because sources may change while it runs.
        self._start = start_provenance(module)
        self.job, self.label, self.output, self.state = job, label, output, state
        self._running, self._compute = running, compute
        self._paths = RunPaths(state, output, names, label, keep)
        self._outputs: OutputCache
        self._group: contextlib.ExitStack
        self._resumes = ""
        self._cost: RunCost

    def check(self, **inputs: Path | None) -> None:
        """Refuse wrong folders, see `RunPaths.check`, and make the run deterministic if its settings ask for it."""
        self._paths.check(**inputs)
        set_deterministic(self._compute.deterministic)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Join the ranks that `torchrun` started, lock the state folder, and hold a device per rank.

        Raises:
            CheckpointError: another process runs on this state.
            DeviceError: there is no such device, or there are too few.
        """
        kind = resolve(self._compute.device)
        with contextlib.ExitStack() as held, contextlib.ExitStack() as self._group:
            self.ranks = self._group.enter_context(init_distributed(kind))
            self._outputs = held.enter_context(locked_outputs(self._paths, self._start.code, self.ranks))
            self.device = held.enter_context(acquire_gpu(kind, self.ranks))
            yield

    def restored(self, identity: str, settings: Mapping[str, Any], resumes: str | None = None) -> bool:
        """Whether the run finished before, and its outputs are restored; see `OutputCache.restore_outputs`."""
        self._resumes = resumes or identity
        return self._outputs.restore_outputs(identity, settings, resumes)

    def train(self, trainer: Trainer) -> bool:
        """Train from the last checkpoint to the end; returns whether this is the main process, which writes.

        The ranks part here, so that none waits while the main process writes. See `loop.fit` for errors.
        """
        self._cost = loop.fit(
            trainer, self.state, self._resumes, self._running, self.label, self.device, self._start.code, self.ranks
        )
        self._group.close()
        return self.ranks.is_main_process

    def record(self, info: Dataset | None) -> dict[str, Any]:
        """`cost` and `provenance` of the result; `info` is the data set, None if none was read."""
        run_cost = {**cost(self._cost, self.device), "ranks": self.ranks.count}
        return {"cost": run_cost, "provenance": provenance(self.job, self._start, info)}

    @contextlib.contextmanager
    def outputs(self) -> Iterator[Path]:
        """Output folder, marked before the first file is written there; the run is finished when the block ends."""
        self._outputs.open_output()
        yield self.output
        self._outputs.finish()
