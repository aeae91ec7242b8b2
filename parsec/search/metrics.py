"""The metric rows of a search's steps: values stay on the device until many rows are read in one go."""

import math
from typing import Any

import torch

Row = dict[str, Any]

CAPACITY = 64
"""Rows after which they should be read, so that neither memory nor the delay of a diverged loss grows."""
MEANS = ("ess_prior", "ess_weights", "samples", "train_loss", "validation_loss")
LOSSES = ("train_loss", "validation_loss")


class StepRows:
    """Rows of steps in their order, from `add` through `read` to `take`; only `read` waits for the device."""

    def __init__(self) -> None:
        self._unread: list[Row] = []
        self._read: list[Row] = []
        self.latest: Row = {}
        """The newest row that was read."""
        self.first_bad: int | None = None
        """The first step whose loss is not finite."""
        self._sums: dict[str, float] = {}

    @property
    def full(self) -> bool:
        """Whether it is time to read."""
        return len(self._unread) >= CAPACITY

    def add(self, row: Row) -> None:
        """Keep a row whose values are numbers, text, or 0-d float64 tensors on any device."""
        self._unread.append(row)

    def read(self) -> None:
        """Turn all tensors into numbers: one copy from each device, however many rows there are."""
        rows, self._unread = _numbers(self._unread), []
        for row in rows:
            self._sums |= {name: self._sums.get(name, 0.0) + row[name] for name in MEANS if name in row}
            if self.first_bad is None and not all(math.isfinite(row[name]) for name in LOSSES if name in row):
                self.first_bad = row["step"]
        self._read += rows
        self.latest = rows[-1] if rows else self.latest

    def take(self) -> list[Row]:
        """Read all rows and hand over those that were not handed over before."""
        self.read()
        rows, self._read = self._read, []
        return rows

    def end_epoch(self, steps: int) -> Row:
        """Means over an epoch of so many steps; the next one starts from nothing."""
        self.read()
        means, self._sums = {name: total / steps for name, total in self._sums.items()}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """All that was read, and nothing left unread."""
        self.read()
        return {"rows": self._read, "latest": self.latest, "sums": self._sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._unread, self._read, self.first_bad = [], [*state["rows"]], None
        self.latest, self._sums = state["latest"], dict(state["sums"])


def _numbers(rows: list[Row]) -> list[Row]:
    """The rows with numbers in the place of tensors."""
    waiting = [(row, name, value) for row in rows for name, value in row.items() if isinstance(value, torch.Tensor)]
    for device in dict.fromkeys(value.device for _, _, value in waiting):
        there = [(row, name, value) for row, name, value in waiting if value.device == device]
        values = torch.stack([value for _, _, value in there]).tolist()
        for (row, name, _), value in zip(there, values, strict=True):
            row[name] = value
    return rows
