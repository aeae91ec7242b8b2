"""Ranks: processes that do one run together, as `torchrun` starts them, and what they tell each other.

Tensors on the CPU travel by gloo, tensors on a GPU by NCCL in the order of the GPU's own work, so that small talk about
signals and clocks waits for the other hosts but never for a device.
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
"""Longest wait for a rank that is alive but does not answer; a rank that ended is noticed at once."""
ENDED_BY_ALL = (Interrupted, DivergedError)
"""Errors on which all ranks have agreed, so that none of them waits for another."""


@dataclass(frozen=True)
class Ranks:
    """Where this process stands among the ranks of its run; what one of them says here all say, in the same order.

    Raises:
        RankLostError: by every method that talks, when another rank ended or does not answer.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    """Number among the ranks of this machine, and how many these are."""
    parent: int = 0
    """Process that started this one; 0 if nobody watches over it."""

    @property
    def is_main_process(self) -> bool:
        """Whether this is the rank that reads and writes the run's files and reports its progress."""
        return self.rank == 0

    @property
    def orphaned(self) -> bool:
        """Whether the launcher was killed, so that nothing would stop this process."""
        return self.parent != 0 and os.getppid() != self.parent

    def all_reduce_max(self, *wishes: int) -> tuple[int, ...]:
        """The largest number that any rank gave in each place; also a point that all ranks must reach."""
        if self.count == 1:
            return wishes
        values = torch.tensor(wishes or (0,), dtype=torch.int64)
        with _answered():
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return tuple(values.tolist())

    def broadcast_state(self, state: dict[str, Any] | None) -> dict[str, Any] | None:
        """What rank 0 gave, tensors on the CPU."""
        if self.count == 1:
            return state
        payload = io.BytesIO()
        torch.save(state, payload)
        (size,) = self.all_reduce_max(payload.tell() if self.is_main_process else 0)
        content = (
            torch.frombuffer(payload.getbuffer(), dtype=torch.uint8)
            if self.is_main_process
            else torch.empty(size).byte()
        )
        with _answered():
            dist.broadcast(content, 0)
        if self.is_main_process:
            return state
        received: dict[str, Any] | None = torch.load(io.BytesIO(content.numpy().tobytes()), weights_only=True)
        return received

    def gather(self, values: Tensor) -> Tensor:
        """The tensors of all ranks, of one shape and type, stacked in the order of the ranks (W × …)."""
        # A sum in which every number meets zeros alone is exact, and NCCL, gloo and all versions of both have it.
        everything = values.new_zeros(self.count, *values.shape)
        everything[self.rank] = values
        self.all_reduce_sum_(everything)
        return everything

    def all_reduce_sum_(self, values: Tensor) -> None:
        """Replace a tensor by its sum over all ranks; the bytes are the same on all."""
        with _answered():
            dist.all_reduce(values)


SINGLE_PROCESS = Ranks()


@contextlib.contextmanager
def init_distributed(device: torch.device, patience: timedelta = PATIENCE) -> Iterator[Ranks]:
    """The ranks of this run: those that `torchrun` started, or this process alone. `device` is of the kind they use."""
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield SINGLE_PROCESS
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    with _answered():
        dist.init_process_group(backend, timeout=patience)
    local_rank, local_count = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), local_rank, local_count, os.getppid())
    except ENDED_BY_ALL:
        dist.destroy_process_group()
        raise
    # Not after other errors: the other ranks may be in the middle of a sum, for which leaving would have to wait.
    dist.destroy_process_group()


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        # The first sentence, without the place in the source.
        reason = re.sub(r"^\[\S+\] ", "", str(error).strip()).splitlines()[0].split(". ")[0]
        raise RankLostError(
            f"another rank of this run ended or does not answer, so this one ends too ({reason}); what ended it is in "
            "the messages of that rank, and the same command continues from the last checkpoint"
        ) from error
