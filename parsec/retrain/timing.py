"""Images a second of training: steps alone, without the epochs in which a process warms up."""

from typing import Any


class Timing:
    """Counts the epochs that one process ran from end to end after its first; that one compiles and warms up."""

    def __init__(self) -> None:
        self._images, self._seconds = 0, 0.0
        self._warm = False

    def epoch(self, images: int, seconds: float) -> float | None:
        """Note an epoch that has ended; its images a second, None for the first one of a process."""
        if not self._warm:
            self._warm = True
            return None
        self._images += images
        self._seconds += seconds
        return images / seconds

    @property
    def rate(self) -> float | None:
        """Images a second over all counted epochs; None if there is none."""
        return self._images / self._seconds if self._images else None

    def state_dict(self) -> dict[str, Any]:
        """What was counted."""
        return {"images": self._images, "seconds": self._seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the count; the epoch at hand warms this process up."""
        self._images, self._seconds, self._warm = state["images"], state["seconds"], False
