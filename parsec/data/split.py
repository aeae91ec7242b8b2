"""Stratified splits: every class keeps its share, and every image lands on exactly one side."""

import numpy as np
from sklearn.model_selection import train_test_split

from parsec.data.sources.base import Integers
from parsec.errors import DatasetError


def stratified(labels: Integers, fraction: float, seed: int) -> tuple[Integers, Integers]:
    """Split images into a larger or smaller rest and a `fraction`; positions in ascending order.

    Raises:
        DatasetError: too few images for every class to be on both sides.
    """
    try:
        rest, chosen = train_test_split(
            np.arange(len(labels)), test_size=fraction, random_state=seed, shuffle=True, stratify=labels
        )
    except ValueError as error:
        raise DatasetError(f"{len(labels)} images cannot be split with a share of {fraction}: {error}") from error
    return np.sort(rest), np.sort(chosen)
