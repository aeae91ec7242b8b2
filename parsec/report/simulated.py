"""What simulated searches had found after any amount of training."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.errors import UserError
from parsec.simulate.table import read_simulations

METHODS = {
    "random": "Random search",
    "reinforce": "REINFORCE",
    "evolution": "Regularised evolution",
    "assisted_evolution": "Assisted evolution",
}
"""Searches as they are printed, in the order of tables and legends."""


class Simulated(NamedTuple):
    """One file of simulated searches."""

    rows: pd.DataFrame
    space: str
    dataset: str
    """Whose validation accuracy the searches saw."""
    budget: int
    """Trainings of a repeat."""
    repeats: int


def read_simulated(path: Path, space: str) -> Simulated:
    """A `simulations.parquet` of a space.

    Raises:
        UserError: missing, damaged, or of another space.
    """
    rows, about = read_simulations(path)
    settings = about["provenance"]["settings"]
    if settings["space"] != space:
        raise UserError(f"{path}: searches of {settings['space']}; give searches of {space}")
    return Simulated(rows, space, settings["dataset"], settings["budget"], settings["repeats"])


def incumbents(rows: pd.DataFrame, trained: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the best architectures so far after so many trainings each: [repeats, points] of one method's rows."""
    found = []
    for _, repeat in rows.groupby("repeat", sort=True):
        last = np.searchsorted(repeat["trained"].to_numpy(), trained, side="right") - 1
        found.append(repeat["architecture"].to_numpy()[last])
    return np.array(found, dtype=np.int64)
