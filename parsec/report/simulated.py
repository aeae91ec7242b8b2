"""What simulated searches had found after any amount of training."""

from pathlib import Path
from typing import Literal, NamedTuple

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
    seconds: float | None
    """Seconds of training that a repeat may take, where they and not the trainings were given."""

    @property
    def cost(self) -> Literal["trained", "seconds"]:
        """The column that tells what was spent: seconds where the benchmark's table has them."""
        return "seconds" if self.rows["seconds"].notna().all() else "trained"

    @property
    def spent(self) -> float:
        """What a repeat may spend, in the unit of `cost`; without a limit of seconds all that led to a better one."""
        if self.cost == "trained":
            return self.budget
        return self.seconds or float(self.rows["seconds"].max())


def read_simulated(path: Path, space: str) -> Simulated:
    """A `simulations.parquet` of a space.

    Raises:
        UserError: missing, damaged, or of another space.
    """
    rows, about = read_simulations(path)
    settings = about["provenance"]["settings"]
    if settings["space"] != space:
        raise UserError(f"{path}: searches of {settings['space']}; give searches of {space}")
    return Simulated(rows, space, settings["dataset"], settings["budget"], settings["repeats"], settings["seconds"])


def incumbents(rows: pd.DataFrame, spent: NDArray[np.float64], cost: str = "trained") -> NDArray[np.int64]:
    """Numbers of the best architectures so far after spending so much each: [repeats, points] of one method's rows.

    Before a first training has ended it is the one of that training.
    """
    found = []
    for _, repeat in rows.groupby("repeat", sort=True):
        last = np.searchsorted(repeat[cost].to_numpy(), spent, side="right") - 1
        found.append(repeat["architecture"].to_numpy()[last.clip(min=0)])
    return np.array(found, dtype=np.int64)
