"""Steps of a search, and its states compared to the last bit."""

import copy
import math

import torch


def advance(trainer, steps=math.inf):
    """Metric rows of `steps` steps, or of all that are left; seconds are left out, because they differ."""
    last, rows = trainer.step + steps, []
    # A search whose time is over has fewer steps than when it began.
    while trainer.step < min(last, trainer.total_steps):
        rows += trainer.advance()
    rows += trainer.flush()
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def snapshot(trainer):
    """A copy of the state, but for the seconds."""
    return copy.deepcopy({**trainer.state_dict(), "epoch_seconds": 0.0})


def equal(one, other):
    """Whether two states are the same to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)
