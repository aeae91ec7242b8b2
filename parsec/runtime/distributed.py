"""Ranks of a run, as `torchrun` starts them, and their collectives.

Tensors on the CPU go through gloo, tensors on a GPU through NCCL in the order of the GPU's work. Hence agreeing on
signals and clocks waits for the other processes, but never for a device.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from parsec.errors import DivergedError, Interrupted, RankLostError

PATIENCE = timedelta(minutes=10)
"""Longest wait for a rank that is alive but does not answer; a rank that has ended is noticed at once."""
ENDED_BY_ALL = (Interrupted, DivergedError)
"""Errors that all ranks raise after the same step, so that none waits for another."""


@dataclass(frozen=True)
class Ranks:
    """Rank of this process in its run. All methods are collectives: every rank must call them in the same order.

    Raises:
        RankLostError: by every collective, if another rank has ended or does not answer.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Rank of this process among those of its machine."""
    local_count: int = 1
    """Number of ranks on this machine."""
    parent: int = 0
    """Process ID of the launcher; 0 if there is none."""

    @property
    def is_main_process(self) -> bool:
        """Whether this is the rank that reads and writes the run's files and reports progress."""
        return self.rank == 0

    @property
    def orphaned(self) -> bool:
        """Whether the launcher was killed, so that no signal would reach this process any more."""
        return self.parent != 0 and os.getppid() != self.parent

    def all_reduce_max(self, *values: int) -> tuple[int, ...]:
        """Element-wise maximum over the ranks; acts as a barrier."""
        if self.count == 1:
            return values
        largest = torch.tensor(values or (0,), dtype=torch.int64)
        with _lost_ranks_reported():
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        return tuple(largest.tolist())

    def broadcast_state(self, state: dict[str, Any] | None) -> dict[str, Any] | None:
        """The state of rank 0, tensors on the CPU; what the other ranks pass is ignored."""
        if self.count == 1:
            return state
        payload = io.BytesIO()
        torch.save(state, payload)
        # The others learn the size first, to have room for the bytes.
        (size,) = self.all_reduce_max(payload.tell() if self.is_main_process else 0)
        if self.is_main_process:
            content = torch.frombuffer(payload.getbuffer(), dtype=torch.uint8)
        else:
            content = torch.empty(size, dtype=torch.uint8)
        with _lost_ranks_reported():
            dist.broadcast(content, 0)
        if self.is_main_process:
            return state
        received: dict[str, Any] | None = torch.load(io.BytesIO(content.numpy().tobytes()), weights_only=True)
        return received

    def gather(self, values: Tensor) -> Tensor:
        """Tensors of all ranks, of equal shape and type, stacked in the order of the ranks: [ranks, …]."""
        # A sum in which every number is added to zeros only is exact, and all versions of NCCL and gloo offer it.
        gathered = values.new_zeros(self.count, *values.shape)
        gathered[self.rank] = values
        self.all_reduce_sum_(gathered)
        return gathered

    def all_reduce_sum_(self, values: Tensor) -> None:
        """Replace a tensor by its sum over the ranks, bit-identical on all of them."""
        with _lost_ranks_reported():
            dist.all_reduce(values)


SINGLE_PROCESS = Ranks()


@contextlib.contextmanager
def init_distributed(device: torch.device, patience: timedelta = PATIENCE) -> Iterator[Ranks]:
    """Ranks of this run: those that `torchrun` started, or this process only; `device` is of the kind that they use."""
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield SINGLE_PROCESS
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    with _lost_ranks_reported():
        dist.init_process_group(backend, timeout=patience)
    local_rank, local_count = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), local_rank, local_count, os.getppid())
    except ENDED_BY_ALL:
        dist.destroy_process_group()
        raise
    # Not after other errors: other ranks may be inside a collective, for which destroying the group would wait.
    dist.destroy_process_group()


@contextlib.contextmanager
def _lost_ranks_reported() -> Iterator[None]:
    """Turn an error of a collective into RankLostError, except for memory that ran out."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        # Only the first sentence, without the source location.
        reason = re.sub(r"^\[\S+\] ", "", str(error).strip()).partition("\n")[0].partition(". ")[0]
        raise RankLostError(
            f"another rank of this run ended or does not answer, so this one ends too ({reason}); what ended it is in "
            "the messages of that rank, and the same command continues from the last checkpoint"
        ) from error
