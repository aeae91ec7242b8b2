"""What the loop drives, and what that costs."""

from typing import Any, NamedTuple, Protocol


class Trainer(Protocol):
    """What the loop can drive. All state that decides the next step is in `state_dict`."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def total_steps(self) -> int:
        """Steps to do."""

    def advance(self) -> list[dict[str, Any]]:
        """Do one step; rows of metrics that are due."""

    def flush(self) -> list[dict[str, Any]]:
        """Rows of the steps so far that `advance` has kept back, so as not to wait for the device; it waits."""

    def check_finite(self) -> None:
        """Raise DivergedError if a loss so far or the state is no longer finite."""

    def progress(self) -> str:
        """Where training stands, for one line."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue: tensors, numbers and text in dictionaries, lists and tuples."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; its tensors are on the CPU."""


class Spent(NamedTuple):
    """Cost of a run over all attempts; work that a kill threw away before it was saved is not in it."""

    wall_seconds: float = 0.0
    device_seconds: float = 0.0
    restarts: int = 0
    peak_memory_bytes: int = 0
    code_fingerprints: tuple[str, ...] = ()
    """Code of all attempts, in order, each once."""
    saving_seconds: float = 0.0
    """What of the wall time went into saving checkpoints."""
    energy_joules: float | None = None
    """Of the whole processors and the GPU, other work on them included; None if an attempt could not read it."""
