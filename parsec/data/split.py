"""Stratified splits: every class keeps its share, and every image lands on exactly one side."""

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import train_test_split

from parsec.data.sources.base import Integers
from parsec.errors import DatasetError


def stratified(labels: Integers, fraction: float, seed: int, names: Sequence[str] = ()) -> tuple[Integers, Integers]:
    """Split images into a larger or smaller rest and a `fraction`; positions in ascending order.

    Args:
        labels: class of every image, [N].
        fraction: share of the second side.
        seed: of the draw.
        names: of the classes, for messages.

    Raises:
        DatasetError: a class with one image, or fewer images on a side than classes.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if (rare := classes[counts < 2]).size:
        name = names[rare[0]] if names else f"class {rare[0]}"
        what = f"{name} has 1 image" if rare.size == 1 else f"{rare.size} classes have 1 image, the first {name}"
        raise DatasetError(f"{what}; the split needs 2: add images or remove the class")
    try:
        rest, chosen = train_test_split(
            np.arange(len(labels)), test_size=fraction, random_state=seed, shuffle=True, stratify=labels
        )
    except ValueError as error:
        raise DatasetError(
            f"{len(labels)} images cannot be split with a share of {fraction}: one side would have fewer images than "
            f"the {classes.size} classes; move `validation_fraction` towards 0.5"
        ) from error
    return np.sort(rest), np.sort(chosen)
